// The viewer's eye. World axes: x right, y away, z up, metres. It turns around a box and stands so far that the box
// is in the picture; or it stands where the recording camera stood.

const FIELD_OF_VIEW = (38 * Math.PI) / 180;
const NEAREST_M = 0.05;
const FARTHEST_M = 120;
const EDGE = { left: 0.06, right: 0.94, top: 0.12, bottom: 0.94 }; // of the picture, for the box
const TOP = Math.PI / 2 - 1e-3;

class Orbit {
  constructor() {
    this.width = this.height = 1;
    this.home();
  }

  home() {
    this.look(0.45, 0.22);
  }

  // azimuth: 0 looks along y, as the recording camera does, and grows as the viewer walks to the right.
  look(azimuth, elevation) {
    this.azimuth = azimuth;
    this.elevation = elevation;
    this.zoom = 1;
    this.fixed = null;
  }

  // fixed: { eye, axes }, where axes are the recording camera's: right, down and along its view.
  stand(fixed) {
    this.fixed = fixed;
  }

  turn(right, up) {
    this.fixed = null;
    this.azimuth += right;
    this.elevation = Math.min(Math.max(this.elevation + up, -0.2), TOP);
  }

  nearer(factor) {
    this.fixed = null;
    this.zoom = Math.min(Math.max(this.zoom / factor, 0.2), 4);
  }

  // Look at a box, [[low, high] of x, of y, of z].
  aim(box) {
    const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => box.map((side, k) => side[(n >> k) & 1]));
    if (this.fixed) {
      const [right, down, view] = this.fixed.axes;
      Object.assign(this, { eye: this.fixed.eye, right, up: down.map((value) => -value), forward: view });
      this.focal = 0.75 * Math.max(this.width, this.height);
      this.target = box.map(([low, high]) => (low + high) / 2);
      return;
    }
    const [s, c, se, ce] = [this.azimuth, this.elevation].flatMap((angle) => [Math.sin(angle), Math.cos(angle)]);
    Object.assign(this, { forward: [-s * ce, c * ce, -se], right: [c, s, 0], up: [-s * se, c * se, ce] });
    this.focal = Math.min(this.width * 0.8, this.height) / 2 / Math.tan(FIELD_OF_VIEW / 2);
    this.target = box.map(([low, high]) => (low + high) / 2);
    let near = 0.5, far = FARTHEST_M;
    while (far - near > 1e-3 * near) {
      this.#stepBack((near + far) / 2);
      if (corners.every((corner) => this.#inPicture(corner))) far = (near + far) / 2;
      else near = (near + far) / 2;
    }
    this.#stepBack(far * this.zoom);
  }

  #stepBack(distance) {
    this.distance = distance;
    this.eye = this.target.map((value, k) => value - distance * this.forward[k]);
  }

  #inPicture(point) {
    const at = this.project(point);
    return at && at.x > EDGE.left * this.width && at.x < EDGE.right * this.width
      && at.y > EDGE.top * this.height && at.y < EDGE.bottom * this.height;
  }

  // Pixels from the upper left corner, depth in metres, pixels a metre there; null behind the eye.
  project(point) {
    const dx = point[0] - this.eye[0], dy = point[1] - this.eye[1], dz = point[2] - this.eye[2];
    const { forward, right, up } = this;
    const depth = dx * forward[0] + dy * forward[1] + dz * forward[2];
    if (depth < NEAREST_M) return null;
    const scale = this.focal / depth;
    return {
      x: this.width / 2 + scale * (dx * right[0] + dy * right[1] + dz * right[2]),
      y: this.height / 2 - scale * (dx * up[0] + dy * up[1] + dz * up[2]),
      depth,
      scale,
    };
  }
}
