// The page of a bag: puts playback, charts and the choice of the run together.

const data = JSON.parse(element("data").textContent);
let player = null;
let moveCursors = () => {};

const runs = new Runs(data.runs, (run) => {
  if (run.playback) {
    run.people ??= new People(run.playback, data.skeleton.joints.length);
    player ??= new Player(data.skeleton, (seconds) => moveCursors(seconds));
    player.show(run.people, run.moments, run.truth);
  }
  if (element("player")) element("player").hidden = !run.playback;
}, (plotly, run) => {
  moveCursors = drawCharts(plotly, element("charts"), run.charts, (seconds) => player?.seek(seconds));
  if (player) moveCursors(player.seconds);
});

// #t=12.3&run=1 shows that moment of that run.
function followLink() {
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has("run")) runs.show(Number(asked.get("run")));
  const seconds = Number(asked.get("t"));
  if (!asked.has("t") || !Number.isFinite(seconds) || !player) return;
  player.pause();
  player.seek(seconds);
  element("player").scrollIntoView({ block: "nearest" });
}

followLink();
window.addEventListener("hashchange", followLink);
document.addEventListener("click", (event) => { // the same link again
  const link = event.target.closest("a");
  if (link?.hash && link.hash === location.hash) followLink();
});
whenRecoloured(() => player?.recolour());
