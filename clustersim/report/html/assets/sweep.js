// The page of a sweep: a measure over an axis, a line for each combination of the other axes.
document.documentElement.classList.add("scripted");
const CHART_HEIGHT = 340;
const MOST_LINES = 8;  // that have colours of their own
// Of each axis: the place of a value among its values.
const PLACES = Object.fromEntries(
  Object.entries(known.sweep.axes).map(([axis, values]) => [axis, new Map(values.map((value, place) => [JSON.stringify(value), place]))]),
);
const MARGIN = { left: 92, right: 20, top: 12, bottom: 30 };

class SweepChart {
  constructor(canvas) {
    this.canvas = canvas;
    this.tip = tooltip(canvas.parentElement);
    this.legend = document.getElementById("sweep-legend");
    canvas.addEventListener("pointermove", (event) => this.#point(event));
    canvas.addEventListener("pointerleave", () => this.tip.hide());
    new ResizeObserver(() => this.axis && this.redraw()).observe(canvas.parentElement);
  }

  choose(measure, axis) {
    Object.assign(this, { measure, axis });
    this.lines = this.#lines();
    this.redraw();
  }

  // Rows by what they have on all axes but the one across.
  #lines() {
    const { axes, rows } = known.sweep;
    const others = Object.keys(axes).filter((name) => name !== this.axis && axes[name].length > 1);
    const placeOf = PLACES[this.axis];
    const lines = new Map();
    for (const row of rows) {
      const value = row[this.measure];
      if (value === null) continue;
      const name = others.map((other) => `${other} ${textOf(other, row[other])}`).join(", ");
      if (!lines.has(name)) lines.set(name, []);
      lines.get(name).push({ place: placeOf.get(JSON.stringify(row[this.axis])), value, unfit: row.status === "unfit" });
    }
    for (const points of lines.values()) points.sort((one, other) => one.place - other.place);
    return [...lines].map(([name, points]) => ({ name, points }));
  }

  redraw() {
    const width = this.canvas.parentElement.clientWidth;
    const context = fitted(this.canvas, width, CHART_HEIGHT);
    context.clearRect(0, 0, width, CHART_HEIGHT);
    context.font = `12px ${colour("font")}`;
    context.textBaseline = "middle";
    const texts = known.texts[this.axis];
    const across = (width - MARGIN.left - MARGIN.right) / Math.max(1, texts.length - 1);
    const largest = Math.max(...this.lines.flatMap(({ points }) => points.map(({ value }) => value)), 0) || 1;
    const floor = CHART_HEIGHT - MARGIN.bottom;
    this.x = (place) => MARGIN.left + (texts.length > 1 ? place * across : (width - MARGIN.left - MARGIN.right) / 2);
    this.y = (value) => floor - (value / largest) * (floor - MARGIN.top);
    this.#grid(context, width, largest, texts);
    const isFew = this.lines.length <= MOST_LINES;
    this.lines.forEach(({ points }, number) => this.#line(context, points, isFew ? colour(`fill-memory-${number}`) : colour("quiet")));
    this.#keys(isFew);
    this.canvas.dataset.lines = this.lines.length;
  }

  #grid(context, width, largest, texts) {
    context.textAlign = "right";
    const step = tickStep(largest, 5);
    for (let number = 0; number * step <= largest * (1 + 1e-9); number += 1) {
      const y = Math.round(this.y(number * step));
      context.fillStyle = colour("rule");
      context.fillRect(MARGIN.left, y, width - MARGIN.left - MARGIN.right, 1);
      context.fillStyle = colour("quiet");
      context.fillText(written(this.measure, number * step), MARGIN.left - 8, Math.max(y, 8));
    }
    context.textAlign = "center";
    const every = Math.ceil(texts.length / Math.max(1, Math.floor(width / 90)));
    texts.forEach((text, place) => {
      if (place % every === 0) context.fillText(text.slice(0, 24), this.x(place), CHART_HEIGHT - 12);
    });
  }

  #line(context, points, ink) {
    context.strokeStyle = ink;
    context.lineWidth = 2;
    context.beginPath();
    points.forEach(({ place, value }, number) => context[number ? "lineTo" : "moveTo"](this.x(place), this.y(value)));
    context.stroke();
    context.lineWidth = 1.5;
    for (const { place, value, unfit } of points) {
      context.beginPath();
      context.arc(this.x(place), this.y(value), 4, 0, 2 * Math.PI);
      context.fillStyle = unfit ? colour("paper") : ink;
      context.fill();
      context.stroke();
    }
    context.lineWidth = 1;
  }

  #keys(isFew) {
    const entries = isFew && this.lines[0]?.name ? this.lines : [];
    this.legend.replaceChildren(...entries.map(({ name }, number) => {
      const entry = document.createElement("li");
      const key = document.createElement("i");
      key.className = `key fill-memory-${number}`;
      entry.append(key, name);
      return entry;
    }));
  }

  #point(event) {
    let [nearest, distance] = [null, 18];
    for (const { name, points } of this.lines) {
      for (const point of points) {
        const far = Math.hypot(this.x(point.place) - event.offsetX, this.y(point.value) - event.offsetY);
        if (far < distance) [nearest, distance] = [{ name, point }, far];
      }
    }
    if (!nearest) {
      this.tip.hide();
      return;
    }
    const { name, point } = nearest;
    const more = [`${this.axis} ${known.texts[this.axis][point.place]}`, ...(name ? [name] : []), ...(point.unfit ? ["does not fit in memory"] : [])];
    const where = { offsetX: event.offsetX, offsetY: event.offsetY + this.canvas.offsetTop };
    this.tip.show(where, written(this.measure, point.value), more);
  }
}

function textOf(axis, value) {
  return known.texts[axis][PLACES[axis].get(JSON.stringify(value))];
}

// As sweep_page.py writes the columns of a table.
function written(measure, value) {
  if (measure.endsWith("_per_s")) return value === 0 ? "0" : digits(value);
  if (measure.endsWith("_s")) return seconds(value);
  if (measure.endsWith("_bytes")) return size(value);
  if (measure.endsWith("_fraction") || measure.endsWith("_overhead")) return percent(value);
  return value === 0 ? "0" : digits(value);
}

function start() {
  const chart = new SweepChart(document.getElementById("sweep-chart"));
  const [measure, axis] = ["sweep-measure", "sweep-axis"].map((id) => document.getElementById(id));
  const choose = () => chart.choose(measure.value, axis.value);
  measure.addEventListener("change", choose);
  axis.addEventListener("change", choose);
  document.querySelectorAll(".sortable").forEach(sortable);
  choose();
  onTheme(() => chart.redraw());
  isReady();
}

start();
