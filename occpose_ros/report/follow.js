// Where to look: around everybody who is there, averaged over some time so that the view moves calmly.

const CALM_S = 1.0; // before and after a moment
const AROUND_M = 0.55; // of a pelvis, for arms and steps
const TALL_M = 1.9;

class Follow {
  constructor(people) {
    this.people = people;
    const frames = people.seconds.length;
    this.sums = [0, 1, 2, 3].map(() => new Float64Array(frames + 1)); // of low x, high x, low y, high y
    let box = null;
    for (let frame = 0; frame < frames; frame++) {
      box = people.pelvisBox(frame) ?? box;
      (box ?? [0, 0, 4, 4]).forEach((value, k) => { this.sums[k][frame + 1] = this.sums[k][frame] + value; });
    }
    this.everywhere = people.box();
    this.everywhere[2] = [0, Math.max(this.everywhere[2][1], TALL_M)];
  }

  // The box at a moment, [[low, high] of x, of y, of z].
  at(seconds) {
    const first = Math.max(this.people.frameAt(seconds - CALM_S), 0);
    const last = Math.max(this.people.frameAt(seconds + CALM_S), first) + 1;
    const [x0, x1, y0, y1] = this.sums.map((sums) => (sums[last] - sums[first]) / (last - first));
    return [[x0 - AROUND_M, x1 + AROUND_M], [y0 - AROUND_M, y1 + AROUND_M], [0, TALL_M]];
  }
}
