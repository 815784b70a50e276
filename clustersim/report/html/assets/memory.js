// Memory over time of the rank that the Gantt has selected, in the part of time that the Gantt shows.
const MEMORY_HEIGHT = 190;
const SIZE_GUTTER = GUTTER;

class MemoryChart {
  constructor(canvas, data, peakRow) {
    this.canvas = canvas;
    this.data = data;
    this.peakRow = peakRow;
    this.name = document.getElementById("memory-rank");
    this.peak = document.getElementById("memory-peak");
    this.row = null;
  }

  follow(gantt) {
    const row = gantt.selected ? gantt.selected.row : this.peakRow;
    if (row !== this.row) {
      this.row = row;
      this.levels = this.#levels(row);
      this.name.textContent = this.data.rankName(row);
    }
    this.view = gantt.view;
    this.redraw();
  }

  // What the ops of a row hold over time: [time, bytes], the changes of one time together.
  #levels(row) {
    const { first, start, columns } = this.data;
    const changes = [];
    for (let index = first[row]; index < first[row + 1]; index += 1) {
      const taken = columns.start_bytes[columns.change[index]];
      const left = columns.end_bytes[columns.change[index]];
      if (taken) changes.push([start[index], taken]);
      if (left) changes.push([this.data.end(index), left]);
    }
    const [times, bytes] = [[0], [0]];
    for (const [time, change] of changes) {
      if (time === times[times.length - 1]) bytes[bytes.length - 1] += change;
      else {
        times.push(time);
        bytes.push(bytes[bytes.length - 1] + change);
      }
    }
    return { times, bytes };
  }

  // The bands that stay for the whole run, from below, and at last the one that moves.
  #bands() {
    const { static: parts } = this.data.facts;
    const held = parts.filter(({ bytes }) => bytes !== null).map(({ name, colour: fill, bytes }) => ({ name, fill, bytes: bytes[this.row] }));
    const moving = parts.find(({ bytes }) => bytes === null);
    return { held, moving };
  }

  redraw() {
    const width = this.canvas.parentElement.clientWidth;
    const context = fitted(this.canvas, width, MEMORY_HEIGHT);
    context.clearRect(0, 0, width, MEMORY_HEIGHT);
    context.font = `12px ${colour("font")}`;
    context.textBaseline = "middle";
    const { held, moving } = this.#bands();
    const capacity = this.data.facts.capacity_bytes;
    const base = held.reduce((sum, band) => sum + band.bytes, 0);
    const peak = base + this.levels.bytes.reduce((one, other) => Math.max(one, other), 0);
    const [top, bottom] = [14, MEMORY_HEIGHT - 4];
    const y = (bytes) => bottom - (bytes / (Math.max(capacity ?? 0, peak) * 1.04)) * (bottom - top);
    this.#grid(context, width, y, Math.max(capacity ?? 0, peak));
    let below = 0;
    for (const band of held) {
      context.fillStyle = colour(`fill-${band.fill}`);
      context.fillRect(SIZE_GUTTER, y(below + band.bytes), width - SIZE_GUTTER, y(below) - y(below + band.bytes));
      below += band.bytes;
    }
    if (moving) this.#area(context, width, base, y, colour(`fill-${moving.colour}`));
    if (capacity !== null) this.#capacity(context, width, y(capacity), capacity);
    this.#describe(peak, capacity);
  }

  #grid(context, width, y, largest) {
    const [factor, unit] = SIZE_UNITS.find(([each]) => largest >= each);
    const step = tickStep(largest / factor, 4);
    context.textAlign = "right";
    for (let value = 0; value * factor <= largest; value += step) {
      context.fillStyle = colour("quiet");
      context.fillText(value === 0 ? "0" : `${Number(value.toPrecision(6))} ${unit}`, SIZE_GUTTER - 8, Math.max(y(value * factor), 8));
      context.fillStyle = colour("rule");
      context.fillRect(SIZE_GUTTER, Math.round(y(value * factor)), width - SIZE_GUTTER, 1);
    }
  }

  // For each pixel the most that was held within it, so that no peak is lost.
  #area(context, width, base, y, fill) {
    const { times, bytes } = this.levels;
    const perPixel = (this.view.to - this.view.from) / (width - SIZE_GUTTER);
    const floor = y(base);
    context.fillStyle = fill;
    let index = 0;
    for (let x = SIZE_GUTTER; x < width; x += 1) {
      const from = this.view.from + (x - SIZE_GUTTER) * perPixel;
      while (index + 1 < times.length && times[index + 1] <= from) index += 1;
      let most = bytes[index];
      for (let next = index + 1; next < times.length && times[next] < from + perPixel; next += 1) most = Math.max(most, bytes[next]);
      if (most > 0) context.fillRect(x, y(base + most), 1, floor - y(base + most));
    }
  }

  #capacity(context, width, at, capacity) {
    context.strokeStyle = colour("ink");
    context.setLineDash([5, 3]);
    context.beginPath();
    context.moveTo(SIZE_GUTTER, Math.round(at) + 0.5);
    context.lineTo(width, Math.round(at) + 0.5);
    context.stroke();
    context.setLineDash([]);
    context.fillStyle = colour("ink");
    context.textAlign = "right";
    context.fillText(`capacity ${size(capacity)}`, width - 2, at - 8);
  }

  #describe(peak, capacity) {
    const of = capacity === null ? "" : ` of ${size(capacity)}`;
    this.canvas.setAttribute("aria-label", `Memory of ${this.data.rankName(this.row)} over time; it peaks at ${size(peak)}${of}`);
    this.peak.textContent = size(peak);
    this.canvas.dataset.peakBytes = peak;
  }
}
