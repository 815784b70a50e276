// What every page has: its theme, and the time at which it was ready.
const THEMES = ["", "light", "dark"];

function onTheme(redraw) {
  const listener = () => {
    styleValues.clear();
    redraw();
  };
  const button = document.getElementById("theme");
  let place = 0;
  button.addEventListener("click", () => {
    place = (place + 1) % THEMES.length;
    document.documentElement.dataset.theme = THEMES[place];
    button.textContent = `Theme: ${THEMES[place] || "system"}`;
    listener();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listener);
}

// Says when the page can be used: after the frame that holds its first drawing.
function isReady() {
  requestAnimationFrame(() => setTimeout(() => { document.documentElement.dataset.ready = performance.now().toFixed(1); }, 0));
}
