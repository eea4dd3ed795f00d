// The page over bags: charts, the choice of the run and the lists that can be sorted.

const data = JSON.parse(element("data").textContent);

const runs = new Runs(data.runs, () => {}, (plotly, run) => drawCharts(plotly, element("charts"), run.charts, () => {}));
document.querySelectorAll("table.sortable").forEach(makeSortable);
followLinks((asked) => runs.show(Number(asked.get("run") ?? runs.shown)));
