// Charts with plotly: what a chart shows comes with the data, how it looks is here.

const MARGIN = { l: 52, r: 12, t: 8, b: 44 };
const ROLES = { // colour, dash, marker, fill pattern: any one of them tells two apart
  visible: ["measured", "solid", "circle", ""],
  hidden: ["filled", "solid", "square", "/"],
  not_in_layout: ["third", "dashdot", "diamond", "."],
  other: ["fourth", "longdash", "x", "x"],
  baseline: ["truth", "dot", "triangle-up", "-"],
  "baseline hold": ["truth", "dash", "triangle-up", "-"],
  "baseline constant_velocity": ["truth", "dot", "triangle-down", "-"],
  "baseline mean_pose": ["truth", "dashdot", "star", "-"],
};

// Draw all charts of a run into a box. seek: called with the second that was clicked. Returns what moves the cursors.
function drawCharts(plotly, box, charts, seek) {
  box.querySelectorAll(".plot").forEach((plot) => plotly.purge(plot));
  box.replaceChildren(...charts.map((chart) => figureOf(chart)));
  const cursors = [];
  charts.forEach((chart, n) => {
    const plot = box.children[n].querySelector(".plot");
    plotly.newPlot(plot, tracesOf(chart), layoutOf(chart, plot), { displayModeBar: false, responsive: true });
    if (chart.clock) cursors.push(cursorOn(plot, seek));
  });
  return (seconds) => cursors.forEach((move) => move(seconds));
}

function figureOf(chart) {
  const figure = document.createElement("figure");
  figure.className = chart.clock || chart.kind === "bars" ? "wide" : "";
  const [title, plot, note] = ["h2", "div", "figcaption"].map((name) => document.createElement(name));
  title.textContent = chart.title;
  plot.className = "plot";
  plot.style.height = chart.kind === "bars" ? `${90 + 16 * 2 * chart.series[0].x.length}px` : "300px";
  note.textContent = chart.note;
  figure.append(title, plot, note);
  return figure;
}

// plotly reads some HTML in names; names are foreign text.
function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function tracesOf(chart) {
  const colours = readColours();
  return chart.series.map((series) => {
    const [colour, dash, symbol, shape] = ROLES[series.role] ?? ROLES.other;
    const common = { name: plain(series.name), hovertemplate: "%{fullData.name}: %{y}<extra></extra>" };
    if (chart.kind === "bars") {
      const marker = { color: colours[colour], pattern: { shape, fgcolor: colours.paper, size: 5, solidity: 0.25 } };
      return { ...common, type: "bar", orientation: "h", y: series.x, x: series.y, marker, hovertemplate: "%{y}, %{fullData.name}: %{x} mm<extra></extra>" };
    }
    if (chart.kind === "histogram") return { ...common, type: "bar", x: series.x, y: series.y, marker: { color: colours[colour] }, hovertemplate: "%{x} ms: %{y}<extra></extra>" };
    const line = { color: colours[colour], dash, width: 2 };
    const marker = { symbol, size: 7, color: colours[colour] };
    return { ...common, type: "scatter", mode: chart.kind === "steps" ? "lines+markers" : "lines", x: series.x, y: series.y, line, marker, connectgaps: false };
  });
}

function layoutOf(chart, plot) {
  const colours = readColours();
  const axis = { gridcolor: colours.line, zeroline: false, linecolor: colours.line, automargin: false, fixedrange: true };
  const bars = chart.kind === "bars";
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12.5, color: colours.ink },
    margin: { ...MARGIN, l: bars ? 104 : MARGIN.l, t: chart.series.length > 1 ? 34 : MARGIN.t },
    xaxis: { ...axis, title: { text: chart.x, standoff: 6 }, rangemode: "tozero" },
    yaxis: { ...axis, title: { text: chart.y, standoff: 4 }, rangemode: "tozero" },
    showlegend: chart.series.length > 1,
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
    hovermode: bars ? "closest" : "x unified",
    hoverlabel: { bgcolor: colours.paper, bordercolor: colours.line, font: { color: colours.ink } },
    bargap: bars ? 0.25 : 0.05,
  };
  if (bars) Object.assign(layout.yaxis, { autorange: "reversed", showgrid: false });
  if (chart.kind === "steps") {
    const ticks = chart.series[0].x;
    Object.assign(layout.xaxis, { type: "log", tickvals: ticks, ticktext: ticks.map(String), rangemode: "normal" });
    layout.yaxis.range = [0, highest(chart)];
  }
  if (chart.marks) Object.assign(layout, marksOf(chart.marks, colours));
  return layout;
}

// Baselines that run away must not press the rest to the floor.
function highest(chart) {
  const calm = chart.series.filter((series) => !series.role.endsWith("constant_velocity"));
  return 1.12 * Math.max(1, ...calm.flatMap((series) => series.y).filter(Number.isFinite));
}

function marksOf(marks, colours) {
  return {
    shapes: marks.map(({ x }) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: colours.ink, width: 1, dash: "dot" } })),
    annotations: marks.map(({ x, name }, n) => ({ x, yref: "paper", y: 1 - 0.09 * n, xanchor: "left", yanchor: "top", showarrow: false, text: `${name} ${x.toFixed(1)}` })),
  };
}

// A line over a plot at the moment of the playback; a click on the plot goes to its moment.
function cursorOn(plot, seek) {
  const cursor = document.createElement("div");
  cursor.className = "cursor";
  plot.append(cursor);
  const inner = () => ({ range: plot.layout.xaxis.range, left: MARGIN.l, width: plot.clientWidth - MARGIN.l - MARGIN.r });
  plot.addEventListener("click", (event) => {
    const { range, left, width } = inner();
    const share = (event.clientX - plot.getBoundingClientRect().left - left) / width;
    if (share >= 0 && share <= 1) seek(range[0] + share * (range[1] - range[0]));
  });
  return (seconds) => {
    const { range, left, width } = inner();
    cursor.style.left = `${left - 1 + ((seconds - range[0]) / (range[1] - range[0])) * width}px`;
    cursor.style.bottom = `${MARGIN.b}px`;
  };
}
