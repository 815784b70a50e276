// The page of a comparison: the timelines of all runs, on the scale of the longest.
document.documentElement.classList.add("scripted");
const ROWS_HEIGHT = 150; // CSS pixels of all rows of a run, about

class Picture {
  constructor(canvas, columns, facts, until) {
    Object.assign(this, { canvas, facts });
    this.pixels = new GanttPixels(new GanttData(columns, facts));
    this.pixels.choose({ mode: "category", hidden: new Set(), microbatch: null });
    this.view = { from: 0, to: until };
  }

  redraw(palette) {
    const rows = [...this.facts.rank.keys()];
    const scale = window.devicePixelRatio || 1;
    const room = Math.floor(ROWS_HEIGHT / rows.length);
    const gap = room > 4 ? 1 : 0;
    const rowHeight = Math.min(Math.max(room - gap, 1), 14);
    const width = this.canvas.parentElement.clientWidth;
    const context = fitted(this.canvas, width, rows.length * (rowHeight + gap));
    const image = context.createImageData(this.canvas.width, this.canvas.height);
    this.pixels.draw(image, rows, Math.round(rowHeight * scale), Math.round(gap * scale), this.view, palette);
    context.putImageData(image, 0, 0);
    const end = (this.facts.makespan_ps / this.view.to) * width;
    context.fillStyle = colour("ink");
    context.fillRect(Math.min(end, width - 1), 0, 1, rows.length * (rowHeight + gap));
  }
}

// The columns of one run, which bear its number before their names.
function columnsOf(columns, number) {
  const prefix = `${number}.`;
  const own = Object.entries(columns).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, values]) => [name.slice(prefix.length), values]));
}

async function start() {
  const columns = await unpacked();
  const until = Math.max(1, ...known.runs.map((run) => run.makespan_ps));
  const pictures = known.runs.map((run, number) => {
    const canvas = document.querySelector(`[data-run="${number}"]`);
    canvas.previousElementSibling.append(` ends after ${picoseconds(run.makespan_ps)}`);
    return new Picture(canvas, columnsOf(columns, number), run, until);
  });
  const redraw = () => {
    if (!pictures.length) return;
    const palette = ganttPalette(known.runs[0]).pixels;
    pictures.forEach((picture) => picture.redraw(palette));
  };
  document.querySelectorAll(".sortable").forEach(sortable);
  redraw();
  onTheme(redraw);
  addEventListener("resize", redraw);
  isReady();
}

start();
