// Charts with plotly: what a chart shows comes with the data, how it looks is here.

const MARGIN = { l: 52, r: 12, t: 8, b: 44 };
const BAR_PX = 30; // of a row of bars
const ROLES = { // colour, dash, marker, hatch: any one of them tells two apart
  visible: ["measured", "solid", "circle", ""],
  hidden: ["filled", "solid", "square", "/"],
  not_in_layout: ["third", "dashdot", "diamond", "."],
  other: ["fourth", "longdash", "x", "."],
  "baseline hold": ["truth", "dash", "triangle-up", ""],
  "baseline constant_velocity": ["truth", "dot", "triangle-down", ""],
  "baseline mean_pose": ["truth", "dashdot", "star", ""],
};

// Draw the charts into a box. seek: called with the second that was clicked. Returns what moves their cursors.
function drawCharts(plotly, box, charts, seek) {
  box.querySelectorAll(".plot").forEach((plot) => plotly.purge(plot));
  box.replaceChildren(...charts.map(figureOf));
  const cursors = charts.map((chart, n) => {
    const plot = box.children[n].querySelector(".plot");
    const traces = chart.series.map((series) => traceOf(chart, series));
    plotly.newPlot(plot, traces, layoutOf(chart), { displayModeBar: false, responsive: true });
    if (chart.links) plot.on("plotly_click", ({ points }) => location.assign(chart.links[points[0].pointIndex]));
    return chart.clock ? cursorOn(plot, seek) : () => {};
  });
  return (seconds) => cursors.forEach((move) => move(seconds));
}

function looksOf(series) {
  const [colour, dash, symbol, shape] = ROLES[series.role] ?? ROLES.other;
  return { colour: readColours()[colour], dash, symbol, shape };
}

function figureOf(chart) {
  const figure = document.createElement("figure");
  const [title, plot, note] = ["h2", "div", "figcaption"].map((name) => document.createElement(name));
  const bars = chart.kind === "bars";
  if (chart.clock || bars || chart.links) figure.className = "wide";
  title.textContent = chart.title;
  note.textContent = chart.note;
  plot.className = "plot";
  plot.style.height = bars ? `${MARGIN.t + MARGIN.b + BAR_PX * chart.series[0].x.length}px` : "";
  const entries = chart.series.map((series) => ({ name: series.name, ...looksOf(series) }));
  figure.append(title, ...(entries.length > 1 ? [legendOf(chart.kind, entries)] : []), plot, note);
  return figure;
}

// plotly reads some HTML in names; names are foreign text.
function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function traceOf(chart, series) {
  const { colour, dash, symbol, shape } = looksOf(series);
  const name = plain(series.name);
  const points = { name, type: "scatter", x: series.x, y: series.y, marker: { symbol, size: 7, color: colour } };
  const line = { line: { color: colour, dash, width: 2 }, connectgaps: false, hovertemplate: `${name}: %{y}<extra></extra>` };
  const hatch = { shape, fillmode: "overlay", fgcolor: readColours().paper, fgopacity: 0.55, size: 5, solidity: 0.3 };
  const kinds = {
    lines: { ...line, mode: "lines" },
    steps: { ...line, mode: "lines+markers" },
    dots: { mode: "markers", text: chart.names?.map(plain), hovertemplate: `%{text}<br>${name}: %{y} mm<extra></extra>` },
    histogram: { type: "bar", hovertemplate: "%{x} ms: %{y}<extra></extra>" },
    bars: {
      type: "bar", orientation: "h", x: series.y, y: series.x, marker: { color: colour, pattern: hatch },
      hovertemplate: `%{y}, ${name}: %{x} mm<extra></extra>`,
    },
  };
  return { ...points, ...kinds[chart.kind] };
}

function layoutOf(chart) {
  const colours = readColours();
  const axis = { gridcolor: colours.line, zeroline: false, automargin: false, fixedrange: true, rangemode: "tozero" };
  const marks = { type: "line", yref: "paper", y0: 0, y1: 1, line: { color: colours.ink, width: 1.2, dash: "dot" } };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, margin: { ...MARGIN }, bargap: 0.05,
    font: { family: "system-ui, sans-serif", size: 12.5, color: colours.ink },
    xaxis: { ...axis, title: { text: chart.x, standoff: 6 } },
    yaxis: { ...axis, title: { text: chart.y, standoff: 4 } },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colours.paper, bordercolor: colours.line, font: { color: colours.ink } },
    shapes: (chart.marks ?? []).map((x) => ({ ...marks, x0: x, x1: x })),
  };
  LAYOUTS[chart.kind]?.(layout, chart);
  return layout;
}

// What is particular to a kind of chart.
const LAYOUTS = {
  bars(layout) {
    Object.assign(layout, { hovermode: "closest", bargap: 0.25 });
    Object.assign(layout.yaxis, { autorange: "reversed", showgrid: false });
    layout.margin.l = 104; // names of joints
  },
  dots(layout, { names }) {
    layout.hovermode = "closest";
    Object.assign(layout.xaxis, { rangemode: "normal", range: [0.3, names.length + 0.7], showgrid: false });
    if (names.length <= 20) layout.xaxis.dtick = 1;
  },
  steps(layout, chart) {
    const ticks = chart.series[0].x;
    Object.assign(layout.xaxis, { type: "log", tickvals: ticks, ticktext: ticks.map(String), rangemode: "normal" });
    layout.yaxis.range = [0, highest(chart)];
  },
};

// Baselines that run away must not press the rest to the floor.
function highest(chart) {
  const calm = chart.series.filter((series) => !series.role.endsWith("constant_velocity"));
  return 1.12 * Math.max(1, ...calm.flatMap((series) => series.y).filter(Number.isFinite));
}

// A line over a plot at the moment of the playback; a click on the plot goes to its moment.
function cursorOn(plot, seek) {
  const cursor = document.createElement("div");
  cursor.className = "cursor";
  plot.append(cursor);
  const secondsAxis = () => ({ range: plot.layout.xaxis.range, width: plot.clientWidth - MARGIN.l - MARGIN.r });
  plot.addEventListener("click", (event) => {
    const { range, width } = secondsAxis();
    const share = (event.clientX - plot.getBoundingClientRect().left - MARGIN.l) / width;
    if (share >= 0 && share <= 1) seek(range[0] + share * (range[1] - range[0]));
  });
  return (seconds) => {
    const { range, width } = secondsAxis();
    cursor.style.transform = `translateX(${MARGIN.l - 1 + ((seconds - range[0]) / (range[1] - range[0])) * width}px)`;
  };
}
