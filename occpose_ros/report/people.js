// Who is where at which moment: the packed recording of one run.

const ARRAYS = { Int16Array, Uint8Array, Uint16Array, Uint32Array, Float32Array };
const FIELDS = ["seconds", "first_row", "track", "joints", "truth", "filled", "unknown", "sigma", "predicted", "error_mm"];
const NO_TRUTH = -32768;
const NO_ERROR = 65535;

function unpack(field) {
  return field && new ARRAYS[field.type](bytesOf(field.base64).buffer);
}

class People {
  constructor(playback, joints) {
    this.J = joints;
    this.ids = playback.ids;
    this.every = playback.every;
    this.unit = playback.unit_m;
    this.sigmaUnit = playback.sigma_unit_m;
    this.cameraHeight = playback.camera_height_m;
    this.cameraAxes = playback.camera_axes;
    for (const name of FIELDS) this[name] = unpack(playback[name]);
    this.end = this.seconds.length ? this.seconds[this.seconds.length - 1] : 0;
    this.gap = 4 * this.#usualStep(); // longer than this without a frame: nobody is shown
  }

  #usualStep() {
    const steps = Array.from(this.seconds, (s, i) => s - (this.seconds[i - 1] ?? s)).slice(1).sort((a, b) => a - b);
    return steps.length ? steps[steps.length >> 1] : 1;
  }

  // The last frame that is not after a moment; -1 before the first.
  frameAt(seconds) {
    let low = -1, high = this.seconds.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.seconds[middle] <= seconds + 1e-6) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // Everybody at a moment. Between two frames people are on the straight line between their two poses.
  at(seconds) {
    const frame = this.frameAt(seconds);
    if (frame < 0 || seconds - this.seconds[frame] > this.gap) return [];
    const people = [];
    for (let row = this.first_row[frame]; row < this.first_row[frame + 1]; row++) {
      const next = this.#nextRow(frame, row);
      const share = next < 0 ? 0 : (seconds - this.seconds[frame]) / (this.seconds[frame + 1] - this.seconds[frame]);
      people.push(this.#person(row, next < 0 ? row : next, Math.min(Math.max(share, 0), 1)));
    }
    return people;
  }

  #nextRow(frame, row) {
    if (frame + 1 >= this.seconds.length || this.seconds[frame + 1] - this.seconds[frame] > this.gap) return -1;
    for (let next = this.first_row[frame + 1]; next < this.first_row[frame + 2]; next++) {
      if (this.track[next] === this.track[row]) return next;
    }
    return -1;
  }

  #person(row, next, share) {
    const hasTruth = this.truth && this.truth[row * this.J * 3] !== NO_TRUTH;
    return {
      id: this.ids[this.track[row]],
      predicted: this.predicted[row] === 1,
      errorMm: this.error_mm[row] === NO_ERROR ? null : this.error_mm[row],
      joints: this.#points(this.joints, row, next, share),
      truth: hasTruth ? this.#points(this.truth, row, next, share) : null,
      filled: (joint) => ((this.filled[row] >>> joint) & 1) === 1,
      unknown: (joint) => ((this.unknown[row] >>> joint) & 1) === 1,
      sigma: (joint) => this.sigma[row * this.J + joint] * this.sigmaUnit,
    };
  }

  #points(array, row, next, share) {
    const points = new Array(this.J).fill(null); // a joint whose truth is not known
    for (let joint = 0; joint < this.J; joint++) {
      const a = (row * this.J + joint) * 3;
      let b = (next * this.J + joint) * 3;
      if (array[a] === NO_TRUTH) continue;
      if (array[b] === NO_TRUTH) b = a;
      points[joint] = [0, 1, 2].map((k) => (array[a + k] + share * (array[b + k] - array[a + k])) * this.unit);
    }
    return points;
  }

  // Of one track: for each frame the share of its joints that are not measured, null where the person is not there.
  hiddenShare(track) {
    const shares = new Array(this.seconds.length).fill(null);
    for (let frame = 0; frame < shares.length; frame++) {
      for (let row = this.first_row[frame]; row < this.first_row[frame + 1]; row++) {
        if (this.track[row] === track) shares[frame] = bitCount(this.filled[row] | this.unknown[row]) / this.J;
      }
    }
    return shares;
  }

  // In how many frames each track is.
  framesOf() {
    const frames = this.ids.map(() => 0);
    for (const track of this.track) frames[track]++;
    return frames;
  }

  // The box around everybody's pelvis in a frame, [low x, high x, low y, high y]; null if nobody is there.
  pelvisBox(frame) {
    const rows = range(this.first_row[frame], this.first_row[frame + 1]);
    if (!rows.length) return null;
    return [0, 1].flatMap((k) => {
      const values = rows.map((row) => this.joints[row * this.J * 3 + k] * this.unit);
      return [Math.min(...values), Math.max(...values)];
    });
  }

  // Corners of the box that holds nearly all joints of the recording: [low, high].
  box() {
    return [0, 1, 2].map((k) => {
      const values = [];
      const step = 3 * Math.max(1, Math.floor(this.joints.length / 3 / 20000));
      for (let i = k; i < this.joints.length; i += step) values.push(this.joints[i] * this.unit);
      values.sort((a, b) => a - b);
      const at = (share) => values[Math.floor(share * (values.length - 1))] ?? 0;
      return [at(0.005), at(0.995)];
    });
  }
}

function range(from, to) {
  return Array.from({ length: to - from }, (_, n) => from + n);
}

function bitCount(bits) {
  let count = 0;
  for (; bits; bits &= bits - 1) count++;
  return count;
}
