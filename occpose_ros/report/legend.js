// A legend that wraps as text does, above its chart.

const SVG = "http://www.w3.org/2000/svg";
const DASHES = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3", longdash: "12 4" };

// kind: of the chart. entries: what each series is called and looks like.
function legendOf(kind, entries) {
  const sampleOf = { bars: barSample, dots: dotSample }[kind] ?? lineSample;
  const list = document.createElement("ul");
  list.className = "legend";
  for (const entry of entries) {
    const item = document.createElement("li");
    item.append(sampleOf(entry), entry.name);
    list.append(item);
  }
  return list;
}

function sample(parts) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ width: 28, height: 12, "aria-hidden": true })) svg.setAttribute(name, value);
  for (const [kind, attributes] of parts) {
    const part = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
    svg.append(part);
  }
  return svg;
}

function lineSample({ colour, dash }) {
  return sample([["path", { d: "M0 6H28", stroke: colour, "stroke-width": 2.5, "stroke-dasharray": DASHES[dash] }]]);
}

function dotSample({ colour, symbol }) {
  const round = { cx: 14, cy: 6, r: 5 }, square = { x: 9, y: 1, width: 10, height: 10 };
  return sample([symbol === "circle" ? ["circle", { ...round, fill: colour }] : ["rect", { ...square, fill: colour }]]);
}

const HATCHES = { "": "", "/": "M4 12L12 0M12 12L20 0M20 12L28 0", ".": "M5 6h2M13 6h2M21 6h2" };

function barSample({ colour, shape }) {
  const hatch = { d: HATCHES[shape], stroke: readColours().paper, "stroke-width": 1.5 };
  return sample([["rect", { width: 28, height: 12, fill: colour }], ["path", hatch]]);
}
