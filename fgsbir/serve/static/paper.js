// The canvas: records strokes from mouse, pen, touch and keyboard, and draws them.
import { strokeAt } from "./drawing.js";

const STEP = 1 / 64; // an arrow key moves the pen by this share of the canvas
const CLOSE = 1 / 800; // points nearer than this to the last one are dropped
const WIDTH = 2 / 256; // of a line, as systems draw it
const REACH = { mouse: 10, pen: 12, touch: 22 }; // pixels around a stroke in which it is hit

const round = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4;

export class Paper {
  erasing = false;
  shown = Infinity; // number of strokes searched for; later ones are faint
  #pointer = null; // id of the pointer that draws
  #stroke = null;
  #marked = -1; // index of the stroke that would be erased
  #pen = null; // {x, y} of the keyboard's pen

  constructor(canvas, drawing) {
    this.canvas = canvas;
    this.drawing = drawing;
    const on = (name, act) => canvas.addEventListener(name, act.bind(this));
    on("pointerdown", this.#down);
    on("pointermove", this.#move);
    on("pointerup", this.#up);
    on("pointercancel", this.#cancel);
    on("pointerleave", () => this.#mark(-1));
    on("contextmenu", (event) => event.preventDefault());
    on("keydown", this.#key);
    on("blur", this.#blur);
    drawing.addEventListener("change", () => { this.#marked = -1; this.paint(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
    new ResizeObserver(() => this.paint()).observe(canvas);
  }

  // True while a stroke is being drawn.
  get busy() { return this.#stroke !== null; }

  setErasing(erasing) {
    this.#blur();
    this.erasing = erasing;
    this.canvas.classList.toggle("erasing", erasing);
    this.#mark(-1);
  }

  #place(event) {
    const frame = this.canvas.getBoundingClientRect();
    return [round((event.clientX - frame.left) / frame.width), round((event.clientY - frame.top) / frame.height)];
  }

  #down(event) {
    if (this.#pointer !== null || event.button !== 0 && event.button !== 5) return;
    this.#pen = null;
    if (this.erasing || event.button === 5) { // 5 is the blunt end of a pen
      this.#eraseAt(this.#place(event), event.pointerType);
      return;
    }
    this.#pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.#stroke = [this.#place(event)];
    this.paint();
  }

  #move(event) {
    if (event.pointerId === this.#pointer) {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) this.#extend(this.#place(each), CLOSE);
      this.paint();
    } else if (this.erasing && event.pointerType !== "touch") {
      this.#mark(this.#under(this.#place(event), event.pointerType));
    }
  }

  #up(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#extend(this.#place(event), 1e-9);
    this.#finish();
  }

  #cancel(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = this.#stroke = null;
    this.paint();
  }

  #extend([x, y], least) {
    const [lastX, lastY] = this.#stroke.at(-1);
    if (Math.hypot(x - lastX, y - lastY) > least) this.#stroke.push([x, y]);
  }

  #finish() {
    const stroke = this.#stroke;
    this.#pointer = this.#stroke = null;
    this.drawing.add(stroke);
  }

  #under(place, kind) {
    return strokeAt(this.drawing.strokes, place, (REACH[kind] ?? REACH.mouse) / this.canvas.clientWidth);
  }

  #eraseAt(place, kind) {
    const index = this.#under(place, kind);
    if (index >= 0) this.drawing.erase(index);
  }

  #mark(index) {
    if (index === this.#marked) return;
    this.#marked = index;
    this.paint();
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !move && event.key !== " ") return;
    event.preventDefault();
    if (this.#pointer !== null) return;
    this.#pen ??= { x: 0.5, y: 0.5 };
    const pen = this.#pen;
    if (move) {
      const step = event.shiftKey ? 4 * STEP : STEP;
      pen.x = round(pen.x + step * move[0]);
      pen.y = round(pen.y + step * move[1]);
      if (this.#stroke) this.#extend([pen.x, pen.y], 1e-9);
      if (this.erasing) this.#marked = this.#under([pen.x, pen.y], "touch");
    } else if (this.erasing) {
      this.#eraseAt([pen.x, pen.y], "touch");
    } else if (this.#stroke) {
      this.#finish();
    } else {
      this.#stroke = [[pen.x, pen.y]];
    }
    this.paint();
  }

  #blur() {
    if (this.#stroke && this.#pointer === null) this.#finish(); // a stroke of the keyboard
    this.#pen = null;
    this.paint();
  }

  paint() {
    const { canvas } = this;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (!side) return;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name);
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, side, side);
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = WIDTH * side;
    const strokes = this.drawing.strokes;
    const order = [...strokes.keys()].sort((a, b) => (a < this.shown) - (b < this.shown));
    for (const i of order) {
      pen.strokeStyle = colour(i === this.#marked ? "--erase" : i < this.shown ? "--ink" : "--faint");
      line(pen, strokes[i], side);
    }
    if (this.#stroke) {
      pen.strokeStyle = colour("--ink");
      line(pen, this.#stroke, side);
    }
    if (this.#pen) {
      const [x, y, arm] = [this.#pen.x * side, this.#pen.y * side, 10 * devicePixelRatio];
      pen.strokeStyle = colour("--accent");
      pen.lineWidth = 2 * devicePixelRatio;
      pen.beginPath();
      pen.moveTo(x - arm, y);
      pen.lineTo(x + arm, y);
      pen.moveTo(x, y - arm);
      pen.lineTo(x, y + arm);
      pen.stroke();
      if (this.#stroke) {
        pen.beginPath();
        pen.arc(x, y, arm / 2, 0, 2 * Math.PI);
        pen.stroke();
      }
    }
  }
}

function line(pen, stroke, side) {
  pen.beginPath();
  pen.moveTo(stroke[0][0] * side, stroke[0][1] * side);
  for (const [x, y] of stroke) pen.lineTo(x * side, y * side);
  pen.stroke();
}
