// What is written and drawn over the slices: the axis of time, names of ranks and ops, and what is pointed at.
const GUTTER = 112; // for names of ranks
const AXIS = 22;
const LABELLED_FROM = 12; // height of a row that has room for text
const MOST_LABELS = 1500;

class GanttInk {
  constructor(data) {
    this.data = data;
    this.widths = new Map();
  }

  draw(context, frame) {
    context.clearRect(0, 0, frame.width, frame.height);
    context.font = `12px ${colour("font")}`;
    context.textBaseline = "middle";
    this.#axis(context, frame);
    this.#ranks(context, frame);
    if (frame.areBars && frame.rowHeight >= LABELLED_FROM) this.#labels(context, frame);
    if (frame.path) this.#path(context, frame);
    if (frame.pointed) this.#outline(context, frame, frame.pointed, 1);
    if (frame.selected) this.#outline(context, frame, frame.selected, 2);
  }

  #axis(context, frame) {
    context.fillStyle = colour("quiet");
    context.strokeStyle = colour("rule");
    context.textAlign = "left";
    const count = Math.max(2, Math.floor((frame.width - GUTTER) / 110));
    for (const [time, text] of timeTicks(frame.view.from, frame.view.to, count)) {
      const x = Math.round(frame.x(time)) + 0.5;
      context.beginPath();
      context.moveTo(x, AXIS - 5);
      context.lineTo(x, AXIS - 1);
      context.stroke();
      if (x + 4 + context.measureText(text).width < frame.width) context.fillText(text, x + 4, AXIS / 2);
    }
  }

  #ranks(context, frame) {
    context.fillStyle = colour("quiet");
    context.textAlign = "right";
    const every = Math.max(1, Math.ceil(14 / frame.pitch));
    const several = new Set(frame.rows.map((row) => this.data.facts.replica[row])).size > 1;
    frame.rows.forEach((row, place) => {
      if (place % every) return;
      const { pp_rank: ppRank, replica } = this.data.facts;
      const name = several ? `rank ${ppRank[row]}, replica ${replica[row]}` : `rank ${ppRank[row]}`;
      const middle = frame.y(place) + Math.max(frame.rowHeight / 2, every > 1 ? 5 : 0);
      context.fillText(name, GUTTER - 8, middle, GUTTER - 10);
    });
  }

  #labels(context, frame) {
    const { data } = this;
    context.textAlign = "left";
    context.font = `11px ${colour("font")}`;
    let left = MOST_LABELS;
    frame.rows.forEach((row, place) => {
      const middle = frame.y(place) + frame.rowHeight / 2 + 0.5;
      for (let index = data.at(row, frame.view.from); index < data.first[row + 1] && left > 0; index += 1) {
        if (data.start[index] >= frame.view.to) break;
        const from = Math.max(frame.x(data.start[index]), GUTTER);
        const room = Math.min(frame.x(data.end(index)), frame.width) - from - 4;
        if (room < 6) continue;
        const text = data.label(index);
        if (text === "" || this.#width(context, text) > room) continue;
        context.fillStyle = frame.inkOf(index);
        context.fillText(text, from + 2, middle);
        left -= 1;
      }
    });
  }

  #width(context, text) {
    let width = this.widths.get(text);
    if (width === undefined) {
      width = context.measureText(text).width;
      this.widths.set(text, width);
    }
    return width;
  }

  #outline(context, frame, { row, index }, thickness) {
    const place = frame.rows.indexOf(row);
    if (place < 0) return;
    const from = Math.max(frame.x(this.data.start[index]), GUTTER);
    const to = Math.min(frame.x(this.data.end(index)), frame.width);
    if (to < GUTTER || from > frame.width) return;
    context.strokeStyle = colour("ink");
    context.lineWidth = thickness;
    context.strokeRect(from - 0.5, frame.y(place) - 0.5, Math.max(to - from, 2) + 1, frame.rowHeight + 1);
    context.lineWidth = 1;
  }

  // The critical path: along the rows that it passes, and from one to the next where it changes rank. It is bordered, so
  // that it can be seen on any colour.
  #path(context, frame) {
    const width = Math.min(2.5, Math.max(1.25, frame.rowHeight / 6));
    const line = this.#pathLine(frame);
    context.lineJoin = "round";
    context.strokeStyle = colour("paper");
    context.lineWidth = width + 2;
    context.stroke(line);
    context.strokeStyle = colour("path");
    context.lineWidth = width;
    context.stroke(line);
    context.lineWidth = 1;
  }

  #pathLine(frame) {
    const { row, start, end } = frame.path;
    const placeOf = new Map(frame.rows.map((each, place) => [each, place]));
    const line = new Path2D();
    let isDrawing = false;
    for (let index = 0; index < row.length; index += 1) {
      if (end[index] < frame.view.from) continue;
      if (start[index] > frame.view.to) break;
      const place = placeOf.get(row[index]);
      if (place === undefined) {
        isDrawing = false;
        continue;
      }
      const [from, to] = [start[index], end[index]].map((time) => Math.min(Math.max(frame.x(time), GUTTER), frame.width));
      // Below what is written into slices, where there is room for that.
      const y = frame.y(place) + (frame.rowHeight >= LABELLED_FROM ? frame.rowHeight - 3 : frame.rowHeight / 2);
      line[isDrawing ? "lineTo" : "moveTo"](from, y);
      line.lineTo(to, y);
      isDrawing = true;
    }
    return line;
  }
}
