// A camera that turns around a point. World axes: x right, y away, z up, metres.

const FIELD_OF_VIEW = (38 * Math.PI) / 180;
const NEAREST = 0.05;

class Orbit {
  constructor() {
    this.target = [0, 4, 1];
    this.azimuth = 0; // 0 looks along y, as the recording camera does; grows as the viewer walks to the right
    this.elevation = 0.2;
    this.distance = 6;
    this.resize(2, 1);
  }

  resize(width, height) {
    this.width = width;
    this.height = height;
    this.focal = Math.min(width * 0.8, height) / 2 / Math.tan(FIELD_OF_VIEW / 2);
    this.update();
  }

  // To be called after a change of the fields above.
  update() {
    this.elevation = Math.min(Math.max(this.elevation, -0.3), 1.57);
    this.distance = Math.min(Math.max(this.distance, 0.8), 80);
    const [s, c, se, ce] = [Math.sin(this.azimuth), Math.cos(this.azimuth), Math.sin(this.elevation), Math.cos(this.elevation)];
    this.forward = [-s * ce, c * ce, -se];
    this.right = [c, s, 0];
    this.up = [-s * se, c * se, ce];
    this.eye = this.target.map((value, k) => value - this.distance * this.forward[k]);
  }

  // [x, y] in pixels, depth in metres, pixels a metre there; null behind the viewer.
  project(point) {
    const dx = point[0] - this.eye[0], dy = point[1] - this.eye[1], dz = point[2] - this.eye[2];
    const depth = dx * this.forward[0] + dy * this.forward[1] + dz * this.forward[2];
    if (depth < NEAREST) return null;
    const scale = this.focal / depth;
    return {
      x: this.width / 2 + scale * (dx * this.right[0] + dy * this.right[1]),
      y: this.height / 2 - scale * (dx * this.up[0] + dy * this.up[1] + dz * this.up[2]),
      depth,
      scale,
    };
  }

  // Step back until a box, [[low, high] of x, y, z], is in the picture.
  fit(box) {
    this.target = box.map(([low, high]) => (low + high) / 2);
    for (this.distance = 1.5; this.distance < 60; this.distance *= 1.05) {
      this.update();
      const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => this.project(box.map((side, k) => side[(n >> k) & 1])));
      if (corners.every((c) => c && c.x > 0.04 * this.width && c.x < 0.96 * this.width && c.y > 0.1 * this.height && c.y < 0.93 * this.height)) return;
    }
  }
}

// Drag turns, wheel and two fingers zoom, arrow keys turn, + and - zoom, 0 goes home.
function steer(canvas, orbit, changed, home) {
  const pointers = new Map();
  const turn = (dx, dy) => { orbit.azimuth -= dx * 0.008; orbit.elevation += dy * 0.006; orbit.update(); changed(); };
  const zoom = (factor) => { orbit.distance *= factor; orbit.update(); changed(); };
  const spread = () => { const [a, b] = [...pointers.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const spreadBefore = pointers.size === 2 ? spread() : 0;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pointers.size === 2) zoom(spreadBefore / Math.max(spread(), 1));
    turn((event.clientX - before.x) / pointers.size, (event.clientY - before.y) / pointers.size);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", (event) => { // the page scrolls until the view is clicked
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(event.deltaY * 0.0015));
  }, { passive: false });
  const keys = {
    ArrowLeft: () => turn(12, 0), ArrowRight: () => turn(-12, 0), ArrowUp: () => turn(0, 12), ArrowDown: () => turn(0, -12),
    "+": () => zoom(0.9), "=": () => zoom(0.9), "-": () => zoom(1.1), 0: home,
  };
  canvas.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
}
