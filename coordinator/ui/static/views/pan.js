// Moving and zooming a picture: the pointer, the wheel, and the keyboard.

const STEP = 60;

const READABLE = 0.7;

/** Makes an SVG element movable. `size(size, middle)`: the picture has this size; `middle`: what to begin with, if it is
 * a new picture. */
export function panAndZoom(canvas) {
  let picture = { width: 1, height: 1 };
  let view = { x: 0, y: 0, scale: 1 };
  let held = null;
  let middle = { x: 0, y: 0 };

  function draw() {
    const { width, height } = canvas.getBoundingClientRect();
    if (width) canvas.setAttribute("viewBox", `${view.x} ${view.y} ${width / view.scale} ${height / view.scale}`);
  }

  /** All of it, but no larger than life; of a picture that would be too small to read, the part around its middle. */
  function fit() {
    const { width, height } = canvas.getBoundingClientRect();
    const scale = Math.min(1, Math.max(READABLE, Math.min(width / picture.width, height / picture.height)));
    const begin = (length, whole, at) => {
      const seen = length / scale;
      return seen >= whole ? (whole - seen) / 2 : Math.min(whole - seen, Math.max(0, at - seen / 2));
    };
    view = { scale, x: begin(width, picture.width, middle.x), y: begin(height, picture.height, middle.y) };
    draw();
  }

  function zoom(by, at = null) {
    const { width, height } = canvas.getBoundingClientRect();
    const [px, py] = at ?? [width / 2, height / 2];
    const scale = Math.min(3, Math.max(0.05, view.scale * by));
    view = { scale, x: view.x + px / view.scale - px / scale, y: view.y + py / view.scale - py / scale };
    draw();
  }

  function move(dx, dy) {
    view = { ...view, x: view.x + dx / view.scale, y: view.y + dy / view.scale };
    draw();
  }

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { left, top } = canvas.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY / 400), [event.clientX - left, event.clientY - top]);
    },
    { passive: false },
  );
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, moved: 0 };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held || !(event.buttons & 1)) return;
    const [dx, dy] = [held.x - event.clientX, held.y - event.clientY];
    const moved = held.moved + Math.abs(dx) + Math.abs(dy);
    if (moved > 6 && held.moved <= 6) canvas.setPointerCapture(event.pointerId);
    held = { x: event.clientX, y: event.clientY, moved };
    move(dx, dy);
  });
  canvas.addEventListener("click", (event) => held?.moved > 6 && event.preventDefault(), true); // the end of a move
  canvas.addEventListener("dragstart", (event) => event.preventDefault());
  canvas.addEventListener("keydown", (event) => {
    const keys = {
      ArrowLeft: () => move(-STEP, 0),
      ArrowRight: () => move(STEP, 0),
      ArrowUp: () => move(0, -STEP),
      ArrowDown: () => move(0, STEP),
      "+": () => zoom(1.25),
      "-": () => zoom(0.8),
      0: fit,
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  new ResizeObserver(draw).observe(canvas);
  return {
    size(size, begin) {
      picture = size;
      if (begin) {
        middle = begin;
        fit();
      } else draw();
    },
  };
}
