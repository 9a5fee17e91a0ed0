"use strict";
// A plane with points that are dragged by mouse, finger, pen or keys, and curves that follow them.

const SVG = "http://www.w3.org/2000/svg";
const FRAME = { left: 44, right: 470, top: 10, bottom: 312 }; // of the plane, in the viewBox
const NUDGE = 1 / 50; // of the plane, that an arrow key moves a point; with Shift five times that
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function shape(tag, className, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  made.setAttribute("class", className);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** From values between low and high to places between first and last, and back. */
function scale([low, high], first, last) {
  const place = (value) => first + ((value - low) / (high - low)) * (last - first);
  place.value = (at) => Math.min(Math.max(low + ((at - first) / (last - first)) * (high - low), low), high);
  return place;
}

/** Some five round numbers of a range. */
function ticks([low, high]) {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

class Plot {
  /** moved(i, [x, y]): the reader wants point i there; focusable: by keyboard too. */
  constructor(svg, { domain, range, points, curves, moved, focusable }) {
    Object.assign(this, { svg, domain, range, moved });
    this.x = scale(domain, FRAME.left, FRAME.right);
    this.y = scale(range, FRAME.bottom, FRAME.top);
    const { left, top, right, bottom } = FRAME;
    const [width, height] = [right - left, bottom - top];
    const frame = { x: left, y: top, width, height, viewBox: `${left} ${top} ${width} ${height}` };
    this.axes = shape("g", "axes");
    const inside = shape("svg", "inside", frame); // what is cut off at the frame
    this.truth = shape("path", "truth");
    this.curves = Array.from({ length: curves }, () => shape("path", "curve"));
    this.front = shape("g", ""); // the curve that is looked at, above the others
    this.handles = Array.from({ length: points }, (_, i) => this.handle(i, focusable));
    inside.append(this.truth, ...this.curves, this.front);
    svg.append(this.axes, inside, ...this.handles);
  }

  handle(i, focusable) {
    const made = shape("g", "handle");
    made.append(shape("circle", "reach", { r: 22 }), shape("circle", "dot", { r: 8 }));
    // CSS's touch-action is not heeded on parts of an SVG: without this a finger would scroll.
    made.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    made.addEventListener("pointerdown", (event) => {
      if (event.isPrimary && event.button === 0) made.setPointerCapture(event.pointerId);
    });
    made.addEventListener("pointermove", (event) => {
      if (made.hasPointerCapture(event.pointerId)) this.moved(i, this.valueAt(event));
    });
    if (focusable) this.listenToKeys(made, i);
    else made.setAttribute("aria-hidden", true);
    return made;
  }

  listenToKeys(handle, i) {
    handle.setAttribute("tabindex", 0);
    handle.setAttribute("role", "slider");
    const [low, high] = this.range;
    handle.setAttribute("aria-valuemin", low);
    handle.setAttribute("aria-valuemax", high);
    handle.addEventListener("keydown", (event) => {
      const way = ARROWS[event.key];
      if (!way) return;
      event.preventDefault();
      const far = event.shiftKey ? 5 * NUDGE : NUDGE;
      const [x, y] = this.points[i];
      const [width, height] = [this.domain, this.range].map(([low, high]) => far * (high - low));
      this.moved(i, this.within([x + way[0] * width, y + way[1] * height]));
    });
  }

  /** The values of the plane under a pointer. */
  valueAt({ clientX, clientY }) {
    const { left, top, width, height } = this.svg.getBoundingClientRect();
    const box = this.svg.viewBox.baseVal;
    return [
      this.x.value(((clientX - left) / width) * box.width),
      this.y.value(((clientY - top) / height) * box.height),
    ];
  }

  within([x, y]) {
    return [this.x.value(this.x(x)), this.y.value(this.y(y))];
  }

  /** The axes, with numbers as the reader writes them. */
  showAxes(number) {
    const { left, right, top, bottom } = FRAME;
    const label = (value, className, at) => {
      const made = shape("text", className, at);
      made.textContent = number(value);
      return made;
    };
    const across = ticks(this.range).flatMap((value) => [
      shape("line", value ? "grid" : "zero", { x1: left, x2: right, y1: this.y(value), y2: this.y(value) }),
      label(value, "of-y", { x: left - 8, y: this.y(value) + 4 }),
    ]);
    const down = ticks(this.domain).flatMap((value) => [
      shape("line", value ? "grid" : "zero", { x1: this.x(value), x2: this.x(value), y1: top, y2: bottom }),
      label(value, "of-x", { x: this.x(value), y: bottom + 20 }),
    ]);
    this.axes.replaceChildren(...across, ...down);
  }

  /** Points [[x, y]], the curve behind them or null; name(i): what a point is called. */
  showPoints(points, truth, name) {
    this.points = points;
    this.truth.setAttribute("d", truth ? this.path(truth) : "");
    this.handles.forEach((handle, i) => {
      const [x, y] = points[i];
      handle.setAttribute("transform", `translate(${this.x(x)} ${this.y(y)})`);
      handle.setAttribute("aria-valuenow", y);
      handle.setAttribute("aria-valuetext", name(points[i]));
    });
  }

  showCurve(i, points) {
    this.curves[i].setAttribute("d", this.path(points));
  }

  /** The curve that is looked at. */
  choose(chosen) {
    this.curves.forEach((curve, i) => curve.classList.toggle("now", i === chosen));
    this.front.before(...this.curves);
    this.front.replaceChildren(this.curves[chosen]);
  }

  path(points) {
    const finite = points.filter(([, y]) => Number.isFinite(y)); // a rate too high has no curve
    const places = finite.map(([x, y]) => `${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`);
    return places.length ? `M${places.join("L")}` : "";
  }
}
