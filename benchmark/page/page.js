"use strict";
// The page: its sheets, its two learners (the run's initialisation and a random one), its language.

const CONTENTS = JSON.parse(document.getElementById("contents").textContent);
const { hand, side, shots, steps, ways } = CONTENTS;
const STARTS = Object.keys(CONTENTS.starts);
const PAUSE = 150; // milliseconds without a change before anything is learned
const find = (id) => document.getElementById(id);

const page = {
  language: "en",
  classes: [], // sheets
  query: newSheet(shots),
  problem: 0, // number of the support set that the learners were given last
  asked: 0, // and of the queries
  support: null, // {images, labels}, or null where a class has no drawing
  questions: [], // the sheet's places of the queries that were asked
  points: nothingHeard(), // {start: {step: {loss, answers}}}
};

function nothingHeard() {
  return Object.fromEntries(STARTS.map((start) => [start, {}]));
}

// --- Words ---

/** The text of a key in the page's language, its {values} filled in. */
function say(key, values = {}) {
  const fill = (_, name) => (typeof values[name] === "number" ? say.number(values[name]) : values[name]);
  return CONTENTS.texts[key][page.language].replace(/{(\w+)}/g, fill);
}
const formatted = (options) => (value) => new Intl.NumberFormat(page.language, options).format(value);
say.number = formatted({ maximumSignificantDigits: 6 });
say.percent = formatted({ style: "percent" });
say.loss = formatted({ minimumFractionDigits: 2, maximumFractionDigits: 2 });

const nameOf = (sheet, i) => sheet.name || say("letters").split(" ")[i];
const names = () => page.classes.map(nameOf);

function speak(language) {
  page.language = language;
  const root = document.documentElement;
  root.lang = language;
  root.dir = say("direction");
  document.title = say("title");
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) node.ariaLabel = say(node.dataset.label);
  for (const node of document.querySelectorAll("[data-number]")) {
    node.textContent = say.number(Number(node.dataset.number));
  }
  for (const node of document.querySelectorAll("[data-language]")) {
    node.setAttribute("aria-pressed", node.dataset.language === language);
  }
  find("run").textContent = say("run", CONTENTS.run);
  find("drawings").textContent = say(CONTENTS.licence ? "omniglot" : "unseen");
  show();
}

// --- Learning ---

/** Give the learners what is drawn now: a new support set, or only new queries. */
function learn() {
  const images = page.classes.map((sheet) => filled(sheet).map((drawing) => seen(drawing, hand, side)));
  const ready = images.every((drawn) => drawn.length);
  page.problem += 1;
  page.points = nothingHeard();
  page.support = ready
    ? { images: images.flat(), labels: images.flatMap((drawn, i) => drawn.map(() => i)) }
    : null;
  if (page.support) {
    const { problem, support } = page;
    const order = CONTENTS.orders[support.images.length];
    const classes = page.classes.length;
    tell({ kind: "learn", problem, ...support, classes, order, steps });
  }
  show();
}

function ask() {
  const drawn = page.query.drawings.map((drawing) => seen(drawing, hand, side));
  page.asked += 1;
  page.points = nothingHeard();
  page.questions = [...drawn.keys()].filter((place) => drawn[place]);
  tell({ kind: "ask", asked: page.asked, queries: drawn.filter(Boolean) });
  show();
}

const tell = (message) => STARTS.forEach((start) => learners[start].postMessage(message));

function hear(start, { problem, asked, step, ...point }) {
  if (problem !== page.problem || asked !== page.asked) return;
  page.points[start][step] = point;
  showResults();
}

/** A function that runs once, after no call has come for a while. */
function settled(run) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(run, PAUSE);
  };
}
const learnSoon = settled(learn);
const askSoon = settled(ask);

/** A worker with one initialisation. */
function learner(start) {
  const { params, moment, count } = CONTENTS.starts[start];
  const source = new Blob([find("worker").textContent], { type: "text/javascript" });
  const worker = new Worker(URL.createObjectURL(source));
  worker.onmessage = ({ data }) => hear(start, data);
  worker.onerror = unable;
  const numbers = floats(params);
  const state = { params: numbers, moment: moment ? floats(moment) : numbers.map(() => 0), count };
  worker.postMessage({ kind: "begin", layers: CONTENTS.layers, inner: CONTENTS.inner, start: state });
  return worker;
}

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floats = (text) => Float64Array.from(new Float32Array(bytes(text).buffer));

// --- Showing ---

function show() {
  const known = names();
  classViews.forEach((view, i) => {
    const sheet = page.classes[i];
    view.root.hidden = !sheet;
    if (!sheet) return;
    view.show(sheet, known[i], say);
    const input = view.root.querySelector(".name");
    if (document.activeElement !== input) input.value = known[i];
    input.ariaLabel = say("nameLabel", { name: known[i] });
    const remove = view.root.querySelector(".remove");
    remove.ariaLabel = say("removeClass", { name: known[i] });
    remove.disabled = page.classes.length <= 2;
  });
  queryView.show(page.query, say("query"), say);
  find("add").hidden = page.classes.length >= ways;
  find("again").disabled = !page.support;
  paintPixels(find("seen"), seen(page.query.drawings[page.query.active], hand, side), side);
  showLegend(known);
  showResults();
}

function showLegend(known) {
  const entries = known.map((name, i) => {
    const entry = element("li");
    entry.append(element("span", `swatch own-${i}`), name);
    return entry;
  });
  find("legend").replaceChildren(...entries);
}

function showResults() {
  const known = names();
  const place = page.questions.indexOf(page.query.active);
  const query = place < 0 ? null : place;
  const drawing = page.query.drawings[page.query.active];
  const truth = drawing.truth && page.classes.findIndex((sheet) => sheet.token === drawing.truth);
  const common = { steps, query, names: known, truth: truth === -1 ? null : truth, say };
  for (const start of STARTS) startViews[start].show({ points: page.points[start], ...common });
  const pixels = seen(drawing, hand, side);
  const { images, labels } = page.support ?? {};
  const nearest = pixels && images ? nearestClass(pixels, images, labels) : null;
  showAnswer(find("nearest"), nearest, known, common.truth, say);
  showDots();
  find("status").textContent = status(known);
}

/** Under each query, the colour of the class that the run's initialisation takes it for. */
function showDots() {
  const last = steps.filter((step) => page.points.learned[step]).pop();
  queryView.strip.forEach((button, i) => {
    const place = page.questions.indexOf(i);
    const dot = button.querySelector(".dot");
    dot.hidden = last === undefined || place < 0;
    if (!dot.hidden) dot.className = `dot own-${best(page.points.learned[last].answers[place])}`;
  });
}

function status(known) {
  if (!page.support) {
    const missing = known.filter((_, i) => !filled(page.classes[i]).length);
    return say("missing", { names: missing.join(say("comma")) });
  }
  const done = STARTS.map((start) => steps.filter((step) => page.points[start][step]).pop());
  const last = steps[steps.length - 1];
  if (done.some((step) => step !== last)) {
    return say("learning", { step: Math.min(...done.map((step) => step ?? 0)), last });
  }
  return say(page.questions.length ? "learnt" : "noQuery", { last });
}

// --- Doing ---

function addClass() {
  page.classes.push(newSheet(shots));
  learn();
}

function removeClass(i) {
  page.classes.splice(i, 1);
  learn();
}

function clearAll() {
  page.classes = page.classes.map(() => newSheet(shots));
  page.query = newSheet(shots);
  learn();
  ask();
}

/** Test drawings of as many new characters as there are classes, and one query of each. */
function surprise() {
  const [classes, drawings] = CONTENTS.drawings.shape;
  const chosen = shuffled(classes);
  const queries = page.classes.map((sheet, i) => {
    const count = Math.min(Math.max(filled(sheet).length, 1), drawings - 1);
    const places = shuffled(drawings);
    const token = {};
    Object.assign(sheet, newSheet(shots), { name: sheet.name, token });
    for (let k = 0; k < count; k++) sheet.drawings[k].pixels = testDrawing(chosen[i], places[k]);
    return { strokes: [], pixels: testDrawing(chosen[i], places[count]), truth: token };
  });
  page.query = newSheet(shots);
  shuffled(queries.length).forEach((from, to) => { page.query.drawings[to] = queries[from]; });
  ask();
  learn();
}

/** The numbers below `count` in random order. */
function shuffled(count) {
  const keys = Float64Array.from({ length: count }, Math.random);
  return [...keys.keys()].sort((a, b) => keys[a] - keys[b]);
}

const ink = bytes(CONTENTS.drawings.ink);

function testDrawing(character, example) {
  const size = CONTENTS.drawings.shape[2];
  const start = (character * CONTENTS.drawings.shape[1] + example) * size;
  const bit = (_, i) => 1 - ((ink[start + (i >> 3)] >> (7 - (i & 7))) & 1);
  return Float32Array.from({ length: side * side }, bit);
}

// --- Beginning ---

const startViews = Object.fromEntries(
  STARTS.map((start) => [start, new StartView(document.querySelector(`[data-start="${start}"]`))]),
);
const classViews = Array.from({ length: ways }, (_, i) => {
  const view = new SheetView({ hand, side, shots, turned: show, changed: () => (show(), learnSoon()) });
  view.root.classList.add(`own-${i}`);
  const input = view.root.querySelector(".name");
  input.oninput = () => {
    page.classes[i].name = input.value.trim() || null;
    show();
  };
  input.onblur = () => show();
  view.root.querySelector(".remove").onclick = () => removeClass(i);
  return view;
});
const queryView = new SheetView({ hand, side, shots, turned: show, changed: () => (show(), askSoon()) });
let learners;

function unable() {
  find("page").hidden = true;
  find("unable").hidden = false;
}

function begin() {
  if (!window.PointerEvent) return;
  learners = Object.fromEntries(STARTS.map((start) => [start, learner(start)]));
  find("add").before(...classViews.map((view) => view.root));
  queryView.root.querySelector(".top").remove();
  find("query").append(queryView.root);
  page.classes = Array.from({ length: Math.min(3, ways) }, () => newSheet(shots));
  find("surprise").onclick = surprise;
  find("add").onclick = addClass;
  find("clear-all").onclick = clearAll;
  find("again").onclick = learn;
  for (const button of document.querySelectorAll("[data-language]")) {
    button.onclick = () => { speak(button.dataset.language); };
  }
  const wanted = [location.hash.slice(1), navigator.language.slice(0, 2)];
  speak(wanted.find((language) => CONTENTS.texts.title[language]) ?? "en");
  find("licence").hidden = !CONTENTS.licence;
  find("licence").querySelector("pre").textContent = CONTENTS.licence;
  find("unable").hidden = true;
  find("page").hidden = false;
}

begin();
