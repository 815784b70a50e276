// The slices of the Gantt as pixels. What is wide is drawn as bars. Where slices are narrower than a few pixels, time is
// cut into bins, and a bin of a row is filled from top to bottom by what its time was made of: so a steady state of
// narrow ops shows how much of each there is, and not the one that happened to lie under a pixel.
const BAR_FROM = 3;       // pixels of a typical op from which slices are bars
const SLICES_PER_BIN = 5;
const WIDEST_BIN = 8;     // pixels
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
        this.#shares(row, bins, view);
        this.#stack(pixels, across, top, height, bins, palette);
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

  // Bins lie on multiples of their length, so that they do not change when the view moves.
  #bins(across, perTime, view) {
    const wanted = Math.ceil(SLICES_PER_BIN * this.data.typical * perTime);
    const length = Math.min(Math.max(wanted, 2), WIDEST_BIN) / perTime;
    const first = Math.floor(view.from / length);
    const count = Math.ceil(view.to / length) - first;
    const edges = new Int32Array(count + 1);
    for (let bin = 0; bin <= count; bin += 1) {
      const edge = Math.round(((first + bin) * length - view.from) * perTime);
      edges[bin] = Math.min(Math.max(edge, 0), across);
    }
    return { first, length, count, edges, time: new Float64Array(count * (this.used.length + 1)) };
  }

  // Adds up how much time of each colour each bin of a row holds.
  #shares(row, { first, length, count, time }, view) {
    const { data, paint, slot } = this;
    const { start, duration } = data;
    const stride = this.used.length + 1;
    const last = data.first[row + 1];
    time.fill(0);
    for (let index = data.at(row, view.from); index < last && start[index] < view.to; index += 1) {
      const end = start[index] + duration[index];
      let from = start[index];
      let bin = Math.floor(from / length) - first;
      if (bin < 0) [bin, from] = [0, first * length];
      while (from < end && bin < count) {
        const until = Math.min(end, (first + bin + 1) * length);
        if (until > from) time[bin * stride + slot[paint[index]]] += until - from;
        from = until;
        bin += 1;
      }
    }
  }

  #stack(pixels, across, top, height, { length, count, edges, time }, palette) {
    const stride = this.used.length + 1;
    for (let bin = 0; bin < count; bin += 1) {
      const [left, right] = [edges[bin], edges[bin + 1]];
      let [total, down] = [0, 0];
      for (let slot = 1; slot < stride; slot += 1) {
        const share = time[bin * stride + slot];
        if (share === 0) continue;
        total += share;
        const fill = palette[this.used[slot - 1]];
        const until = Math.min(Math.round((total / length) * height), height);
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
