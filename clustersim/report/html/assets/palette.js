// Values of the style sheet, for canvases. To ask for one may cost a layout: each is asked for once a theme.
const styleValues = new Map();

function colour(name) {
  if (!styleValues.has(name)) {
    styleValues.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  }
  return styleValues.get(name);
}

function rgbOf(hex) {
  return [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));
}

function mixed(first, second, share) {
  const [from, to] = [rgbOf(first), rgbOf(second)];
  return `#${from.map((part, index) => Math.round(part + (to[index] - part) * share).toString(16).padStart(2, "0")).join("")}`;
}

function ramp(stops, share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const index = Math.min(Math.floor(place), stops.length - 2);
  return mixed(stops[index], stops[index + 1], place - index);
}

// Pixels of an ImageData are red, green, blue, alpha in memory: alpha is the highest byte on little-endian machines.
function pixel(hex) {
  const [red, green, blue] = rgbOf(hex);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

// Whether text on a colour is to be dark or light.
function inkOn(hex) {
  const [red, green, blue] = rgbOf(hex).map((part) => (part / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.3 ? "#111111" : "#ffffff";
}

// Makes a canvas as large as its element, in pixels of the screen; returns its context, scaled to CSS pixels.
function fitted(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return context;
}
