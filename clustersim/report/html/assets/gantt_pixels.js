// The slices of the Gantt as pixels. What is wide is drawn as bars. Where slices are narrower than a few pixels, time is
// cut into bins, and a bin of a row is filled from top to bottom by what its time was made of: so a steady state of
// narrow ops shows how much of each there is, and not the one that happened to lie under a pixel.
const BAR_FROM = 3;       // pixels of a typical op from which slices are bars
const LEAST_BIN = 4;       // typical ops, and pixels
const MOST_KEPT_BINS = 20000; // of a row
const SEPARATED_FROM = 6; // pixels of a bar from which its end is marked

const BACKGROUND = 0;     // the first of the palette
const NUM_SHADES = 16;    // of micro-batches
const FIRST_SHADE = 16;
const FIRST_PHASE = FIRST_SHADE + NUM_SHADES;
const NUM_COLOURS = 40;
const DIMMED = NUM_COLOURS; // dimmed ones come after all others

class GanttPixels {
  constructor(data) {
    this.data = data;
    this.paint = new Uint8Array(data.duration.length); // of each slice: its colour, a position in the palette
    this.mostMicrobatches = data.columns.microbatch.reduce((one, other) => Math.max(one, other), 0) + 1;
  }

  // Chooses the colour of each slice.
  choose({ mode, hidden, microbatch }) {
    const { category, columns, facts } = this.data;
    const isUsed = new Uint8Array(2 * NUM_COLOURS);
    for (let index = 0; index < this.paint.length; index += 1) {
      const kind = category[index];
      let paint = kind + 1;
      if (hidden.has(kind)) paint = BACKGROUND;
      else if (facts.categories[kind].letter !== "") {
        const own = columns.microbatch[index];
        if (mode === "microbatch" && own >= 0) paint = FIRST_SHADE + Math.floor((own * NUM_SHADES) / this.mostMicrobatches);
        else if (mode === "phase") paint = FIRST_PHASE + columns.phase[index];
        const isOther = own !== microbatch && columns.backward_microbatch[index] !== microbatch;
        if (microbatch !== null && isOther) paint += DIMMED;
      }
      this.paint[index] = paint;
      isUsed[paint] = 1;
    }
    this.kept = []; // kept[level]: shares by row
    // Of the palette a view uses a few colours: only those are added up.
    this.used = [...isUsed.keys()].filter((paint) => isUsed[paint] && paint !== BACKGROUND);
    this.slot = Uint8Array.from(isUsed.keys(), (paint) => this.used.indexOf(paint) + 1);
  }

  // Draws rows into `image`, each `height` pixels and a gap after it.
  draw(image, rows, height, gap, view, palette) {
    const pixels = new Uint32Array(image.data.buffer);
    const across = image.width;
    const perTime = across / (view.to - view.from);
    pixels.fill(palette[BACKGROUND]);
    const areBars = this.data.typical * perTime >= BAR_FROM;
    const line = new Uint32Array(across);
    const bins = areBars ? null : this.#bins(across, perTime, view);
    rows.forEach((row, place) => {
      const top = place * (height + gap);
      if (areBars) {
        this.#bars(row, line, perTime, view, palette);
        for (let down = 0; down < height; down += 1) pixels.set(line, (top + down) * across);
      } else {
        this.#stack(pixels, across, top, height, bins, this.#sharesOf(row, bins), palette);
      }
    });
    return areBars;
  }

  #bars(row, line, perTime, view, palette) {
    const { data, paint } = this;
    const last = data.first[row + 1];
    line.fill(palette[BACKGROUND]);
    let from = 0;
    for (let index = data.at(row, view.from); index < last && data.start[index] < view.to; index += 1) {
      const to = Math.min(Math.round((data.end(index) - view.from) * perTime), line.length);
      if (to <= from) continue;
      line.fill(palette[paint[index]], from, to);
      if (to - from >= SEPARATED_FROM && data.isOp(index)) line[to - 1] = palette[BACKGROUND];
      from = to;
    }
  }

  // Bins are some typical ops long, times a power of two, their level, and lie on multiples of that: so they stay the
  // same when the view moves, or is zoomed a little. Of a whole run they are added up once, if they are not too many.
  #bins(across, perTime, view) {
    let level = 0;
    while (this.#lengthOf(level) * perTime < LEAST_BIN) level += 1;
    const length = this.#lengthOf(level);
    const count = this.#countOf(level);
    const from = Math.max(0, Math.floor(view.from / length));
    const to = Math.min(count, Math.ceil(view.to / length));
    const areKept = count <= MOST_KEPT_BINS;
    const edges = new Int32Array(to - from + 1);
    for (let bin = from; bin <= to; bin += 1) {
      edges[bin - from] = Math.min(Math.max(Math.round((bin * length - view.from) * perTime), 0), across);
    }
    return { level, from, to, edges, areKept, first: areKept ? 0 : from };
  }

  #lengthOf(level) {
    return LEAST_BIN * this.data.typical * 2 ** level;
  }

  #countOf(level) {
    return Math.ceil(this.data.facts.makespan_ps / this.#lengthOf(level));
  }

  #sharesOf(row, { level, from, to, areKept }) {
    return areKept ? this.#keptShares(row, level) : this.#shares(row, this.#lengthOf(level), from, to);
  }

  // Only the finest bins that are kept are added up from slices, each coarser one from two of the level below.
  #keptShares(row, level) {
    const kept = (this.kept[level] ??= new Map());
    if (!kept.has(row)) {
      const isFinest = level === 0 || this.#countOf(level - 1) > MOST_KEPT_BINS;
      kept.set(row, isFinest
        ? this.#shares(row, this.#lengthOf(level), 0, this.#countOf(level))
        : this.#paired(this.#keptShares(row, level - 1), this.#countOf(level)));
    }
    return kept.get(row);
  }

  #paired(finer, count) {
    const stride = this.used.length + 1;
    const shares = new Float32Array(count * stride);
    for (let place = 0; place < finer.length; place += 1) {
      const bin = Math.floor(place / stride);
      shares[(bin >> 1) * stride + (place - bin * stride)] += finer[place] / 2;
    }
    return shares;
  }

  // How much of each bin of a row each colour takes; of the used colours one after the other, bin by bin.
  #shares(row, length, first, until) {
    const { data, paint, slot } = this;
    const { start, duration } = data;
    const stride = this.used.length + 1;
    const shares = new Float32Array((until - first) * stride);
    const last = data.first[row + 1];
    const end = until * length;
    for (let index = data.at(row, first * length); index < last && start[index] < end; index += 1) {
      const colour = slot[paint[index]];
      const to = Math.min(start[index] + duration[index], end);
      let from = Math.max(start[index], first * length);
      let bin = Math.floor(from / length);
      while (from < to) {
        const next = Math.min(to, (bin + 1) * length);
        shares[(bin - first) * stride + colour] += (next - from) / length;
        from = next;
        bin += 1;
      }
    }
    return shares;
  }

  #stack(pixels, across, top, height, { from, to, first, edges }, shares, palette) {
    const stride = this.used.length + 1;
    for (let bin = from; bin < to; bin += 1) {
      const [left, right] = [edges[bin - from], edges[bin - from + 1]];
      let [total, down] = [0, 0];
      for (let slot = 1; slot < stride; slot += 1) {
        const share = shares[(bin - first) * stride + slot];
        if (share === 0) continue;
        total += share;
        const fill = palette[this.used[slot - 1]];
        const until = Math.min(Math.round(total * height), height);
        for (; down < until; down += 1) {
          const begin = (top + down) * across;
          for (let place = begin + left; place < begin + right; place += 1) pixels[place] = fill;
        }
      }
    }
  }
}

// The colours of slices: the background, categories, shades of micro-batches, phases; then all of them dimmed.
function ganttPalette(facts) {
  const background = colour("track");
  const colours = new Array(NUM_COLOURS).fill(background);
  facts.categories.forEach(({ name }, index) => { colours[index + 1] = colour(`fill-${name.toLowerCase()}`); });
  const stops = [0, 1, 2, 3].map((number) => colour(`shade-${number}`));
  for (let shade = 0; shade < NUM_SHADES; shade += 1) colours[FIRST_SHADE + shade] = ramp(stops, shade / (NUM_SHADES - 1));
  facts.phases.forEach((_, index) => { colours[FIRST_PHASE + index] = colour(`phase-${index}`); });
  const all = [...colours, ...colours.map((each) => mixed(each, background, 0.82))];
  return { colours: all, pixels: Uint32Array.from(all, pixel) };
}
