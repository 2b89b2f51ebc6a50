// The dialog that explains a pair: attention between strokes and regions, and the order of fusions.
import { patiently, post, short, thumbnail } from "./api.js";

const GAP = 112; // offset of the photo's frame from the sketch's; both are 100 x 100
const PACE = 1100; // milliseconds a step
const NARROW = matchMedia("(max-width: 34rem)");

const make = (name, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const html = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

// Steps of the golden angle give neighbours distinct hues.
const colour = (leaf) => `hsl(${Math.round((leaf * 137.5) % 360)} 70% ${[40, 46][leaf % 2]}%)`;

// The leaves below every node of a binary tree.
function members(leaves, merges) {
  const found = Array.from({ length: leaves }, (_, i) => [i]);
  for (const [a, b] of merges) found.push([...found[a], ...found[b]].sort((x, y) => x - y));
  return found;
}

// One side of a pair: the nodes of its tree, their names and centres.
class Side {
  constructor(noun, boxes, merges, whole) {
    this.noun = noun;
    this.boxes = boxes;
    this.merges = merges;
    this.whole = whole; // the leaf that is the whole image, or -1
    this.members = members(boxes.length, merges);
  }

  colour(node) { return colour(this.members[node][0]); }

  name(node) {
    const leaves = this.members[node];
    if (leaves.length === this.boxes.length && leaves.length > 1) return "everything";
    const parts = leaves.filter((leaf) => leaf !== this.whole).map((leaf) => leaf + 1);
    const text = parts.length > 5 ? `${parts.slice(0, 4).join(" + ")} + ${parts.length - 4} more` : parts.join(" + ");
    if (!text) return `the whole ${this.noun === "stroke" ? "drawing" : "photo"}`;
    return `${this.noun} ${text}${parts.length < leaves.length ? " + whole" : ""}`;
  }

  middle(node) {
    const leaves = this.members[node];
    const parts = leaves.length > 1 ? leaves.filter((leaf) => leaf !== this.whole) : leaves;
    const sum = [0, 0];
    for (const leaf of parts) {
      const [x1, y1, x2, y2] = this.boxes[leaf];
      sum[0] += 50 * (x1 + x2) / parts.length;
      sum[1] += 50 * (y1 + y2) / parts.length;
    }
    return sum;
  }
}

export class Pair {
  #asked = 0;
  #timer = null;
  #view = null;
  #step = 0;
  #chosen = null; // a sketch node of this step
  #photo = "";

  constructor(dialog) {
    this.dialog = dialog;
    this.part = (name) => dialog.querySelector(`#pair-${name}`);
    this.part("close").onclick = () => dialog.close();
    this.part("back").onclick = () => this.#go(this.#step - 1);
    this.part("next").onclick = () => this.#go(this.#step + 1);
    this.part("slider").oninput = ({ target }) => this.#go(Number(target.value));
    this.part("play").onclick = () => this.#play();
    dialog.onclose = () => { this.#asked++; this.#stop(); };
    dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
    dialog.onkeydown = (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move || !this.#view || event.target.type === "range") return;
      event.preventDefault();
      this.#go(this.#step + move);
    };
    NARROW.addEventListener("change", () => this.#view && this.#draw());
  }

  get isOpen() { return this.dialog.open; }

  async open({ photo, distance }, rank, strokes) {
    const asked = ++this.#asked;
    this.#view = null;
    this.#photo = photo;
    this.part("title").textContent = short(photo);
    this.part("about").textContent = `Rank ${rank}, distance ${distance.toPrecision(4)}${short(photo) === photo ? "" : ` · ${photo}`}`;
    this.part("status").textContent = "Comparing…";
    this.part("body").hidden = true;
    this.dialog.showModal();
    const isWanted = () => this.#asked === asked;
    try {
      const busy = () => isWanted() && (this.part("status").textContent = "The server is busy; trying again…");
      const answer = await patiently(() => post("explain", { strokes, photo }), isWanted, busy);
      if (!answer || !isWanted()) return;
      this.part("status").textContent = "";
      this.#show(answer.explanation, strokes);
    } catch (error) {
      if (isWanted()) this.part("status").textContent = error.message;
    }
  }

  #show(explanation, drawn) {
    const has = explanation && explanation.levels.length > 0;
    const strokes = explanation?.strokes ?? drawn;
    // The region that is the whole photo spans its longer side and holds all others.
    const holds = ([x1, y1, x2, y2], other) => other[0] >= x1 - 0.01 && other[1] >= y1 - 0.01 && other[2] <= x2 + 0.01 && other[3] <= y2 + 0.01;
    const isWhole = (box, _, all) => Math.max(box[2] - box[0], box[3] - box[1]) > 0.99 && all.every((other) => holds(box, other));
    this.#view = {
      has,
      strokes,
      sketch: new Side("stroke", explanation?.stroke_boxes ?? strokes.map(bounds), explanation?.sketch_merges ?? [],
        strokes.findIndex((stroke) => !stroke.length)),
      photo: new Side("region", explanation?.photo_boxes ?? [], explanation?.photo_merges ?? [],
        (explanation?.photo_boxes ?? []).findIndex(isWhole)),
      levels: has ? withEnd(explanation) : [{ sketch_nodes: [...strokes.keys()], photo_nodes: [] }],
    };
    if (!has) this.part("status").textContent = "This system does not fuse nodes, so there is no hierarchy to show.";
    this.part("body").hidden = false;
    for (const name of ["steps", "caption"]) this.part(name).hidden = !has;
    this.dialog.querySelector(".pair-lists").hidden = !has;
    this.part("slider").max = this.#view.levels.length - 1;
    this.part("order").replaceChildren(...(has ? this.#view.levels.slice(0, -1).map((_, i) => this.#fusion(i)) : []));
    this.#go(0);
  }

  #fusion(step) {
    const fused = [this.#fusedAt(step, "sketch"), this.#fusedAt(step, "photo")].filter(Boolean);
    const button = html("button", { type: "button" }, html("b", {}, String(step + 1)), fused.join("; ") || "nothing");
    button.onclick = () => this.#go(step);
    return html("li", {}, button);
  }

  // For example "strokes 1 and 3 + 4"; empty if the side fuses nothing in this step.
  #fusedAt(step, name) {
    const side = this.#view[name];
    const pair = this.#next(step, name);
    if (!pair.length) return "";
    const names = pair.map((node) => side.name(node));
    if (names.some((name) => !name.startsWith(side.noun))) return names.join(" and ");
    const [a, b] = names.map((name) => name.slice(side.noun.length + 1));
    return `${side.noun}s ${a} and ${b}`;
  }

  // The nodes of a step that are fused in it: those that the next step lacks.
  #next(step, name) {
    const { levels } = this.#view;
    const later = levels[step + 1]?.[`${name}_nodes`];
    return later ? levels[step][`${name}_nodes`].filter((node) => !later.includes(node)) : [];
  }

  #play() {
    if (this.#timer) return this.#stop();
    const last = this.#view.levels.length - 1;
    this.#go(this.#step < last ? this.#step : 0);
    this.part("play").querySelector("use").setAttribute("href", "#i-pause");
    this.part("play").setAttribute("aria-label", "Pause");
    this.#timer = setInterval(() => {
      this.#go(this.#step + 1, true);
      if (this.#step >= last) this.#stop();
    }, PACE);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = null;
    this.part("play").querySelector("use").setAttribute("href", "#i-play");
    this.part("play").setAttribute("aria-label", "Play the fusions");
  }

  #go(step, playing = false) {
    if (!playing) this.#stop();
    const { levels, has } = this.#view;
    this.#step = Math.min(levels.length - 1, Math.max(0, step));
    this.#chosen = null;
    const last = this.#step === levels.length - 1;
    this.part("slider").value = this.#step;
    this.part("back").disabled = this.#step === 0;
    this.part("next").disabled = last;
    this.part("step").textContent = `${this.#step} of ${levels.length - 1}`;
    this.part("slider").setAttribute("aria-valuetext", `after ${this.#step} of ${levels.length - 1} fusions`);
    if (has) {
      const fused = [this.#fusedAt(this.#step, "sketch"), this.#fusedAt(this.#step, "photo")].filter(Boolean);
      this.part("caption").textContent = last ? "All strokes are fused into one node, and all regions into another; the distance between the two ranks the photo."
        : `Next fusion: ${fused.join(", and ")}.`;
    }
    [...this.part("order").children].forEach((item, i) => {
      if (i === this.#step) {
        item.firstChild.setAttribute("aria-current", "step");
        const list = this.part("order");
        list.scrollTop = item.offsetTop - list.offsetTop - list.clientHeight / 2;
      } else item.firstChild.removeAttribute("aria-current");
    });
    this.#draw();
    this.#tabulate();
  }

  // For each sketch node of the step: the photo node it attends to most, and how much.
  #meetings() {
    const { levels } = this.#view;
    const level = levels[this.#step];
    if (!level.sketch_to_photo) return [];
    return level.sketch_nodes.map((node, i) => {
      const weights = level.sketch_to_photo[i];
      const best = weights.indexOf(Math.max(...weights));
      return { node, weights, met: level.photo_nodes[best], weight: weights[best] };
    });
  }

  #tabulate() {
    const { sketch, photo } = this.#view;
    const meetings = this.#meetings();
    this.part("attention").hidden = !meetings.length;
    if (!meetings.length) return;
    const swatch = (side, node) => {
      const mark = html("span", { class: "swatch" });
      mark.style.background = side.colour(node);
      return mark;
    };
    const rows = meetings.map(({ node, met, weight }) => {
      const button = html("button", { type: "button", "aria-pressed": "false" }, swatch(sketch, node), sketch.name(node));
      const share = `${Math.round(100 * weight)} %`;
      const row = html("tr", {}, html("td", {}, button), html("td", {}, swatch(photo, met), photo.name(met)),
        html("td", {}, html("meter", { min: 0, max: 1, value: weight, "aria-hidden": "true" }), share));
      button.onclick = () => this.#choose(this.#chosen === node ? null : node);
      row.dataset.node = node;
      return row;
    });
    const head = html("tr", {}, ...["Sketch", "attends most to", "weight"].map((text) => html("th", { scope: "col" }, text)));
    this.part("table").replaceChildren(html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows)));
  }

  #choose(node) {
    this.#chosen = node;
    for (const row of this.part("table").querySelectorAll("tbody tr")) {
      const chosen = Number(row.dataset.node) === node && node !== null;
      row.classList.toggle("chosen", chosen);
      row.querySelector("button").setAttribute("aria-pressed", chosen);
    }
    this.#draw();
  }

  #draw() {
    const { strokes, sketch, photo, levels, has } = this.#view;
    const level = levels[this.#step];
    const [dx, dy] = NARROW.matches ? [0, GAP] : [GAP, 0];
    const chosen = this.#meetings().find(({ node }) => node === this.#chosen);
    const peak = chosen && Math.max(...chosen.weights);
    const paper = () => make("rect", { class: "sheet", width: 100, height: 100, rx: 2.5 });
    const nextSketch = this.#next(this.#step, "sketch"), nextPhoto = this.#next(this.#step, "photo");

    const ink = level.sketch_nodes.map((node) => {
      const group = make("g");
      if (nextSketch.includes(node)) group.classList.add("next");
      if (chosen && node !== chosen.node) group.classList.add("dim");
      for (const leaf of sketch.members[node]) {
        if (!strokes[leaf]?.length) continue;
        const points = strokes[leaf].map(([x, y]) => `${(100 * x).toFixed(2)},${(100 * y).toFixed(2)}`);
        if (points.length === 1) points.push(points[0]);
        group.append(make("polyline", { class: "ink", points: points.join(" "), stroke: sketch.colour(node) }));
      }
      return group;
    });
    const marks = has ? strokes.flatMap((stroke, leaf) => {
      if (!stroke.length) return [];
      const node = level.sketch_nodes.find((each) => sketch.members[each].includes(leaf));
      const [x, y] = stroke[Math.floor(stroke.length / 2)];
      return [mark(100 * x, 100 * y + 1.4, leaf + 1, sketch.colour(node), "middle", chosen && node !== chosen.node)];
    }) : [];

    const regions = level.photo_nodes.map((node, i) => {
      const group = make("g");
      if (nextPhoto.includes(node)) group.classList.add("next");
      const share = chosen ? chosen.weights[i] / peak : 0;
      if (chosen && share < 0.35) group.classList.add("dim");
      for (const leaf of photo.members[node]) {
        const [x1, y1, x2, y2] = photo.boxes[leaf].map((value) => 100 * value);
        const box = { class: "box", x: x1, y: y1, width: Math.max(0.5, x2 - x1), height: Math.max(0.5, y2 - y1), stroke: photo.colour(node) };
        if (leaf === photo.whole) Object.assign(box, { x: x1 + 1, y: y1 + 1, width: x2 - x1 - 2, height: y2 - y1 - 2, rx: 2, "stroke-dasharray": "2.5 2" });
        const drawn = make("rect", box);
        if (share) Object.assign(drawn.style, { fill: photo.colour(node), fillOpacity: 0.32 * share });
        group.append(drawn);
        if (leaf !== photo.whole) group.append(mark(x1 + 1, y1 + 4.2, leaf + 1, photo.colour(node), "start"));
      }
      return group;
    });

    const links = this.#meetings().map(({ node, met, weight }) => {
      const [x1, y1] = sketch.middle(node);
      const [x2, y2] = photo.middle(met);
      const link = make("path", { class: "link", d: `M${x1} ${y1}L${x2 + dx} ${y2 + dy}`, stroke: sketch.colour(node), "stroke-opacity": 0.2 + 0.8 * weight });
      if (chosen && node !== chosen.node) link.classList.add("dim");
      return link;
    });

    const captions = ["Your sketch", "The photo"].map((text, i) => make("text", { class: "caption", x: i * dx, y: -2 + i * dy }, text));
    const image = make("image", { width: 100, height: 100, href: thumbnail(this.#photo), preserveAspectRatio: "xMidYMid meet", opacity: has ? 0.6 : 1 });
    const label = has ? `${level.sketch_nodes.length} nodes of the sketch beside ${level.photo_nodes.length} of the photo` : "The sketch beside the photo";
    const view = `-1 -7 ${102 + dx} ${108 + dy}`;
    this.part("image").replaceChildren(make("svg", { viewBox: view, role: "img", "aria-label": label },
      ...captions, paper(), ...ink, make("g", { transform: `translate(${dx} ${dy})` }, paper(), image, ...regions), ...links, ...marks));
  }
}

function mark(x, y, text, fill, anchor, dim = false) {
  const element = make("text", { class: "mark", x, y, fill, "text-anchor": anchor }, String(text));
  if (dim) element.classList.add("dim");
  return element;
}

function bounds(stroke) {
  const [xs, ys] = [0, 1].map((axis) => stroke.map((point) => point[axis]));
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

// The levels, followed by the nodes that remain after the last fusion.
function withEnd({ levels, sketch_merges, photo_merges }) {
  const end = { sketch_nodes: left(levels.at(-1).sketch_nodes, sketch_merges, levels[0].sketch_nodes.length),
    photo_nodes: left(levels.at(-1).photo_nodes, photo_merges, levels[0].photo_nodes.length) };
  return [...levels, end];
}

function left(nodes, merges, leaves) {
  const root = leaves + merges.length - 1;
  return nodes.length > 1 && !nodes.includes(root) ? [...nodes.filter((node) => !merges.at(-1).includes(node)), root] : nodes;
}
