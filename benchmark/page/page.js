"use strict";
// What every page has: its words in the reader's language, and two learners, one from the run's
// initialisation and one from a random one. A page defines show() and showResults(start, step), of
// what was heard last, and begins.

const CONTENTS = JSON.parse(document.getElementById("contents").textContent);
const { steps } = CONTENTS;
const STARTS = Object.keys(CONTENTS.starts);
const LAST = steps[steps.length - 1];
const find = (id) => document.getElementById(id);

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

// --- Words ---

let language = "en";

/** The text of a key in the page's language, its {values} filled in. */
function say(key, values = {}) {
  const fill = (_, name) => (typeof values[name] === "number" ? say.number(values[name]) : values[name]);
  return CONTENTS.texts[key][language].replace(/{(\w+)}/g, fill);
}
function formatted(options) {
  const made = {}; // by language: they cost more to make than to use
  return (value) => (made[language] ??= new Intl.NumberFormat(language, options)).format(value);
}
say.number = formatted({ maximumSignificantDigits: 6 });
say.percent = formatted({ style: "percent" });
say.loss = formatted({ minimumFractionDigits: 2, maximumFractionDigits: 2 });

function speak(wanted) {
  language = wanted;
  const root = document.documentElement;
  root.lang = language;
  root.dir = say("direction");
  document.title = say("title");
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
  for (const node of document.querySelectorAll("[data-number]")) {
    node.textContent = say.number(Number(node.dataset.number));
  }
  for (const node of document.querySelectorAll("[data-language]")) {
    node.setAttribute("aria-pressed", node.dataset.language === language);
  }
  find("run").textContent = say("run", CONTENTS.run);
  show();
}

// --- Learning ---

const learning = {
  problem: 0, // number of the support set that the learners were given last
  asked: 0, // and of the queries
  points: nothingHeard(), // {start: {step: {loss, answers}}}
};
let learners;

function nothingHeard() {
  return Object.fromEntries(STARTS.map((start) => [start, {}]));
}

/** Give the learners a support set {x, y, classes}; null: there is none. */
function teach(support) {
  learning.problem += 1;
  learning.points = nothingHeard();
  if (support === null) return;
  const order = CONTENTS.orders[support.x.length];
  tell({ kind: "learn", problem: learning.problem, ...support, order, steps });
}

function ask(queries) {
  learning.asked += 1;
  learning.points = nothingHeard();
  tell({ kind: "ask", asked: learning.asked, queries });
}

const tell = (message) => STARTS.forEach((start) => learners[start].postMessage(message));

function hear(start, { problem, asked, step, ...point }) {
  if (problem !== learning.problem || asked !== learning.asked) return;
  learning.points[start][step] = point;
  showResults(start, step);
}

/** The last step of a start that was heard of; undefined: none. */
const lastHeard = (start) => steps.filter((step) => learning.points[start][step]).pop();
const learnt = () => STARTS.every((start) => lastHeard(start) === LAST);

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

// --- Beginning ---

function unable() {
  find("page").hidden = true;
  find("unable").hidden = false;
}

/** Start the learners, let the page prepare itself and show it. */
function begin(prepare) {
  if (!window.PointerEvent) return;
  learners = Object.fromEntries(STARTS.map((start) => [start, learner(start)]));
  prepare();
  for (const button of document.querySelectorAll("[data-language]")) {
    button.onclick = () => speak(button.dataset.language);
  }
  const wanted = [location.hash.slice(1), navigator.language.slice(0, 2)];
  speak(wanted.find((each) => CONTENTS.texts.title[each]) ?? "en");
  find("unable").hidden = true;
  find("page").hidden = false;
}
