// Plays a run: owns the moment that is shown and tells everybody who shows something of it.

class Player {
  constructor(skeleton, onMoment) {
    this.seconds = 0;
    this.playing = false;
    this.speed = 1;
    this.onMoment = onMoment;
    this.orbit = new Orbit();
    this.stage = new Stage(element("stage"), skeleton, this.orbit);
    this.timeline = new Timeline(element("timeline"), (seconds) => this.seek(seconds));
    this.#wire();
  }

  // Show another run at the moment that is shown; the view stays, once there is one.
  show(people, moments, truth) {
    this.people = people;
    this.follow = new Follow(people);
    this.camera = { eye: [0, 0, people.cameraHeight], axes: people.cameraAxes };
    this.timeline.show(people, moments);
    element("seek").max = people.end;
    element("said").textContent = [
      "Below the scene a row a person, orange as high as the share of joints that are not measured;",
      "triangles mark the moments of the list.",
      this.timeline.left ? `${this.timeline.left} who are there for a shorter time have no row.` : "",
      people.every > 1 ? `The recording is long: one frame in ${people.every} is here, with straight ways between.` : "",
    ].join(" ");
    element("truth").textContent = truth;
    document.querySelector("[data-layer=truth]").closest("label").hidden = !people.truth;
    this.seek(Math.min(this.seconds, people.end));
  }

  view(name) {
    const views = {
      home: () => this.orbit.home(),
      camera: () => this.orbit.stand(this.camera),
      side: () => this.orbit.look(Math.PI / 2, 0.08),
      top: () => this.orbit.look(0, TOP),
    };
    views[name]();
    this.draw();
  }

  seek(seconds) {
    this.seconds = Math.min(Math.max(seconds, 0), this.people.end);
    this.draw();
  }

  // Where links and charts lead: that moment, and the scene in sight.
  goTo(seconds) {
    this.pause();
    this.seek(seconds);
    this.stage.canvas.scrollIntoView({ block: "nearest" });
  }

  step(frames) {
    this.pause();
    const { seconds } = this.people;
    const frame = Math.min(Math.max(this.people.frameAt(this.seconds) + frames, 0), seconds.length - 1);
    this.seek(seconds[frame]);
  }

  play() {
    if (this.playing) return;
    if (this.seconds >= this.people.end) this.seconds = 0;
    this.#playing(true);
    let before = null;
    const tick = (now) => {
      if (!this.playing) return;
      this.seek(this.seconds + (before === null ? 0 : Math.min((now - before) / 1000, 0.25) * this.speed));
      before = now;
      if (this.seconds >= this.people.end) this.pause();
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  pause() {
    this.#playing(false);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  draw() {
    const { people } = this;
    if (!this.stage.canvas.clientWidth) return; // not laid out yet: the observer of its size draws it then
    const box = this.stage.layers.follow ? this.follow.at(this.seconds) : this.follow.everywhere;
    this.stage.draw(people.at(this.seconds), box, this.camera);
    this.timeline.draw(this.seconds, this.stage.colours);
    element("seek").value = this.seconds;
    element("seek").ariaValueText = clock(this.seconds);
    element("clock").textContent = `${clock(this.seconds)} / ${clock(people.end)}`;
    this.onMoment(this.seconds);
  }

  recolour() {
    this.stage.colours = readColours();
    this.draw();
  }

  #playing(value) {
    this.playing = value;
    element("play").textContent = value ? "❚❚" : "▶";
    element("play").setAttribute("aria-label", value ? "Pause" : "Play");
  }

  #wire() {
    const redraw = () => this.draw();
    steer(element("stage"), this.orbit, redraw);
    new ResizeObserver(redraw).observe(element("stage"));
    element("play").addEventListener("click", () => this.toggle());
    element("seek").addEventListener("input", (event) => {
      this.pause();
      this.seek(event.target.valueAsNumber);
    });
    element("speed").addEventListener("change", (event) => {
      this.speed = Number(event.target.value);
    });
    for (const button of document.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.view(button.dataset.view));
    }
    for (const box of document.querySelectorAll("[data-layer]")) {
      box.addEventListener("change", () => {
        this.stage.layers[box.dataset.layer] = box.checked;
        redraw();
      });
    }
    this.#wireKeys();
  }

  #wireKeys() {
    const keys = {
      " ": () => this.toggle(),
      k: () => this.toggle(),
      j: () => this.seek(this.seconds - 1),
      l: () => this.seek(this.seconds + 1),
      ",": () => this.step(-1),
      ".": () => this.step(1),
    };
    document.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      const own = event.key === " " ? "a, button, select, summary, [type=checkbox]" : "select"; // which need it themselves
      if (event.target.closest(own)) return;
      event.preventDefault();
      keys[event.key]();
    });
  }
}
