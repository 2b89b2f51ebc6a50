// The strokes of a sketch and their history. A stroke is a list of points [x, y] in [0, 1] of the canvas.

export class Drawing extends EventTarget {
  #states = [[]];
  #at = 0;

  get strokes() { return this.#states[this.#at]; }
  get canUndo() { return this.#at > 0; }
  get canRedo() { return this.#at < this.#states.length - 1; }

  add(stroke) { this.#become([...this.strokes, stroke]); }
  erase(index) { this.#become(this.strokes.filter((_, i) => i !== index)); }
  replace(strokes) { this.#become(strokes); }
  clear() { if (this.strokes.length) this.#become([]); }
  undo() { if (this.canUndo) this.#go(this.#at - 1); }
  redo() { if (this.canRedo) this.#go(this.#at + 1); }

  #become(strokes) {
    this.#states = [...this.#states.slice(Math.max(0, this.#at - 199), this.#at + 1), strokes];
    this.#go(this.#states.length - 1);
  }

  #go(at) {
    this.#at = at;
    this.dispatchEvent(new Event("change"));
  }
}

// Index of the last stroke that is nearer to a point than `reach`, or -1.
export function strokeAt(strokes, [x, y], reach) {
  return strokes.findLastIndex((stroke) =>
    stroke.some((end, i) => distance([x, y], stroke[Math.max(0, i - 1)], end) < reach));
}

function distance([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const t = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(ax + t * dx - x, ay + t * dy - y);
}
