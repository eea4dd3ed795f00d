// One of several runs is shown at a time. Its charts are drawn once plotly is there, and again in other colours.

class Runs {
  constructor(runs, onRun, onCharts) {
    Object.assign(this, { runs, onRun, onCharts, shown: -1, plotly: null });
    this.show(0);
    element("run")?.addEventListener("change", (event) => this.show(Number(event.target.value)));
    whenRecoloured(() => this.#charts());
    loadPlotly().then((plotly) => { this.plotly = plotly; this.#charts(); });
  }

  show(index) {
    if (index === this.shown || !this.runs[index]) return;
    this.shown = index;
    for (const part of document.querySelectorAll("[data-run]")) part.hidden = Number(part.dataset.run) !== index;
    if (element("run")) element("run").value = String(index);
    this.onRun(this.runs[index]);
    this.#charts();
  }

  #charts() {
    if (this.plotly && this.shown >= 0) this.onCharts(this.plotly, this.runs[this.shown]);
  }
}
