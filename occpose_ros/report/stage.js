// Draws the scene: ground, recording camera, people. A 2D canvas: some hundred strokes a frame, no WebGL needed.
// Measured halves of bones are solid, filled ones hollow, so that they differ without colour too.

const BONE_M = 0.055;
const HEAD_M = 0.115;

class Stage {
  constructor(canvas, skeleton, orbit) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.orbit = orbit;
    this.bones = skeleton.bones;
    this.head = ["nose", "head top"].map((name) => skeleton.joints.indexOf(name));
    this.layers = { measured: true, filled: true, sigma: true, truth: true, labels: true };
    this.colours = readColours();
  }

  // Give the canvas as many pixels as the screen has; true if it changed.
  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const dense = Math.min(window.devicePixelRatio || 1, 2);
    if (this.canvas.width === Math.round(width * dense) && this.canvas.height === Math.round(height * dense)) return false;
    this.canvas.width = Math.round(width * dense);
    this.canvas.height = Math.round(height * dense);
    this.context.setTransform(dense, 0, 0, dense, 0, 0);
    this.orbit.resize(width, height);
    return true;
  }

  draw(people, camera) {
    const { context, orbit } = this;
    context.clearRect(0, 0, orbit.width, orbit.height);
    context.lineCap = "round";
    context.lineJoin = "round";
    this.#ground();
    for (const person of people) this.#shadow(person);
    this.#camera(camera);
    const parts = people.flatMap((person) => this.#parts(person));
    parts.sort((a, b) => b.depth - a.depth);
    for (const part of parts) part.draw();
    if (this.layers.labels) this.#labels(people);
  }

  // A metre grid around the target that fades into the distance.
  #ground() {
    const { context, orbit } = this;
    const [cx, cy] = orbit.target.map(Math.round);
    const reach = Math.min(Math.max(Math.ceil(orbit.distance * 1.1), 6), 24);
    context.strokeStyle = this.colours.grid;
    context.lineWidth = 1;
    for (let i = -reach; i <= reach; i++) {
      for (let j = -reach; j < reach; j++) {
        const fade = 1 - Math.hypot(i, j + 0.5) / reach;
        if (fade <= 0) continue;
        context.globalAlpha = Math.min(1, 1.3 * fade);
        this.#line([cx + i, cy + j, 0], [cx + i, cy + j + 1, 0]);
        this.#line([cx + j, cy + i, 0], [cx + j + 1, cy + i, 0]);
      }
    }
    context.globalAlpha = 1;
  }

  #line(from, to) {
    const a = this.orbit.project(from), b = this.orbit.project(to);
    if (!a || !b) return;
    this.context.beginPath();
    this.context.moveTo(a.x, a.y);
    this.context.lineTo(b.x, b.y);
    this.context.stroke();
  }

  #shadow(person) {
    const { context, orbit } = this;
    context.strokeStyle = this.colours.shadow;
    context.beginPath();
    let width = 0;
    for (const [from, to] of this.bones) {
      const a = orbit.project([...person.joints[from].slice(0, 2), 0]), b = orbit.project([...person.joints[to].slice(0, 2), 0]);
      if (!a || !b) continue;
      context.moveTo(a.x, a.y);
      context.lineTo(b.x, b.y);
      width = 0.1 * a.scale;
    }
    context.lineWidth = width;
    context.stroke();
  }

  // A small pyramid where the recording camera stands.
  #camera({ height, axes }) {
    const { context } = this;
    const corner = (x, y) => [0, 1, 2].map((k) => (k === 2 ? height : 0) + 0.32 * (axes[0][k] * x * 0.6 + axes[1][k] * y * 0.4 + axes[2][k]));
    const corners = [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
    context.strokeStyle = this.colours.faint;
    context.lineWidth = 1.5;
    corners.forEach((point, n) => {
      this.#line([0, 0, height], point);
      this.#line(point, corners[(n + 1) % 4]);
    });
  }

  // What a person is made of, each with its depth, to be drawn from the farthest to the nearest.
  #parts(person) {
    const points = person.joints.map((joint) => this.orbit.project(joint));
    const shows = (joint) => points[joint] && !person.unknown(joint) && this.layers[person.filled(joint) ? "filled" : "measured"];
    const parts = [];
    for (const [from, to] of this.bones) {
      if (this.head.includes(from) && this.head.includes(to)) continue;
      if (!points[from] || !points[to] || person.unknown(from) || person.unknown(to)) continue;
      const middle = between(points[from], points[to]);
      for (const joint of [from, to]) {
        if (shows(joint)) parts.push({ depth: (points[joint].depth + middle.depth) / 2, draw: () => this.#half(points[joint], middle, person.filled(joint)) });
      }
    }
    const [nose, top] = this.head;
    if (shows(nose) && points[top]) parts.push(this.#headPart(between(points[nose], points[top]), person.filled(nose)));
    if (this.layers.sigma) {
      points.forEach((point, joint) => { if (shows(joint)) parts.push(this.#sigmaPart(point, person.sigma(joint), person.filled(joint))); });
    }
    if (this.layers.truth && person.truth) parts.push(...this.#truthParts(person.truth));
    return parts;
  }

  #half(joint, middle, filled) {
    const { context } = this;
    const width = Math.max(2.5, BONE_M * joint.scale);
    const stroke = (colour, wide) => {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.beginPath();
      context.moveTo(joint.x, joint.y);
      context.lineTo(middle.x, middle.y);
      context.stroke();
    };
    stroke(this.colours.halo, width + 2);
    stroke(this.colours[filled ? "filled" : "measured"], width);
    if (filled) stroke(this.colours.halo, width * 0.45);
  }

  #headPart(centre, filled) {
    return { depth: centre.depth, draw: () => {
      const { context } = this;
      const radius = Math.max(3, HEAD_M * centre.scale);
      disc(context, centre, radius + 1, this.colours.halo);
      disc(context, centre, radius, this.colours[filled ? "filled" : "measured"]);
      if (filled) disc(context, centre, radius * 0.8, this.colours.halo);
    } };
  }

  #sigmaPart(point, sigma, filled) {
    return { depth: point.depth + 0.3, draw: () => {
      this.context.globalAlpha = 0.13;
      disc(this.context, point, sigma * point.scale, this.colours[filled ? "filled" : "measured"]);
      this.context.globalAlpha = 1;
    } };
  }

  #truthParts(truth) {
    const points = truth.map((joint) => joint && this.orbit.project(joint));
    return this.bones.filter(([from, to]) => points[from] && points[to]).map(([from, to]) => ({
      depth: (points[from].depth + points[to].depth) / 2,
      draw: () => {
        const { context } = this;
        context.strokeStyle = this.colours.truth;
        context.lineWidth = Math.max(1.5, 0.018 * points[from].scale);
        context.setLineDash([0.1, 2.2 * context.lineWidth]);
        context.beginPath();
        context.moveTo(points[from].x, points[from].y);
        context.lineTo(points[to].x, points[to].y);
        context.stroke();
        context.setLineDash([]);
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
      const highest = person.joints.reduce((a, b) => (b[2] > a[2] ? b : a));
      const at = orbit.project([highest[0], highest[1], highest[2] + 0.2]);
      if (!at) continue;
      const text = `${person.id || "?"}${person.predicted ? " (hidden)" : ""}`;
      const label = { text, width: context.measureText(text).width + 12, x: at.x, y: at.y - 10 };
      while (placed.some((other) => Math.abs(other.y - label.y) < 21 && Math.abs(other.x - label.x) < (other.width + label.width) / 2)) label.y -= 4;
      placed.push(label);
    }
    for (const { text, width, x, y } of placed) {
      context.fillStyle = this.colours.paper;
      context.globalAlpha = 0.85;
      context.beginPath();
      context.roundRect(x - width / 2, y - 10, width, 20, 6);
      context.fill();
      context.globalAlpha = 1;
      context.fillStyle = this.colours.ink;
      context.fillText(text, x, y + 0.5);
    }
  }
}

// The page's colours by name, as they are now: light or dark.
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "faint", "paper", "line", "measured", "filled", "truth", "third", "fourth", "grid", "shadow", "halo"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
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
