// Draws the scene: ground, recording camera, people. A 2D canvas shows some hundred strokes at every refresh of the
// screen, without WebGL; plotly's 3D scatter shows a quarter as many frames or less, and has no edges, rings and
// shadows (tests/browser/measure_playback.py).
// Measured halves of bones are solid, filled ones hollow, so that they differ without colour too.

const BONE_M = 0.055;
const HEAD_M = 0.115;
const LABEL_PX = 20;

class Stage {
  constructor(canvas, skeleton, orbit) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.orbit = orbit;
    this.bones = skeleton.bones;
    this.head = ["nose", "head top"].map((name) => skeleton.joints.indexOf(name));
    this.layers = { measured: true, filled: true, sigma: true, truth: true, labels: true, follow: true };
    this.colours = readColours();
  }

  // Give the canvas as many pixels as the screen has.
  #resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const dense = Math.min(window.devicePixelRatio || 1, 2);
    const [wide, high] = [Math.round(width * dense), Math.round(height * dense)];
    if (this.canvas.width !== wide || this.canvas.height !== high) Object.assign(this.canvas, { width: wide, height: high });
    this.context.setTransform(dense, 0, 0, dense, 0, 0);
    Object.assign(this.orbit, { width, height });
  }

  // box: what to look at. camera: { eye, axes } of the recording.
  draw(people, box, camera) {
    const { context, orbit } = this;
    this.#resize();
    orbit.aim(box);
    context.clearRect(0, 0, orbit.width, orbit.height);
    context.lineCap = "round";
    context.lineJoin = "round";
    this.#ground();
    for (const person of people) this.#shadow(person);
    if (!orbit.fixed) this.#camera(camera);
    const parts = people.flatMap((person) => this.#parts(person));
    parts.sort((a, b) => b.depth - a.depth);
    for (const part of parts) part.draw();
    if (this.layers.labels) this.#labels(people);
  }

  // A metre grid around the target that fades into the distance.
  #ground() {
    const { context, orbit } = this;
    const [cx, cy] = orbit.target.map(Math.round);
    const reach = Math.min(Math.max(Math.ceil(orbit.distance), 8), 24);
    for (let i = -reach; i <= reach; i++) {
      for (let j = -reach; j < reach; j++) {
        const fade = 1 - Math.hypot(i, j + 0.5) / reach;
        if (fade <= 0) continue;
        context.globalAlpha = Math.min(1, 1.3 * fade);
        this.#line([cx + i, cy + j, 0], [cx + i, cy + j + 1, 0], this.colours.grid);
        this.#line([cx + j, cy + i, 0], [cx + j + 1, cy + i, 0], this.colours.grid);
      }
    }
    context.globalAlpha = 1;
  }

  #line(from, to, colour) {
    const a = this.orbit.project(from), b = this.orbit.project(to);
    if (a && b) this.#stroke(a, b, colour, 1.2);
  }

  #shadow(person) {
    const { context, orbit } = this;
    context.strokeStyle = this.colours.shadow;
    context.beginPath();
    let width = 0;
    const below = person.joints.map(([x, y], joint) => (person.unknown(joint) ? null : orbit.project([x, y, 0])));
    for (const [from, to] of this.bones) {
      const [a, b] = [below[from], below[to]];
      if (!a || !b) continue;
      context.moveTo(a.x, a.y);
      context.lineTo(b.x, b.y);
      width = 0.1 * a.scale;
    }
    context.lineWidth = width;
    context.stroke();
  }

  // A small pyramid where the recording camera stands.
  #camera({ eye, axes }) {
    const [right, down, view] = axes;
    const corner = (x, y) => eye.map((value, k) => value + 0.2 * x * right[k] + 0.14 * y * down[k] + 0.3 * view[k]);
    const corners = [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
    corners.forEach((point, n) => {
      this.#line(eye, point, this.colours.faint);
      this.#line(point, corners[(n + 1) % 4], this.colours.faint);
    });
  }

  // What a person is made of, each with its depth, to be drawn from the farthest to the nearest.
  #parts(person) {
    const points = person.joints.map((joint) => this.orbit.project(joint));
    const layer = (joint) => this.layers[person.filled(joint) ? "filled" : "measured"];
    const shows = (joint) => points[joint] && !person.unknown(joint) && layer(joint);
    const parts = [];
    for (const [from, to] of this.bones) {
      const isHead = this.head.includes(from) && this.head.includes(to);
      if (!isHead && (shows(from) || shows(to)) && points[from] && points[to]) {
        const halves = [from, to].filter(shows).map((joint) => ({ end: points[joint], filled: person.filled(joint) }));
        parts.push(this.#bonePart(points[from], points[to], halves));
      }
    }
    const [nose, top] = this.head;
    if (shows(nose) && points[top]) parts.push(this.#headPart(between(points[nose], points[top]), person.filled(nose)));
    if (this.layers.sigma) {
      points.forEach((point, joint) => {
        if (shows(joint)) parts.push(this.#sigmaPart(point, person.sigma(joint), person.filled(joint)));
      });
    }
    if (this.layers.truth && person.truth) parts.push(...this.#truthParts(person.truth));
    return parts;
  }

  // Each half of a bone looks as its own joint; a thin edge sets the bone off against what is behind it.
  #bonePart(a, b, halves) {
    const middle = between(a, b);
    const width = Math.max(2.5, BONE_M * middle.scale);
    return { depth: middle.depth, draw: () => {
      this.context.lineCap = "butt";
      for (const { end } of halves) this.#stroke(end, middle, this.colours.halo, width + 2.5);
      this.context.lineCap = "round";
      for (const { end, filled } of halves) this.#stroke(end, middle, this.#colourOf(filled), width);
      for (const { end, filled } of halves) if (filled) this.#stroke(end, middle, this.colours.halo, width * 0.42);
    } };
  }

  #colourOf(filled) {
    return filled ? this.colours.filled : this.colours.measured;
  }

  #stroke(a, b, colour, width) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(a.x, a.y);
    context.lineTo(b.x, b.y);
    context.stroke();
  }

  #headPart(centre, filled) {
    return { depth: centre.depth, draw: () => {
      const { context } = this;
      const radius = Math.max(3, HEAD_M * centre.scale);
      disc(context, centre, radius + 1, this.colours.halo);
      disc(context, centre, radius, this.#colourOf(filled));
      if (filled) disc(context, centre, radius * 0.8, this.colours.halo);
    } };
  }

  #sigmaPart(point, sigma, filled) {
    return { depth: point.depth + 0.3, draw: () => {
      this.context.globalAlpha = 0.13;
      disc(this.context, point, sigma * point.scale, this.#colourOf(filled));
      this.context.globalAlpha = 1;
    } };
  }

  #truthParts(truth) {
    const points = truth.map((joint) => joint && this.orbit.project(joint));
    return this.bones.filter(([from, to]) => points[from] && points[to]).map(([from, to]) => ({
      depth: (points[from].depth + points[to].depth) / 2,
      draw: () => {
        const width = Math.max(1.5, 0.018 * points[from].scale);
        this.context.setLineDash([0.1, 2.2 * width]);
        this.#stroke(points[from], points[to], this.colours.truth, width);
        this.context.setLineDash([]);
      },
    }));
  }

  // Names over heads; one that would cover another moves up.
  #labels(people) {
    const { context, orbit } = this;
    context.font = "600 13px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    const placed = [];
    for (const person of people) {
      const known = person.joints.filter((_, joint) => !person.unknown(joint));
      const [x, y, z] = known.reduce((a, b) => (b[2] > a[2] ? b : a), known[0] ?? [0, 0, 0]);
      const at = orbit.project([x, y, z + 0.2]);
      if (!at || !known.length) continue;
      const text = `${person.id || "?"}${person.predicted ? " (hidden)" : ""}`;
      const label = { text, width: context.measureText(text).width + 12, x: at.x, y: at.y - 10 };
      while (placed.some((other) => covers(other, label))) label.y -= 4;
      placed.push(label);
    }
    for (const { text, width, x, y } of placed) {
      context.fillStyle = this.colours.paper;
      context.globalAlpha = 0.85;
      context.beginPath();
      context.roundRect(x - width / 2, y - LABEL_PX / 2, width, LABEL_PX, 6);
      context.fill();
      context.globalAlpha = 1;
      context.fillStyle = this.colours.ink;
      context.fillText(text, x, y + 0.5);
    }
  }
}

function covers(label, other) {
  const apart = (label.width + other.width) / 2;
  return Math.abs(label.x - other.x) < apart && Math.abs(label.y - other.y) < LABEL_PX + 1;
}

function between(a, b) {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, depth: (a.depth + b.depth) / 2, scale: (a.scale + b.scale) / 2 };
}

function disc(context, centre, radius, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(centre.x, centre.y, radius, 0, 2 * Math.PI);
  context.fill();
}
