// Pointers on the Gantt: one drags it or selects a slice, two move it and zoom it by what is between them.
const LEAST_SPREAD = 24; // CSS pixels; two fingers closer than that along time only move
const MOVED_FROM = 3;    // CSS pixels; a pointer that went no farther selects

class GanttPointers {
  constructor(gantt) {
    this.gantt = gantt;
    this.places = new Map(); // of the pointers that are down
    this.held = null;        // where they were, and what was shown, when the last came or went
    const { element } = gantt;
    element.addEventListener("pointerdown", (event) => this.#press(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    element.addEventListener("pointerleave", () => gantt.leave());
    // The browser takes a finger away when it scrolls the page by it.
    for (const kind of ["pointerup", "pointercancel"]) element.addEventListener(kind, (event) => this.#release(event));
  }

  #press(event) {
    if (event.button !== 0 || this.places.size === 2) return;
    this.gantt.element.setPointerCapture(event.pointerId);
    this.places.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.#hold(this.places.size > 1);
  }

  #move(event) {
    if (!this.places.has(event.pointerId)) {
      if (!this.places.size) this.gantt.point(event);
      return;
    }
    this.places.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    const [held, now] = [this.held, this.#middle()];
    if (Math.abs(now.x - held.x) + Math.abs(now.y - held.y) > MOVED_FROM) held.moved = true;
    if (held.moved) this.gantt.drag(held, now);
  }

  #release(event) {
    if (!this.places.delete(event.pointerId)) return;
    if (this.places.size) {
      this.#hold(true);
      return;
    }
    const found = this.held.moved || event.type !== "pointerup" ? null : this.gantt.at(this.held.x, this.held.y);
    if (found) this.gantt.select(found);
  }

  #hold(moved) {
    this.held = { ...this.#middle(), view: this.gantt.view, top: this.gantt.top, moved };
  }

  #middle() {
    const [one, other] = [...this.places.values()];
    if (!other) return { ...one, spread: LEAST_SPREAD };
    const spread = Math.max(Math.abs(other.x - one.x), LEAST_SPREAD);
    return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, spread };
  }
}
