// Turns the view by hand: drag turns, two fingers or the wheel zoom, arrow keys turn, + and - zoom, 0 goes home.

function steer(canvas, orbit, changed) {
  const pointers = new Map();
  const turn = (right, up) => { orbit.turn(-right * 0.008, up * 0.006); changed(); };
  const nearer = (factor) => { orbit.nearer(factor); changed(); };
  const spread = () => { const [a, b] = [...pointers.values()]; return Math.max(Math.hypot(a.x - b.x, a.y - b.y), 1); };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const spreadBefore = pointers.size === 2 ? spread() : 0;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pointers.size === 2) nearer(spread() / spreadBefore);
    turn((event.clientX - before.x) / pointers.size, (event.clientY - before.y) / pointers.size);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", (event) => { // the page scrolls until the scene is clicked
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    nearer(Math.exp(-event.deltaY * 0.0015));
  }, { passive: false });

  const keys = {
    ArrowLeft: () => turn(12, 0), ArrowRight: () => turn(-12, 0), ArrowUp: () => turn(0, 12), ArrowDown: () => turn(0, -12),
    "+": () => nearer(1.1), "=": () => nearer(1.1), "-": () => nearer(1 / 1.1), 0: () => { orbit.home(); changed(); },
  };
  canvas.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
}
