// The canvas: records strokes from mouse, pen, touch and keyboard, and draws them.
import { strokeAt } from "./drawing.js";

const STEP = 1 / 64; // an arrow key moves the pen by this share of the canvas
const CLOSE = 1 / 800; // points nearer than this to the last one are dropped
const WIDTH = 2 / 256; // of a line, as systems draw it
const REACH = { mouse: 10, pen: 12, touch: 22 }; // pixels around a stroke in which it is hit

const PALM = 1000; // milliseconds after the last sign of a pen in which a touch is a palm

const round = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4;

// Dispatches "stroke" on the canvas when a stroke is begun, ended or dropped.
export class Paper {
  erasing = false;
  shown = Infinity; // number of strokes searched for; later ones are faint
  #pointer = null; // {id, kind, buttons} of the pointer that draws; buttons are those held at its start
  #stroke = null;
  #marked = -1; // index of the stroke that would be erased
  #pen = null; // {x, y} of the keyboard's pen
  #penSeen = -Infinity; // when a pen last touched the canvas or hovered over it

  constructor(canvas, drawing) {
    this.canvas = canvas;
    this.drawing = drawing;
    const on = (name, act) => canvas.addEventListener(name, act.bind(this));
    on("pointerdown", this.#down);
    on("pointermove", this.#move);
    on("pointerup", this.#up);
    on("pointercancel", this.#cancel);
    on("lostpointercapture", this.#lose);
    on("pointerleave", () => this.#mark(-1));
    on("contextmenu", (event) => event.preventDefault());
    on("keydown", this.#key);
    on("blur", this.#blur);
    drawing.addEventListener("change", () => { this.#marked = -1; this.paint(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
    this.#watchSize();
  }

  // True while a stroke is being drawn.
  get busy() { return this.#stroke !== null; }

  setErasing(erasing) {
    this.#blur();
    this.erasing = erasing;
    this.canvas.classList.toggle("erasing", erasing);
    this.#mark(-1);
  }

  // Keeps one pixel of the bitmap to one of the screen, also after zooming or a move to another screen.
  #watchSize() {
    const { canvas } = this;
    let snapped = {}; // the size in pixels of the screen to which the browser rounds, where it tells
    const fit = () => {
      const frame = canvas.getBoundingClientRect();
      for (const side of ["width", "height"]) {
        const size = frame[side] * devicePixelRatio;
        canvas[side] = Math.abs(snapped[side] - size) < 1 ? snapped[side] : Math.round(size);
      }
      this.paint();
    };
    const watchRatio = () => matchMedia(`(resolution: ${devicePixelRatio}dppx)`)
      .addEventListener("change", () => { fit(); watchRatio(); }, { once: true });
    watchRatio();
    const observer = new ResizeObserver(([entry]) => {
      const [box] = entry.devicePixelContentBoxSize ?? [];
      snapped = { width: box?.inlineSize, height: box?.blockSize };
      fit();
    });
    try {
      observer.observe(canvas, { box: "device-pixel-content-box" });
    } catch { // Safari
      observer.observe(canvas);
    }
  }

  #place(event) {
    const frame = this.canvas.getBoundingClientRect();
    return [round((event.clientX - frame.left) / frame.width), round((event.clientY - frame.top) / frame.height)];
  }

  #down(event) {
    const { button, buttons, pointerId: id, pointerType: kind } = event;
    if (kind === "pen") this.#penSeen = event.timeStamp;
    else if (kind === "touch" && event.timeStamp - this.#penSeen < PALM) return;
    if (this.#pointer) {
      const pinches = kind === "touch" && this.#pointer.kind === "touch" && this.#stroke.length === 1;
      const takesOver = kind === "pen" && this.#pointer.kind === "touch"; // it was the palm
      if (pinches || takesOver) this.#end(null);
      if (!takesOver) return;
    }
    if (button !== 0 && button !== 5) return;
    this.#blur();
    if (this.erasing || button === 5) { // 5 is the blunt end of a pen
      this.#eraseAt(this.#place(event), kind);
      return;
    }
    this.#pointer = { id, kind, buttons };
    try {
      this.canvas.setPointerCapture(id);
    } catch {} // the pointer is gone already; its end will be told
    this.#begin(this.#place(event));
  }

  #move(event) {
    if (event.pointerType === "pen") this.#penSeen = event.timeStamp;
    if (event.pointerId === this.#pointer?.id) {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) this.#extend(this.#place(each), CLOSE);
      // While another button is held, the end of the first one is told as a move.
      if (this.#pointer.buttons & ~event.buttons & 1) this.#end(this.#stroke);
      this.paint();
    } else if (this.erasing && event.pointerType !== "touch") {
      this.#mark(this.#under(this.#place(event), event.pointerType));
    }
  }

  #up(event) {
    if (event.pointerId !== this.#pointer?.id) return;
    this.#extend(this.#place(event), 1e-9);
    this.#end(this.#stroke);
  }

  // The device takes a touch back when it finds a palm in it. What a pen or a mouse has drawn stays, but for a dot.
  #cancel(event) {
    if (event.pointerId !== this.#pointer?.id) return;
    const isDrawn = this.#pointer.kind !== "touch" && this.#stroke.length > 1;
    this.#end(isDrawn ? this.#stroke : null);
  }

  // Without capture the end of the stroke may never be told.
  #lose(event) {
    if (event.pointerId === this.#pointer?.id) this.#end(this.#stroke);
  }

  #extend([x, y], least) {
    const [lastX, lastY] = this.#stroke.at(-1);
    if (Math.hypot(x - lastX, y - lastY) > least) this.#stroke.push([x, y]);
  }

  #begin(place) {
    this.#stroke = [place];
    this.#tell();
  }

  // Ends the stroke that is being drawn; null drops it.
  #end(stroke) {
    this.#pointer = this.#stroke = null;
    if (stroke) this.drawing.add(stroke);
    this.#tell();
  }

  #tell() {
    this.paint();
    this.canvas.dispatchEvent(new Event("stroke"));
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
    if (this.#pointer) return;
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
      this.#end(this.#stroke);
    } else {
      this.#begin([pen.x, pen.y]);
    }
    this.paint();
  }

  #blur() {
    if (this.#stroke && !this.#pointer) this.#end(this.#stroke); // a stroke of the keyboard
    this.#pen = null;
    this.paint();
  }

  paint() {
    const { canvas } = this;
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name);
    const pen = canvas.getContext("2d");
    pen.resetTransform();
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.scale(canvas.width, canvas.height);
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = WIDTH;
    const strokes = this.drawing.strokes;
    const order = [...strokes.keys()].sort((a, b) => (a < this.shown) - (b < this.shown));
    for (const i of order) {
      pen.strokeStyle = colour(i === this.#marked ? "--erase" : i < this.shown ? "--ink" : "--faint");
      line(pen, strokes[i]);
    }
    if (this.#stroke) {
      pen.strokeStyle = colour("--ink");
      line(pen, this.#stroke);
    }
    if (this.#pen) {
      const { x, y } = this.#pen;
      const pixel = 1 / canvas.clientWidth, arm = 10 * pixel;
      pen.strokeStyle = colour("--accent");
      pen.lineWidth = 2 * pixel;
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

function line(pen, stroke) {
  pen.beginPath();
  if (stroke.length === 1) { // a line without a length would not be drawn
    pen.arc(...stroke[0], WIDTH / 2, 0, 2 * Math.PI);
    pen.fillStyle = pen.strokeStyle;
    pen.fill();
    return;
  }
  pen.moveTo(...stroke[0]);
  for (const point of stroke) pen.lineTo(...point);
  pen.stroke();
}
