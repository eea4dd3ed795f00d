// A strip below the scene: a row a person, orange where joints are hidden. It seeks where it is clicked.

const ROW_PX = 13;
const STRIP_PX = 10;
const MOST_ROWS = 10;
const GUTTER_PX = 44; // names of people

class Timeline {
  constructor(canvas, seek) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    const seekTo = (event) => seek(this.secondsAt(event.offsetX));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      seekTo(event);
    });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) seekTo(event); });
  }

  // Show a run: the people who are there longest, in their order.
  show(people, moments) {
    this.people = people;
    this.moments = moments;
    const frames = people.framesOf();
    const tracks = frames.map((_, track) => track).filter((track) => frames[track]);
    const longest = [...tracks].sort((a, b) => frames[b] - frames[a]).slice(0, MOST_ROWS).sort((a, b) => a - b);
    this.rows = longest.map((track) => ({ id: people.ids[track], shares: people.hiddenShare(track) }));
    this.left = tracks.length - this.rows.length;
    this.canvas.style.height = `${this.rows.length * ROW_PX + 14}px`;
  }

  xAt(seconds) {
    return GUTTER_PX + (seconds / Math.max(this.people.end, 1e-3)) * (this.canvas.clientWidth - GUTTER_PX - 2);
  }

  secondsAt(x) {
    const share = (x - GUTTER_PX) / (this.canvas.clientWidth - GUTTER_PX - 2);
    return Math.min(Math.max(share, 0), 1) * this.people.end;
  }

  // Rows are drawn once for a size and a colour scheme; the cursor every time.
  draw(seconds, colours) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const dense = Math.min(window.devicePixelRatio || 1, 2);
    const key = [width, height, dense, colours.measured].join();
    if (this.drawn?.key !== key || this.drawn.people !== this.people) {
      this.canvas.width = Math.round(width * dense);
      this.canvas.height = Math.round(height * dense);
      this.drawn = { key, people: this.people, rows: this.#rowsPicture(width, height, dense, colours) };
    }
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.drawn.rows, 0, 0);
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.fillStyle = colours.ink;
    context.fillRect(this.xAt(seconds) - 1, 0, 2, height);
  }

  #rowsPicture(width, height, dense, colours) {
    const picture = document.createElement("canvas");
    picture.width = Math.round(width * dense);
    picture.height = Math.round(height * dense);
    const context = picture.getContext("2d");
    context.scale(dense, dense);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    this.rows.forEach((row, n) => this.#row(context, row, 12 + n * ROW_PX, colours));
    context.fillStyle = colours.ink;
    for (const seconds of this.moments) triangle(context, this.xAt(seconds), 1);
    return picture;
  }

  // In each column of pixels the mean over its frames; orange is as high as the share of joints that are hidden.
  #row(context, row, y, colours) {
    context.fillStyle = colours.faint;
    context.fillText(row.id.length > 6 ? `…${row.id.slice(-5)}` : row.id || "?", 0, y + STRIP_PX / 2, GUTTER_PX - 4);
    const columns = this.#columns(row.shares);
    columns.forEach(({ sum, count }, x) => {
      const hidden = (sum / count) * STRIP_PX;
      context.fillStyle = `color-mix(in srgb, ${colours.measured} 55%, ${colours.paper})`;
      context.fillRect(x, y, 1, STRIP_PX - hidden);
      context.fillStyle = colours.filled;
      context.fillRect(x, y + STRIP_PX - hidden, 1, hidden);
    });
  }

  #columns(shares) {
    const { seconds, end, gap } = this.people;
    const columns = new Map();
    shares.forEach((share, frame) => {
      if (share === null) return;
      const until = Math.min(seconds[frame + 1] ?? end, seconds[frame] + gap);
      for (let x = Math.round(this.xAt(seconds[frame])); x <= this.xAt(until); x++) {
        const { sum, count } = columns.get(x) ?? { sum: 0, count: 0 };
        columns.set(x, { sum: sum + share, count: count + 1 });
      }
    });
    return columns;
  }
}

function triangle(context, x, y) {
  context.beginPath();
  context.moveTo(x - 4.5, y);
  context.lineTo(x + 4.5, y);
  context.lineTo(x, y + 8);
  context.fill();
}
