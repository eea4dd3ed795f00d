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
  moveCursors = drawCharts(plotly, element("charts"), run.charts, (seconds) => player?.goTo(seconds));
  if (player) moveCursors(player.seconds);
});

// #t=12.3&run=1 shows that moment of that run.
followLinks((asked) => {
  runs.show(Number(asked.get("run") ?? runs.shown));
  const seconds = Number(asked.get("t"));
  if (asked.has("t") && Number.isFinite(seconds)) player?.goTo(seconds);
});
whenRecoloured(() => player?.recolour());
