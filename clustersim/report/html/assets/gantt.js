// The Gantt: what part of it is shown, and what the reader does with it.
const LEAST_TIME = 1000;   // ps that a view shows at least
const TALLEST = 1600;      // CSS pixels; more rows are moved through
const ZOOM = 1.6;

class Gantt {
  constructor(element, data) {
    [this.under, this.over] = element.querySelectorAll("canvas");
    this.element = element;
    this.data = data;
    this.pixels = new GanttPixels(data);
    this.ink = new GanttInk(data);
    this.told = document.getElementById("gantt-told");
    this.grain = document.getElementById("gantt-grain");
    this.tip = tooltip(element);
    this.choice = { mode: "category", hidden: new Set(), microbatch: null };
    this.view = { from: 0, to: data.facts.makespan_ps || 1 };
    this.top = 0;
    this.wholePath = pathOf(data.columns);
    this.path = this.wholePath;
    this.listeners = [];
    this.showRanks(document.getElementById("gantt-replica")?.value ?? String(data.facts.shown_replica));
    this.pixels.choose(this.choice);
    this.#listen();
  }

  // Shows the ranks of one replica, of all, or those that the critical path passes.
  showRanks(choice) {
    const { replica } = this.data.facts;
    const passed = new Set(this.wholePath.row);
    const isShown = { all: () => true, path: (row) => passed.has(row) }[choice] ?? ((row) => replica[row] === Number(choice));
    this.allRows = [...replica.keys()].filter(isShown);
    this.top = 0;
    const count = this.allRows.length;
    const room = Math.floor(560 / count);
    this.gap = room > 4 ? 1 : 0;
    this.rowHeight = Math.min(Math.max(room - this.gap, 2), 22);
    this.selected = null;
  }

  get shownRows() {
    const most = Math.floor(TALLEST / (this.rowHeight + this.gap));
    this.top = Math.max(0, Math.min(this.top, this.allRows.length - most));
    return this.allRows.slice(this.top, this.top + most);
  }

  onView(listener) {
    this.listeners.push(listener);
  }

  choose(changes) {
    Object.assign(this.choice, changes);
    this.pixels.choose(this.choice);
    this.element.parentElement.dataset.mode = this.choice.mode;
    this.redraw();
  }

  restyle() {
    this.palette = ganttPalette(this.data.facts);
    this.redraw();
  }

  redraw() {
    const began = performance.now();
    const rows = this.shownRows;
    const scale = window.devicePixelRatio || 1;
    const width = this.element.clientWidth;
    const height = AXIS + rows.length * (this.rowHeight + this.gap);
    const under = fitted(this.under, width, height);
    const across = Math.max(1, Math.round((width - GUTTER) * scale));
    const [rowPixels, gapPixels] = [Math.round(this.rowHeight * scale), Math.round(this.gap * scale)];
    const down = rows.length * (rowPixels + gapPixels);
    if (this.image?.width !== across || this.image?.height !== down) this.image = under.createImageData(across, down);
    this.areBars = this.pixels.draw(this.image, rows, rowPixels, gapPixels, this.view, this.palette.pixels);
    under.putImageData(this.image, Math.round(GUTTER * scale), Math.round(AXIS * scale));
    // Rows are whole numbers of screen pixels: what is written over them goes by the same.
    this.frame = this.#frame(rows, width, height, rowPixels / scale, gapPixels / scale, across / scale);
    this.redrawInk();
    this.grain.hidden = this.areBars;
    this.element.dataset.redrawMs = (performance.now() - began).toFixed(2);
    Object.assign(this.element.dataset, { from: this.view.from, to: this.view.to });
    for (const listener of this.listeners) listener(this);
  }

  redrawInk() {
    const { frame } = this;
    Object.assign(frame, { pointed: this.pointed, selected: this.selected, path: this.path });
    this.ink.draw(fitted(this.over, frame.width, frame.height), frame);
  }

  #frame(rows, width, height, rowHeight, gap, across) {
    const perTime = across / (this.view.to - this.view.from);
    return {
      rows, width, height, rowHeight, view: this.view, areBars: this.areBars, pitch: rowHeight + gap,
      x: (time) => GUTTER + (time - this.view.from) * perTime,
      y: (place) => AXIS + place * (rowHeight + gap),
      inkOf: (index) => inkOn(this.palette.colours[this.pixels.paint[index]]),
    };
  }

  // What lies at a place of the canvas: a row and a slice, or nothing.
  at(x, y) {
    const place = Math.floor((y - AXIS) / this.frame.pitch);
    const row = this.frame.rows[place];
    if (row === undefined || y < AXIS || x < GUTTER || x >= this.frame.width) return null;
    const time = this.view.from + ((x - GUTTER) / (this.frame.width - GUTTER)) * (this.view.to - this.view.from);
    if (time < 0 || time >= this.data.facts.makespan_ps) return null;
    return { row, index: this.data.at(row, time) };
  }

  show(from, to) {
    const whole = this.data.facts.makespan_ps || 1;
    const length = Math.min(Math.max(to - from, LEAST_TIME), whole);
    const begin = Math.min(Math.max(from, 0), whole - length);
    this.view = { from: begin, to: begin + length };
    this.redraw();
  }

  zoom(factor, around = 0.5) {
    const length = this.view.to - this.view.from;
    const centre = this.view.from + length * around;
    this.show(centre - (length / factor) * around, centre + (length / factor) * (1 - around));
  }

  move(share) {
    const by = (this.view.to - this.view.from) * share;
    this.show(this.view.from + by, this.view.to + by);
  }

  select(selected) {
    this.selected = selected;
    const { data } = this;
    const [from, to] = [data.start[selected.index], data.end(selected.index)];
    const place = this.allRows.indexOf(selected.row);
    const most = Math.floor(TALLEST / (this.rowHeight + this.gap));
    if (place < this.top || place >= this.top + most) this.top = place - (most >> 1);
    if (to <= this.view.from || from >= this.view.to) this.#centre((from + to) / 2);
    else this.redraw();
    const [title, more] = this.tells(selected);
    this.told.textContent = `${title}: ${more.join(" · ")}`;
  }

  // What is known of a slice, and whether the run waited for it.
  tells({ row, index }) {
    const [title, more] = this.data.told(row, index);
    const { row: rows, start, end } = this.wholePath;
    const middle = this.data.start[index] + this.data.duration[index] / 2;
    let segment = start.findLastIndex((time) => time <= middle);
    if (segment < 0 || end[segment] <= middle || rows[segment] !== row) segment = -1;
    return [title, segment < 0 ? more : [...more, "on the critical path"]];
  }

  #centre(time) {
    const half = (this.view.to - this.view.from) / 2;
    this.show(time - half, time + half);
  }

  // Goes to the next slice along the row, or to the one at the same time on another.
  step(along, down) {
    if (!this.selected) {
      const row = this.allRows[0];
      this.select({ row, index: this.data.at(row, this.view.from) });
      return;
    }
    const { data } = this;
    let { row, index } = this.selected;
    if (down) {
      const place = this.allRows.indexOf(row) + down;
      if (place < 0 || place >= this.allRows.length) return;
      const time = data.start[index] + data.duration[index] / 2;
      row = this.allRows[place];
      index = data.at(row, time);
    } else {
      do index += along; while (data.duration[index] === 0);
      if (index < data.first[row] || index >= data.first[row + 1]) return;
    }
    this.select({ row, index });
  }

  #listen() {
    const { element } = this;
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.pointers = new GanttPointers(this);
    element.addEventListener("dblclick", (event) => this.zoom(ZOOM * ZOOM, this.#share(event)));
    new ResizeObserver(() => this.palette && this.redraw()).observe(element);
  }

  #share(event) {
    return (event.offsetX - GUTTER) / (this.frame.width - GUTTER);
  }

  #key(event) {
    const keys = {
      ArrowLeft: () => (event.shiftKey ? this.move(-0.2) : this.step(-1, 0)),
      ArrowRight: () => (event.shiftKey ? this.move(0.2) : this.step(1, 0)),
      ArrowUp: () => this.step(0, -1),
      ArrowDown: () => this.step(0, 1),
      "+": () => this.zoom(ZOOM, this.#around()),
      "=": () => this.zoom(ZOOM, this.#around()),
      "-": () => this.zoom(1 / ZOOM, this.#around()),
      Home: () => this.show(0, this.data.facts.makespan_ps),
      0: () => this.show(0, this.data.facts.makespan_ps),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  }

  // Where what is selected lies in the view, so that zooming keeps it there.
  #around() {
    if (!this.selected) return 0.5;
    const middle = this.data.start[this.selected.index] + this.data.duration[this.selected.index] / 2;
    const share = (middle - this.view.from) / (this.view.to - this.view.from);
    return share > 0 && share < 1 ? share : 0.5;
  }

  #wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(1.0015 ** -event.deltaY, Math.min(Math.max(this.#share(event), 0), 1));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.move((event.deltaX || event.deltaY) / (this.frame.width - GUTTER));
    }
  }

  // Shows what the mouse is over.
  point(event) {
    const found = this.at(event.offsetX, event.offsetY);
    if (found?.index === this.pointed?.index) {
      this.tip.move(event);
      return;
    }
    this.pointed = found;
    this.redrawInk();
    if (found) this.tip.show(event, ...this.tells(found));
    else this.tip.hide();
  }

  // Shows the time that lay between the pointers where they are now, stretched as far as they have gone apart.
  drag(held, now) {
    const across = this.frame.width - GUTTER;
    const length = held.view.to - held.view.from;
    const stretched = length * (held.spread / now.spread);
    const from = held.view.from + ((held.x - GUTTER) / across) * length - ((now.x - GUTTER) / across) * stretched;
    this.tip.hide();
    this.top = held.top + Math.round((held.y - now.y) / this.frame.pitch);
    this.show(from, from + stretched);
  }

  leave() {
    this.pointed = null;
    this.tip.hide();
    if (this.frame) this.redrawInk();
  }
}

// The segments of the critical path: row of the page (-1: a rank that is left out), start and end.
function pathOf({ path_row: row, path_duration: duration }) {
  const end = new Float64Array(duration.length);
  let time = 0;
  duration.forEach((each, index) => {
    time += each;
    end[index] = time;
  });
  return { row: Array.from(row, (each) => each - 1), start: end.map((each, index) => each - duration[index]), end };
}
