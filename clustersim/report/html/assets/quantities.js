// Numbers as clustersim/report/quantities.py writes them: four significant digits, and a sensible unit.
const PS_PER_S = 1e12;
const NUM_DIGITS = 4;
const TIME_UNITS = [[1, "s"], [1e-3, "ms"], [1e-6, "us"], [1e-9, "ns"], [1e-12, "ps"]];
const LONG_TIME_UNITS = [[3600, "h"], ...TIME_UNITS];
const SIZE_UNITS = ["PiB", "TiB", "GiB", "MiB", "KiB", "B"].map((unit, index) => [1024 ** (5 - index), unit]);

function digits(value) {
  const power = Number(value.toExponential(NUM_DIGITS - 1).split("e")[1]);
  return value.toFixed(Math.max(0, NUM_DIGITS - 1 - power));
}

function inUnit(value, units) {
  const rounded = Math.abs(Number(value.toExponential(NUM_DIGITS - 1)));  // 999.96 ms is a second
  const [factor, unit] = units.find(([each]) => rounded >= each) ?? units[units.length - 1];
  return `${digits(value / factor)} ${unit}`;
}

function seconds(value) {
  return value === 0 ? "0 s" : inUnit(value, Math.abs(value) >= 1e4 ? LONG_TIME_UNITS : TIME_UNITS);
}

function picoseconds(value) {
  return seconds(value / PS_PER_S);
}

function size(value) {
  return Math.abs(value) < 1024 ? `${value} B` : inUnit(value, SIZE_UNITS);
}

function percent(value) {
  return `${(100 * value).toFixed(2)} %`;
}

// The distance of ticks, 1, 2 or 5 times a power of ten, of which about `count` fit into `span`.
function tickStep(span, count) {
  const power = 10 ** Math.floor(Math.log10(span / count));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => span / step <= count);
}

// Ticks of times from `from` to `to` [ps]: [time, text], all in one unit.
function timeTicks(from, to, count) {
  const step = tickStep(to - from, count);
  const largest = Math.max(Math.abs(to), step) / PS_PER_S;
  const [factor, unit] = TIME_UNITS.find(([each]) => largest >= each) ?? TIME_UNITS[TIME_UNITS.length - 1];
  const places = Math.max(0, -Math.floor(Math.log10(step / PS_PER_S / factor) + 1e-9));
  const ticks = [];
  for (let number = Math.ceil(from / step); number * step <= to; number += 1) {
    const time = number * step;
    ticks.push([time, `${(time / PS_PER_S / factor).toFixed(places)} ${unit}`]);
  }
  return ticks;
}
