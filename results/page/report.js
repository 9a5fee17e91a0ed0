"use strict";
// A reader's choices on the page: rows, protocols and methods. All text that came with the page is
// only ever put back as text. The choices stand in the history's state, so a reload keeps them.

const MOST_ROWS = 100; // in a table at first: more take a browser too long to lay out
const MISSING = "-";
const choices = { methods: [], hidden: [], tables: {}, ...history.state };
const find = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);
const keep = () => history.replaceState(choices, "");
const toggled = (list, item) => (list.includes(item) ? list.filter((each) => each !== item) : [...list, item]);

// --- tables: sorted, filtered, copied -------------------------------------------------------------

class Table {
  constructor(box, number) {
    this.element = box.querySelector("table");
    this.body = this.element.tBodies[0];
    this.heads = [...this.element.tHead.rows[0].cells];
    this.names = this.heads.map((head) => head.textContent);
    this.protocols = this.heads.map((head) => head.dataset.protocol);
    this.rows = [...this.body.rows].map((element) => new Row(element));
    this.chosen = choices.tables[number] ??= { words: "", column: null, down: false, all: false };
    this.addTools(box);
    this.heads.forEach((head, column) => this.addSorting(head, column));
    for (const row of this.rows) {
      if (!this.isAbout("method")) break;
      row.element.cells[0].classList.add("method");
    }
  }

  isAbout(name) { return this.names[0] === name; }

  isOfProtocols() { return this.protocols.some(Boolean) || this.names.includes("protocol"); }

  addTools(box) {
    const words = make("input", { type: "search", placeholder: "Filter: words, or steps=5", value: this.chosen.words });
    words.setAttribute("aria-label", "Show only the rows with these words");
    words.oninput = () => { this.chosen.words = words.value; this.show(); };
    this.all = make("button", { type: "button", textContent: "Show all" });
    this.all.onclick = () => { this.chosen.all = true; this.show(); };
    this.count = make("span", { className: "small" });
    this.count.setAttribute("role", "status");
    const tools = make("div", { className: "tools" });
    tools.append(words, this.count, this.all, copyButton("Markdown", () => markdown(this.cells())));
    tools.append(copyButton("LaTeX", () => latex(this.cells())));
    box.before(tools);
  }

  addSorting(head, column) {
    const button = make("button", { type: "button", textContent: head.textContent });
    button.onclick = () => {
      const again = this.chosen.column === column;
      Object.assign(this.chosen, again && this.chosen.down ? { column: null, down: false } : { column, down: again });
      this.show();
    };
    head.replaceChildren(button);
  }

  /** Attach the rows that were asked for, in their order; the others are out of the page. */
  show() {
    const rows = this.sorted(this.rows.filter(this.test()));
    this.constant = this.constants(rows);
    const shown = this.chosen.all ? rows : rows.slice(0, MOST_ROWS);
    this.body.replaceChildren(...shown.map((row) => row.element));
    this.heads.forEach((head, column) => {
      head.hidden = this.isHidden(column);
      head.setAttribute("aria-sort", column !== this.chosen.column ? "none" : this.chosen.down ? "descending" : "ascending");
    });
    const hidden = this.heads.map((_, column) => this.isHidden(column));
    for (const { element } of shown) hidden.forEach((is, column) => { element.cells[column].hidden = is; });
    this.count.textContent = this.counted(rows, shown);
    this.all.hidden = shown.length === rows.length;
    this.fade();
    keep();
  }

  /** "3 of 40 rows, steps 5": how many are shown, and what they share. */
  counted(rows, shown) {
    const some = shown.length === this.rows.length ? "" : `${shown.length} of `;
    const shared = this.constant.filter((column) => rows[0].texts[column] !== MISSING);
    return [`${some}${this.rows.length} rows`, ...shared.map((column) => `${this.names[column]} ${rows[0].texts[column]}`)].join(", ");
  }

  /** Columns before the protocols that do not tell the chosen rows apart: said once, not shown. */
  constants(rows) {
    const keys = this.protocols.some(Boolean) ? this.protocols.findIndex(Boolean) : this.names.indexOf("protocol");
    if (rows.length < 1 || rows.length === this.rows.length) return [];
    const columns = Array.from({ length: Math.max(0, keys - 1) }, (_, place) => place + 1);
    return columns.filter((column) => rows.every((row) => row.texts[column] === rows[0].texts[column]));
  }

  isHidden(column) {
    return choices.hidden.includes(this.protocols[column]) || this.constant.includes(column);
  }

  /** Whether a row has the words that were typed, and a number under a chosen protocol. */
  test() {
    const words = this.chosen.words.toLowerCase().split(/\s+/).filter(Boolean).map((word) => this.word(word));
    const numbers = this.protocols.flatMap((protocol, column) => (protocol && !choices.hidden.includes(protocol) ? [column] : []));
    const narrowed = this.protocols.some((protocol) => choices.hidden.includes(protocol));
    const about = this.names.indexOf("protocol");
    return (row) =>
      words.every((has) => has(row)) &&
      !(about >= 0 && choices.hidden.length && choices.hidden.includes(row.texts[about])) &&
      (!narrowed || numbers.some((column) => row.texts[column] !== MISSING));
  }

  word(word) {
    const [name, value] = word.split("=");
    const column = this.names.findIndex((each) => plainName(each).toLowerCase() === name);
    if (value === undefined || column < 0) return (row) => row.all.includes(word);
    return (row) => row.texts[column].toLowerCase() === value;
  }

  sorted(rows) {
    const { column, down } = this.chosen;
    if (column === null) return rows;
    const sign = down ? -1 : 1;
    const keyed = rows.map((row) => ({ row, value: row.value(column) }));
    keyed.sort((a, b) => (a.value === null) - (b.value === null) || sign * compared(a.value, b.value));
    return keyed.map(({ row }) => row);
  }

  fade() {
    if (!this.isAbout("method")) return;
    for (const element of this.body.rows) element.classList.toggle("faded", isFaded(element.cells[0].textContent));
  }

  /** What is shown of the table: [row, column], the heads first. */
  cells() {
    const columns = this.heads.flatMap((_, column) => (this.isHidden(column) ? [] : [column]));
    const names = columns.map((column) => ({ text: plainName(this.names[column]), best: false }));
    const lines = [...this.body.rows].map((row) =>
      columns.map((column) => ({ text: row.cells[column].textContent, best: row.cells[column].classList.contains("best") })));
    return [names, ...lines];
  }
}

class Row {
  constructor(element) { this.element = element; }
  get texts() { return this.once("texts", [...this.element.cells].map((cell) => cell.textContent)); }
  get all() { return this.once("all", this.texts.join("\n").toLowerCase()); }
  value(column) {
    const { dataset, textContent } = this.element.cells[column];
    return valueOf(dataset.value ?? textContent);
  }
  once(name, value) {
    Object.defineProperty(this, name, { value });
    return value;
  }
}

const plainName = (name) => name.replaceAll("\u2011", "-");

/** A number where a text begins with one, else the text; null where there is none. */
function valueOf(text) {
  if (text === MISSING || text === "") return null;
  const number = parseFloat(text);
  return Number.isNaN(number) ? text : number;
}

function compared(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

const HTML = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|" };
const TEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\^{}", "<": "\\ensuremath{<}", ">": "\\ensuremath{>}", "±": "$\\pm$" };

function markdown(cells) {
  const cell = ({ text, best }) => { const safe = text.replace(/[&<>|]/g, (sign) => HTML[sign]); return best ? `**${safe}**` : safe; };
  const [head, ...lines] = cells.map((line) => `| ${line.map(cell).join(" | ")} |`);
  return [head, `|${"---|".repeat(cells[0].length)}`, ...lines].join("\n") + "\n";
}

function latex(cells) {
  const cell = ({ text, best }) => {
    const safe = text.replace(/[\\&%$#_{}~^<>±]/g, (sign) => TEX[sign] ?? `\\${sign}`).replace(/^-(?=\d)/, "$-$");
    return best ? `\\textbf{${safe}}` : safe;
  };
  const [head, ...lines] = cells.map((line) => `${line.map(cell).join(" & ")} \\\\`);
  const begin = `% needs \\usepackage{booktabs}\n\\begin{tabular}{${"l".repeat(cells[0].length)}}\n\\toprule`;
  return [begin, head, "\\midrule", ...lines, "\\bottomrule\n\\end{tabular}"].join("\n") + "\n";
}

function copyButton(name, text) {
  const button = make("button", { type: "button", textContent: `Copy as ${name}` });
  button.onclick = async () => {
    button.textContent = (await copied(text())) ? "Copied" : "Could not copy";
    setTimeout(() => { button.textContent = `Copy as ${name}`; }, 1500);
  };
  return button;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // a browser that lets no file do this
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// --- methods and protocols ------------------------------------------------------------------------

const isFaded = (method) => choices.methods.length > 0 && !choices.methods.includes(method);

function chooseMethod(method) {
  choices.methods = toggled(choices.methods, method);
  showMethods();
  keep();
}

function showMethods() {
  for (const button of find("button[data-method]")) {
    button.setAttribute("aria-pressed", choices.methods.includes(button.dataset.method));
  }
  for (const part of find("figure [data-method]")) part.classList.toggle("faded", isFaded(part.dataset.method));
  for (const table of tables) table.fade();
}

function chooseProtocol(protocol) {
  choices.hidden = toggled(choices.hidden, protocol);
  showProtocols();
  for (const table of tables) if (table.isOfProtocols()) table.show();
}

function showProtocols() {
  for (const button of find("button[data-protocol]")) {
    button.setAttribute("aria-pressed", !choices.hidden.includes(button.dataset.protocol));
  }
}

function onClick(event) {
  const target = pointUnder(event) ?? event.target;
  const method = target.closest("[data-method]")?.dataset.method ?? target.closest("th.method")?.textContent;
  const protocol = target.closest("button[data-protocol]")?.dataset.protocol;
  if (method) chooseMethod(method);
  if (protocol) chooseProtocol(protocol);
}

// --- figures: the point under the pointer ---------------------------------------------------------

const REACH = 14; // pixels
const said = new Map(); // element of a point -> text
const box = document.getElementById("point");
let pointed = null;

/** The script says what a point is; the browser need not say it again. */
function takeTitles() {
  for (const title of find("figure title")) {
    said.set(title.parentElement, title.textContent);
    title.remove();
  }
}

function pointUnder(event) {
  const figure = event.target.closest?.("figure svg");
  if (!figure) return null;
  const scale = figure.getBoundingClientRect().width / figure.viewBox.baseVal.width;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(figure.getScreenCTM().inverse());
  const far = (point) => scale * Math.hypot(point.x.baseVal.value - at.x, point.y.baseVal.value - at.y);
  const points = find("[data-method]:not(.faded) use", figure).filter((point) => said.has(point));
  const near = points.map((point) => [far(point), point]).filter(([distance]) => distance < REACH);
  if (near.length) return near.reduce((best, each) => (each[0] < best[0] ? each : best))[1];
  const group = event.target.closest("[data-method]");
  return said.has(group) ? group : null;
}

function onMove(event) {
  const point = pointUnder(event);
  if (point !== pointed) {
    pointed?.classList.remove("pointed");
    pointed = point;
    if (point?.tagName === "use") point.classList.add("pointed");
    const [name, ...lines] = (said.get(point) ?? "").split("\n");
    box.replaceChildren(make("b", { textContent: name }), `\n${lines.join("\n")}`);
    box.hidden = !point;
  }
  if (point) place(event.clientX, event.clientY);
}

/** Beside the pointer, within the window. */
function place(x, y) {
  const { width, height } = box.getBoundingClientRect();
  const right = x + 16 + width > document.documentElement.clientWidth;
  const left = Math.max(4, right ? x - 16 - width : x + 16);
  const top = Math.max(4, Math.min(y + 16, document.documentElement.clientHeight - height - 4));
  box.style.transform = `translate(${left}px, ${top}px)`;
}

// --- light and dark -------------------------------------------------------------------------------

const THEME = "results-theme";
const remembered = (action) => { try { return action(localStorage); } catch { return null; } }; // a browser may forbid it
const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
}

function switchTheme() {
  const theme = isDark() ? "light" : "dark";
  remembered((storage) => storage.setItem(THEME, theme));
  setTheme(theme);
}

// --- a sweep that still runs ----------------------------------------------------------------------

/** Load the page again, unless the reader is at work in it. */
function reloadLater(seconds) {
  setTimeout(() => (document.activeElement?.matches("input") || pointed ? reloadLater(seconds) : location.reload()), 1000 * seconds);
}

// --------------------------------------------------------------------------------------------------

setTheme(remembered((storage) => storage.getItem(THEME)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme());
document.getElementById("theme").onclick = switchTheme;
for (const element of find(".scripted")) element.hidden = false;
takeTitles();
const tables = find(".scroll").map((each, number) => new Table(each, number));
for (const table of tables) table.show();
showProtocols();
showMethods();
document.addEventListener("click", onClick);
document.addEventListener("pointermove", onMove);
document.addEventListener("pointerdown", onMove);
if (document.body.dataset.reload) reloadLater(Number(document.body.dataset.reload));
