// A note beside the pointer: a title, and what more there is.
function tooltip(parent) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("aria-hidden", "true");
  tip.hidden = true;
  parent.append(tip);
  const move = (event) => {
    const left = event.offsetX + 14 + tip.offsetWidth > parent.clientWidth ? event.offsetX - 14 - tip.offsetWidth : event.offsetX + 14;
    tip.style.transform = `translate(${Math.max(left, 0)}px, ${event.offsetY + 16}px)`;
  };
  return {
    move,
    hide: () => { tip.hidden = true; },
    show: (event, title, more) => {
      const heading = document.createElement("b");
      heading.textContent = title;
      tip.replaceChildren(heading, ...more.map((text) => {
        const line = document.createElement("div");
        line.textContent = text;
        return line;
      }));
      tip.hidden = false;
      move(event);
    },
  };
}
