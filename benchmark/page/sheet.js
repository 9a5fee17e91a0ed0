"use strict";
// A sheet: up to five drawings of one character (or of queries), one of them on the pad.

const newSheet = (shots) => ({
  name: null, // null: the page's own name for it
  drawings: Array.from({ length: shots }, emptyDrawing),
  active: 0,
  token: null, // of the "surprise me" that filled it, until someone draws on it
});
const filled = (sheet) => sheet.drawings.filter((drawing) => !isEmpty(drawing));

/** What one sees of a sheet and does to it: turned() to another drawing, changed() a drawing. */
class SheetView {
  constructor({ hand, side, shots, turned, changed }) {
    Object.assign(this, { hand, side, changed, cursor: null, stroke: null });
    this.root = document.getElementById("sheet").content.cloneNode(true).firstElementChild;
    this.pad = this.root.querySelector(".pad");
    this.strip = Array.from({ length: shots }, (_, i) => this.slot(i, turned));
    this.root.querySelector(".strip").append(...this.strip);
    this.root.querySelector(".undo").onclick = () => this.undo();
    this.root.querySelector(".clear").onclick = () => this.clear();
    this.listenToPointer();
    this.listenToKeyboard();
  }

  get drawing() {
    return this.sheet.drawings[this.sheet.active];
  }

  /** Draw `sheet`, named as the reader knows it. */
  show(sheet, name, say) {
    this.sheet = sheet;
    const [undo, clear] = ["undo", "clear"].map((tool) => this.root.querySelector(`.${tool}`));
    undo.textContent = say("undo");
    clear.textContent = say("clear");
    undo.disabled = clear.disabled = isEmpty(this.drawing);
    this.root.querySelector(".ghost").textContent = isEmpty(this.drawing) ? say("ghost") : "";
    this.pad.setAttribute("aria-label", say("padLabel", { name }));
    this.strip.forEach((button, i) => this.showSlot(button, i, name, say));
    this.paint();
  }

  paint() {
    paint(this.pad, this.drawing, this.side);
    if (this.cursor) this.paintCursor();
  }

  slot(i, turned) {
    const button = document.createElement("button");
    button.type = "button";
    button.innerHTML = '<canvas></canvas><span class="plus">+</span><span class="dot" hidden></span>';
    button.firstChild.width = button.firstChild.height = this.side;
    button.onclick = () => {
      this.sheet.active = i;
      turned();
    };
    return button;
  }

  showSlot(button, i, name, say) {
    const pixels = seen(this.sheet.drawings[i], this.hand, this.side);
    const key = pixels ? "slotFilled" : "slotEmpty";
    button.setAttribute("aria-label", say(key, { name, number: i + 1 }));
    button.setAttribute("aria-pressed", i === this.sheet.active);
    button.classList.toggle("filled", pixels !== null);
    button.querySelector(".plus").hidden = pixels !== null;
    paintPixels(button.querySelector("canvas"), pixels, this.side);
  }

  /** Begin a line at a point of the pad; what came with the page makes way for it. */
  penDown(point) {
    if (this.drawing.pixels) this.replace(emptyDrawing());
    this.stroke = [point];
    this.drawing.strokes.push(this.stroke);
    this.paint();
  }

  penTo(points) {
    this.stroke.push(...points);
    this.paint();
  }

  penUp() {
    if (this.stroke === null) return;
    this.stroke = null;
    this.edited();
  }

  undo() {
    if (this.drawing.pixels) return this.clear();
    this.drawing.strokes.pop();
    this.edited();
  }

  clear() {
    this.replace(emptyDrawing());
    this.edited();
  }

  replace(drawing) {
    this.sheet.drawings[this.sheet.active] = drawing;
  }

  edited() {
    this.stroke = null;
    this.sheet.token = null;
    this.changed();
  }

  listenToPointer() {
    const pad = this.pad;
    const place = ({ clientX, clientY }) => {
      const { left, top, width, height } = pad.getBoundingClientRect();
      return [(clientX - left) / width, (clientY - top) / height].map(onPaper);
    };
    pad.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary || event.button !== 0) return;
      pad.setPointerCapture(event.pointerId);
      this.penDown(place(event));
    });
    pad.addEventListener("pointermove", (event) => {
      if (this.stroke === null || !event.isPrimary || !event.buttons) return;
      const each = event.getCoalescedEvents?.() ?? [];
      this.penTo((each.length ? each : [event]).map(place));
    });
    for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => this.penUp());
  }

  /** Arrow keys move a pen over the pad, the space bar lowers and lifts it. */
  listenToKeyboard() {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const act = (key) => {
      if (key in way) this.moveCursor(way[key]);
      else if (key === " ") this.stroke ? this.penUp() : this.penDown(this.cursor);
      else if (key === "Backspace") this.undo();
      else if (key === "Delete") this.clear();
    };
    this.pad.addEventListener("keydown", (event) => {
      if (![...Object.keys(way), " ", "Backspace", "Delete"].includes(event.key)) return;
      event.preventDefault();
      this.cursor ??= [0.5, 0.5];
      act(event.key);
      this.paint();
    });
    this.pad.addEventListener("blur", () => {
      this.cursor = null;
      this.penUp();
      this.paint();
    });
  }

  moveCursor([right, down]) {
    const [x, y] = this.cursor;
    this.cursor = [x + right / this.side, y + down / this.side].map(onPaper);
    if (this.stroke) this.penTo([this.cursor]);
  }

  paintCursor() {
    const pen = this.pad.getContext("2d");
    const [x, y] = this.cursor.map((v) => v * this.pad.width);
    pen.lineWidth = 3;
    pen.strokeStyle = getComputedStyle(this.pad).getPropertyValue("--ink");
    pen.beginPath();
    pen.arc(x, y, this.stroke ? 7 : 14, 0, 2 * Math.PI);
    pen.stroke();
  }
}

const onPaper = (value) => Math.min(Math.max(value, 0), 1);
