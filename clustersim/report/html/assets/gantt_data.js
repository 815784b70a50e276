// The slices of the Gantt: each row's time without a gap, as slices.py wrote it.
class GanttData {
  constructor(columns, facts) {
    this.facts = facts;
    this.first = columns.first;
    this.duration = columns.duration;
    this.category = Uint8Array.from(columns.category);
    this.columns = columns;
    this.numRows = facts.rank.length;
    this.start = new Float64Array(this.duration.length);
    for (let row = 0; row < this.numRows; row += 1) {
      let time = 0;
      for (let index = this.first[row]; index < this.first[row + 1]; index += 1) {
        this.start[index] = time;
        time += this.duration[index];
      }
    }
    for (const name of ["microbatch", "backward_microbatch"]) this.#count(columns[name]);
    this.typical = this.#typical();
  }

  // Counters are steps since the last slice of the same category of the row: adds them up, in place.
  #count(steps) {
    const last = new Float64Array(this.facts.categories.length);
    for (let row = 0; row < this.numRows; row += 1) {
      last.fill(0);
      for (let index = this.first[row]; index < this.first[row + 1]; index += 1) {
        last[this.category[index]] += steps[index];
        steps[index] = last[this.category[index]];
      }
    }
    for (let index = 0; index < steps.length; index += 1) steps[index] -= 1;
  }

  // The median length of an op, from a sample.
  #typical() {
    const sample = [];
    const step = Math.max(1, Math.floor(this.duration.length / 5000));
    for (let index = 0; index < this.duration.length; index += step) {
      if (this.isOp(index) && this.duration[index] > 0) sample.push(this.duration[index]);
    }
    sample.sort((one, other) => one - other);
    return sample.length ? sample[sample.length >> 1] : this.facts.makespan_ps;
  }

  isOp(index) {
    return this.facts.categories[this.category[index]].letter !== "";
  }

  isExposed(index) {
    return this.facts.categories[this.category[index]].name === "exposed";
  }

  end(index) {
    return this.start[index] + this.duration[index];
  }

  // The slice of a row that a time lies in.
  at(row, time) {
    let [low, high] = [this.first[row], this.first[row + 1] - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.start[middle] <= time) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  rowOf(index) {
    let row = 0;
    while (this.first[row + 1] <= index) row += 1;
    return row;
  }

  rankName(row) {
    const { pp_rank: ppRank, replica } = this.facts;
    const several = replica[0] !== replica[replica.length - 1];
    return `rank ${ppRank[row]}${several ? ` of replica ${replica[row]}` : ""}`;
  }

  // F12, or F12 B9 for two that overlap; of communication that is waited for, its axis.
  label(index) {
    const { axis, microbatch, backward_microbatch: backward } = this.columns;
    if (!this.isOp(index)) return this.isExposed(index) ? this.facts.axis_names[axis[index]] : "";
    const letter = this.facts.categories[this.category[index]].letter;
    if (backward[index] >= 0) return `F${microbatch[index]} B${backward[index]}`;
    return microbatch[index] < 0 ? letter : `${letter}${microbatch[index]}`;
  }

  // Everything that is known of a slice, in words: [title, more].
  told(row, index) {
    const { categories, phases } = this.facts;
    const { phase, stage, step } = this.columns;
    const times = `${picoseconds(this.duration[index])}, from ${picoseconds(this.start[index])} to ${picoseconds(this.end(index))}`;
    const meaning = categories[this.category[index]].meaning;
    const title = this.isOp(index) ? `${this.label(index)} ${meaning}` : meaning;
    const more = [`${this.rankName(row)}, GPU ${this.facts.gpu[row]}`, times];
    if (this.isOp(index) && stage[index] > 0) more.push(`stage ${stage[index] - 1}`);
    if (!this.isOp(index)) more.push(...this.#why(row, index));
    more.push(phases[phase[index]]);
    if (this.facts.num_steps > 1) more.push(`step ${step[index]}`);
    return [title, more];
  }

  #why(row, index) {
    const { axis, cause, peer, microbatch } = this.columns;
    const why = [];
    if (this.facts.categories[this.category[index]].name === "bubble") why.push(this.facts.causes[cause[index]]);
    if (axis[index] > 0) why.push(`waits for ${this.facts.axes[axis[index]]}`);
    if (peer[index] > 0) why.push(`from rank ${peer[index] - 1}`);
    if (microbatch[index] >= 0) why.push(`for micro-batch ${microbatch[index]}`);
    return why;
  }
}
