// Tables whose rows can be put in order by any column, by the exact values behind what is written.
function sortable(table) {
  const heads = [...table.querySelectorAll("thead tr:last-child th")];
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const isDown = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      sortRows(table.tBodies[0], column, isDown);
    });
  });
}

function sortRows(body, column, isDown) {
  const keyed = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
  keyed.sort(([one], [other]) => (isDown ? -1 : 1) * compared(one, other));
  body.append(...keyed.map(([, row]) => row));
}

function valueOf(cell) {
  const exact = cell.querySelector("data");
  const text = exact ? exact.value : cell.textContent;
  return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

function compared(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), "en", { numeric: true });
}
