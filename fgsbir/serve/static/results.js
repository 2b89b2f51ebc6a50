// Search while the user draws, and the list of results.
import { patiently, post, short, thumbnail } from "./api.js";

const CACHED = 300; // answers, for undo and replay

// Searches for one sketch at a time, always the newest; answers to older ones are cached but not shown.
export class Finder {
  #answers = new Map();
  #names = new WeakMap(); // a number for each stroke; strokes are immutable
  #named = 0;
  #wanted = null;
  #running = false;

  constructor(top, show) {
    this.top = top;
    this.show = show; // called with {kind: "empty" | "loading" | "busy" | "found" | "failed", ...}
  }

  find(strokes) {
    const key = strokes.map((stroke) => this.#name(stroke)).join();
    this.#wanted = { key, strokes };
    if (!strokes.length) return this.show({ kind: "empty" });
    const known = this.#answers.get(key);
    if (known) return this.show({ kind: "found", ...known });
    this.show({ kind: "loading" });
    if (!this.#running) this.#run();
  }

  again() { this.find(this.#wanted.strokes); }

  async #run() {
    this.#running = true;
    while (this.#wanted.strokes.length && !this.#answers.has(this.#wanted.key)) {
      const asked = this.#wanted;
      const isNewest = () => this.#wanted === asked;
      try {
        let started = 0;
        const ask = () => {
          started = performance.now();
          return post("search", { strokes: asked.strokes, top: this.top });
        };
        const answer = await patiently(ask, isNewest, () => isNewest() && this.show({ kind: "busy" }));
        if (answer) this.#keep(asked.key, { hits: answer.hits, ms: answer.ms, took: performance.now() - started });
        if (answer && isNewest()) this.show({ kind: "found", ...this.#answers.get(asked.key) });
      } catch (error) {
        if (isNewest()) {
          this.show({ kind: "failed", message: error.message });
          break;
        }
      }
    }
    this.#running = false;
  }

  #keep(key, answer) {
    this.#answers.set(key, answer);
    if (this.#answers.size > CACHED) this.#answers.delete(this.#answers.keys().next().value);
  }

  #name(stroke) {
    if (!this.#names.has(stroke)) this.#names.set(stroke, ++this.#named);
    return this.#names.get(stroke);
  }
}

// Shows hits as buttons. A photo found again keeps its element, and the focus keeps its position in the list.
export class Results {
  #items = new Map();

  constructor(list, open) {
    this.list = list;
    this.open = open; // called with (hit, rank)
  }

  show(hits) {
    const focused = [...this.list.children].findIndex((item) => item.contains(document.activeElement));
    const items = new Map(hits.map((hit) => [hit.photo, this.#items.get(hit.photo) ?? this.#item(hit.photo)]));
    hits.forEach((hit, i) => this.#fill(items.get(hit.photo), hit, i + 1));
    this.#items = items;
    this.list.replaceChildren(...items.values());
    if (focused >= 0) this.list.children[Math.min(focused, hits.length - 1)]?.querySelector("button").focus();
  }

  #item(photo) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const image = document.createElement("img");
    image.alt = "";
    image.width = image.height = 160;
    image.src = thumbnail(photo);
    const [rank, name, distance] = ["rank", "name", "distance"].map((kind) => {
      const span = document.createElement("span");
      span.className = kind;
      return span;
    });
    button.append(image, rank, name);
    name.append(distance, short(photo));
    button.title = photo;
    item.append(button);
    return item;
  }

  #fill(item, hit, rank) {
    const button = item.firstChild;
    item.querySelector(".rank").textContent = rank;
    item.querySelector(".distance").textContent = hit.distance.toPrecision(3);
    button.setAttribute("aria-label", `${rank}: ${hit.photo}, distance ${hit.distance.toPrecision(3)}. Compare with the drawing`);
    button.onclick = () => this.open(hit, rank);
  }
}
