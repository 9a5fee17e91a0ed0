"use strict";
// The page to draw on: sheets of characters to learn, and a sheet of queries.

const { hand, side, shots, ways } = CONTENTS;
const PAUSE = 150; // milliseconds without a change before anything is learned

const page = {
  classes: [], // sheets
  query: newSheet(shots),
  support: null, // {images, labels}, or null where a class has no drawing
  questions: [], // the sheet's places of the queries that were asked
};

const nameOf = (sheet, i) => sheet.name || say("letters").split(" ")[i];
const names = () => page.classes.map(nameOf);

// --- Learning ---

/** Give the learners what is drawn now. */
function learn() {
  const images = page.classes.map((sheet) => filled(sheet).map((drawing) => seen(drawing, hand, side)));
  const ready = images.every((drawn) => drawn.length);
  page.support = ready
    ? { images: images.flat(), labels: images.flatMap((drawn, i) => drawn.map(() => i)) }
    : null;
  const { images: x, labels: y } = page.support ?? {};
  teach(page.support && { x, y, classes: page.classes.length });
  show();
}

/** Ask them for the queries that are drawn now. */
function question() {
  const drawn = page.query.drawings.map((drawing) => seen(drawing, hand, side));
  page.questions = [...drawn.keys()].filter((place) => drawn[place]);
  ask(drawn.filter(Boolean));
  show();
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
const askSoon = settled(question);

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
  find("drawings").textContent = say(CONTENTS.licence ? "omniglot" : "unseen");
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
  for (const start of STARTS) startViews[start].show({ points: learning.points[start], ...common });
  const pixels = seen(drawing, hand, side);
  const { images, labels } = page.support ?? {};
  const nearest = pixels && images ? nearestClass(pixels, images, labels) : null;
  showAnswer(find("nearest"), nearest, known, common.truth, say);
  showDots();
  find("status").textContent = status(known);
}

/** Under each query, the colour of the class that the run's initialisation takes it for. */
function showDots() {
  const last = lastHeard("learned");
  queryView.strip.forEach((button, i) => {
    const place = page.questions.indexOf(i);
    const dot = button.querySelector(".dot");
    dot.hidden = last === undefined || place < 0;
    if (!dot.hidden) dot.className = `dot own-${best(learning.points.learned[last].answers[place])}`;
  });
}

function status(known) {
  if (!page.support) {
    const missing = known.filter((_, i) => !filled(page.classes[i]).length);
    return say("missing", { names: missing.join(say("comma")) });
  }
  if (!learnt()) {
    const done = STARTS.map((start) => lastHeard(start) ?? 0);
    return say("learning", { step: Math.min(...done), last: LAST });
  }
  return say(page.questions.length ? "learnt" : "noQuery", { last: LAST });
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
  question();
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
  question();
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

begin(() => {
  find("add").before(...classViews.map((view) => view.root));
  queryView.root.querySelector(".top").remove();
  find("query").append(queryView.root);
  page.classes = Array.from({ length: Math.min(3, ways) }, () => newSheet(shots));
  find("surprise").onclick = surprise;
  find("add").onclick = addClass;
  find("clear-all").onclick = clearAll;
  find("again").onclick = learn;
  find("licence").hidden = !CONTENTS.licence;
  find("licence").querySelector("pre").textContent = CONTENTS.licence;
});
