// The page of one run: puts its charts together with their controls.
document.documentElement.classList.add("scripted");

async function start() {
  const columns = await unpacked();
  const data = new GanttData(columns, known.gantt);
  const gantt = new Gantt(document.getElementById("gantt"), data);
  const charts = [gantt];
  const memory = document.getElementById("memory-chart");
  if (memory) {
    const chart = new MemoryChart(memory, data, peakRow(data));
    gantt.onView((shown) => chart.follow(shown));
  }
  const fabric = document.getElementById("fabric-chart");
  if (fabric) charts.push(new Fabric(fabric, columns, known.fabric, known.gantt.makespan_ps));
  control(gantt);
  document.querySelectorAll(".sortable").forEach(sortable);
  gantt.restyle();
  onTheme(() => charts.forEach((chart) => (chart.restyle ? chart.restyle() : chart.redraw())));
  isReady();
}

// The row of the pipeline rank that holds most, in the replica that is shown.
function peakRow(data) {
  const { pp_rank: ppRank, replica, shown_replica: shown } = data.facts;
  const { worst_rank: worst } = known.result.memory;
  return ppRank.findIndex((rank, row) => rank === worst && replica[row] === shown);
}

function control(gantt) {
  const on = (id, event, listener) => document.getElementById(id)?.addEventListener(event, listener);
  on("gantt-colour", "change", ({ target }) => gantt.choose({ mode: target.value }));
  on("gantt-replica", "change", ({ target }) => {
    gantt.showRanks(target.value);
    gantt.redraw();
  });
  on("gantt-microbatch", "input", ({ target }) => gantt.choose({ microbatch: target.value === "" ? null : Number(target.value) }));
  on("gantt-path", "change", ({ target }) => {
    gantt.path = target.checked ? gantt.wholePath : null;
    gantt.redraw();
  });
  const zooms = { in: () => gantt.zoom(ZOOM), out: () => gantt.zoom(1 / ZOOM), all: () => gantt.show(0, known.gantt.makespan_ps) };
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", zooms[button.dataset.zoom]);
  for (const button of document.querySelectorAll("[data-category]")) {
    button.addEventListener("click", () => {
      const [category, shown] = [Number(button.dataset.category), button.getAttribute("aria-pressed") !== "true"];
      button.setAttribute("aria-pressed", String(shown));
      gantt.choice.hidden[shown ? "delete" : "add"](category);
      gantt.choose({});
    });
  }
}

start();
