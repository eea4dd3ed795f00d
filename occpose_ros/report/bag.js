// The page of a bag: puts playback, charts and the choice of the run together.

const data = JSON.parse(element("data").textContent);
let player = null;
let plotly = null;
let moveCursors = () => {};
let shown = -1;

function showRun(index) {
  if (index === shown || !data.runs[index]) return;
  shown = index;
  const run = data.runs[index];
  for (const part of document.querySelectorAll("[data-run]")) part.hidden = Number(part.dataset.run) !== index;
  if (element("run")) element("run").value = String(index);
  if (run.playback) {
    run.people ??= new People(run.playback, data.skeleton.joints.length);
    player ??= new Player(data.skeleton, (seconds) => moveCursors(seconds));
    player.show(run.people, run.moments);
  }
  if (element("player")) element("player").hidden = !run.playback;
  showCharts();
}

function showCharts() {
  if (!plotly) return;
  moveCursors = drawCharts(plotly, element("charts"), data.runs[shown].charts, (seconds) => player?.seek(seconds));
  if (player) moveCursors(player.seconds);
}

// #t=12.3&run=1 shows that moment of that run.
function followLink() {
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has("run")) showRun(Number(asked.get("run")));
  const seconds = Number(asked.get("t"));
  if (!asked.has("t") || !Number.isFinite(seconds) || !player) return;
  player.pause();
  player.seek(seconds);
  element("player").scrollIntoView({ block: "nearest" });
}

showRun(0);
followLink();
window.addEventListener("hashchange", followLink);
document.addEventListener("click", (event) => { // the same link again
  if (event.target.closest("a")?.hash === location.hash) followLink();
});
element("run")?.addEventListener("change", (event) => showRun(Number(event.target.value)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { player?.recolour(); showCharts(); });
loadPlotly().then((loaded) => { plotly = loaded; showCharts(); });
