// The heat map of links on the fabric: bands of nodes, and between them bands of the links that join them.
const FABRIC_GUTTER = 150;
const FABRIC_END = 64;     // for the largest use in a band
const NODE_BAND = 16;
const LINK_BAND = 30;
const EXTENT = 1e6;        // extents are whole numbers of this part of the width

class Fabric {
  constructor(canvas, columns, facts, makespan) {
    Object.assign(this, { canvas, columns, facts });
    this.output = document.getElementById("fabric-told");
    this.tip = tooltip(canvas.parentElement);
    this.use = Float64Array.from(columns.link_busy, (busy) => busy / (makespan || 1));
    this.bands = this.#bands();
    this.selected = null;
    this.#listen();
  }

  // Bands from the top down: nodes of a kind, then the links to what is below them; of links, the busiest last.
  #bands() {
    const { link_lower: lower, link_upper: upper, link_up: up, node_group: group } = this.columns;
    const links = new Map();
    for (let link = 0; link < lower.length; link += 1) {
      const key = `${upper[link]} ${lower[link]}`;
      if (!links.has(key)) links.set(key, []);
      links.get(key).push(link);
    }
    const bands = [];
    let top = 4;
    const add = (band, height) => { bands.push({ ...band, top, height }); top += height + 3; };
    const linksBetween = (above, below) => {
      const among = links.get(`${above} ${below}`);
      if (!among) return;
      among.sort((one, other) => this.use[one] - this.use[other]);
      const names = above === below ? `between ${this.facts.groups[above]}` : `${this.facts.groups[below]} – ${this.facts.groups[above]}`;
      const busiest = this.use[among[among.length - 1]];
      const carried = among.some((link) => this.columns.link_bytes[link] > 0);
      const beside = busiest ? percent(busiest) : carried ? "no limit" : "not used";
      add({ links: among, name: names, busiest, beside, halves: above !== below && among.some((link) => up[link]) && among.some((link) => !up[link]) }, LINK_BAND);
    };
    for (let above = this.facts.groups.length - 1; above >= 0; above -= 1) {
      linksBetween(above, above);
      const nodes = [...group.keys()].filter((node) => group[node] === above);
      if (nodes.length) add({ nodes, name: this.facts.groups[above] }, NODE_BAND);
      for (let below = above - 1; below >= 0; below -= 1) linksBetween(above, below);
    }
    this.height = top + 2;
    return bands;
  }

  redraw() {
    this.width = this.canvas.parentElement.clientWidth;
    this.gutter = this.width < 560 ? 96 : FABRIC_GUTTER;
    const context = fitted(this.canvas, this.width, this.height);
    context.clearRect(0, 0, this.width, this.height);
    context.font = `12px ${colour("font")}`;
    context.textBaseline = "middle";
    const stops = [0, 1, 2, 3].map((number) => colour(`heat-${number}`));
    const [idle, shades] = [colour("track"), Array.from({ length: 101 }, (_, share) => ramp(stops, share / 100))];
    for (const band of this.bands) {
      this.#caption(context, band);
      if (band.nodes) this.#nodes(context, band);
      else for (const link of band.links) this.#cell(context, band, link, this.use[link] > 0 ? shades[Math.round(Math.min(this.use[link], 1) * 100)] : idle);
    }
    if (this.selected !== null) this.#outline(context, this.selected);
    if (this.pointed !== undefined && this.pointed !== null) this.#outline(context, this.pointed);
  }

  #x(extent) {
    return this.gutter + (extent / EXTENT) * (this.width - this.gutter - FABRIC_END);
  }

  #caption(context, band) {
    const middle = band.top + band.height / 2;
    context.textAlign = "right";
    context.fillStyle = band.nodes ? colour("ink") : colour("quiet");
    context.fillText(band.name, this.gutter - 10, middle, this.gutter - 12);
    if (band.nodes) return;
    context.textAlign = "left";
    context.fillStyle = band.busiest ? colour("ink") : colour("quiet");
    context.fillText(band.beside, this.width - FABRIC_END + 8, middle);
  }

  #nodes(context, band) {
    const { node_left: left, node_right: right } = this.columns;
    const gap = this.#x(right[band.nodes[0]]) - this.#x(left[band.nodes[0]]) > 4 ? 1 : 0;
    context.textAlign = "center";
    for (const node of band.nodes) {
      const [from, to] = [this.#x(left[node]), this.#x(right[node])];
      context.fillStyle = colour("node");
      context.fillRect(from, band.top, Math.max(to - from - gap, 0.5), band.height);
      const name = this.facts.names[node];
      if (to - from < 24 || context.measureText(name).width > to - from - 6) continue;
      context.fillStyle = colour("ink");
      context.fillText(name, (from + to) / 2, band.top + band.height / 2 + 0.5);
    }
  }

  #box(band, link) {
    const { link_left: left, link_right: right, link_up: up } = this.columns;
    const [from, to] = [this.#x(left[link]), this.#x(right[link])];
    const gap = to - from > 4 ? 1 : 0;
    const half = band.halves ? band.height / 2 : band.height;
    const top = band.top + (band.halves && !up[link] ? half : 0);
    return [from, top, Math.max(to - from - gap, 0.75), half - (band.halves ? 0.5 : 0)];
  }

  #cell(context, band, link, fill) {
    context.fillStyle = fill;
    context.fillRect(...this.#box(band, link));
  }

  #outline(context, link) {
    const band = this.bands.find(({ links }) => links?.includes(link));
    const [left, top, width, height] = this.#box(band, link);
    context.strokeStyle = colour("ink");
    context.lineWidth = 2;
    context.strokeRect(left - 1, top - 1, width + 2, height + 2);
    context.lineWidth = 1;
  }

  at(x, y) {
    const band = this.bands.find(({ links, top, height }) => links && y >= top && y < top + height);
    if (!band) return null;
    for (let place = band.links.length - 1; place >= 0; place -= 1) {
      const [left, top, width, height] = this.#box(band, band.links[place]);
      if (x >= left && x < left + Math.max(width, 1) && y >= top && y < top + height) return band.links[place];
    }
    return null;
  }

  told(link) {
    const { names } = this.facts;
    const { link_source: source, link_target: target, link_bytes: bytes, link_lost: lost } = this.columns;
    const more = [`${percent(this.use[link])} busy`, `${size(bytes[link])} carried`];
    if (lost[link]) more.push(`${picoseconds(lost[link])} lost by queueing and sharing`);
    return [`${names[source[link]]} → ${names[target[link]]}`, more];
  }

  #select(link) {
    this.selected = link;
    const [title, more] = this.told(link);
    this.output.textContent = `${title}: ${more.join(" · ")}`;
    this.redraw();
  }

  // Goes along a band by place, or to the band above or below; at first to the busiest link of all.
  #step(along, down) {
    const bands = this.bands.filter(({ links }) => links);
    if (this.selected === null) {
      const busiest = bands.reduce((one, other) => (other.busiest > one.busiest ? other : one));
      this.#select(busiest.links[busiest.links.length - 1]);
      return;
    }
    const { link_left: left, link_up: up } = this.columns;
    const number = bands.findIndex(({ links }) => links.includes(this.selected));
    const next = bands[Math.min(Math.max(number + down, 0), bands.length - 1)];
    const inOrder = next.links.toSorted((one, other) => left[one] - left[other] || up[other] - up[one]);
    const place = down ? 0 : Math.min(Math.max(inOrder.indexOf(this.selected) + along, 0), inOrder.length - 1);
    this.#select(down && next !== bands[number] ? next.links[next.links.length - 1] : inOrder[place]);
  }

  #listen() {
    const { canvas } = this;
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      if (!steps[event.key]) return;
      event.preventDefault();
      this.#step(...steps[event.key]);
    });
    canvas.addEventListener("pointermove", (event) => {
      const found = this.at(event.offsetX, event.offsetY);
      const where = { offsetX: event.offsetX, offsetY: event.offsetY + canvas.offsetTop };
      if (found !== this.pointed) {
        this.pointed = found;
        this.redraw();
      }
      if (found === null) this.tip.hide();
      else this.tip.show(where, ...this.told(found));
    });
    canvas.addEventListener("pointerleave", () => {
      this.pointed = null;
      this.tip.hide();
      this.redraw();
    });
    canvas.addEventListener("click", () => this.pointed !== null && this.#select(this.pointed));
    new ResizeObserver(() => this.redraw()).observe(canvas.parentElement);
  }
}
