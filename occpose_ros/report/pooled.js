// The page over bags: charts, the choice of the run and the lists that can be sorted.

const data = JSON.parse(element("data").textContent);

new Runs(data.runs, () => {}, (plotly, run) => drawCharts(plotly, element("charts"), run.charts, () => {}));
document.querySelectorAll("table.sortable").forEach(makeSortable);
