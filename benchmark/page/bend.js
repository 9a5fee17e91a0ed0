"use strict";
// The page to bend a curve on: points that a reader drags, and what two networks make of them.

const { domain, range, curves } = CONTENTS;
const GRID = Array.from({ length: 101 }, (_, i) => domain[0] + (i / 100) * (domain[1] - domain[0]));
const BEAT = 450; // milliseconds that each curve is shown for

const page = {
  points: [], // [[x, y]]
  truth: null, // [[x, y]] of the curve that the points are of; null: they were moved
  shown: steps.length - 1, // which of the steps is looked at
  busy: false, // whether the learners are at work
  waiting: false, // whether points moved since that they do not know
};
let playing;

// --- Learning ---

/** Give the learners the points, as soon as they have done with the last ones. */
function learn() {
  page.waiting = page.busy;
  if (page.busy) return;
  page.busy = true;
  const [x, y] = [0, 1].map((axis) => page.points.map((point) => point[axis]));
  teach({ x: x.map((value) => [value]), y });
}

// --- Showing ---

say.error = formatted({ minimumSignificantDigits: 2, maximumSignificantDigits: 2 });
say.coordinate = formatted({ maximumFractionDigits: 2 });

function show() {
  eachPlot((plot) => plot.showAxes(say.number));
  plots.learned.handles.forEach((handle, i) => {
    handle.setAttribute("aria-label", say("point", { number: i + 1 }));
  });
  showPoints();
  showChosen();
}

function showPoints() {
  const name = ([x, y]) => say("place", { x: say.coordinate(x), y: say.coordinate(y) });
  eachPlot((plot) => plot.showPoints(page.points, page.truth, name));
  find("known").hidden = page.truth === null;
}

function showChosen() {
  const after = say("after", { step: steps[page.shown] });
  for (const id of ["after", "now"]) find(id).textContent = after;
  find("shown").value = page.shown;
  find("shown").setAttribute("aria-valuetext", after);
  eachPlot((plot) => plot.choose(page.shown));
  for (const start of STARTS) steps.forEach((step, i) => showCurve(start, step, i));
}

/** A curve, which stays until a newer one comes. */
function showResults(start, step) {
  showCurve(start, step, steps.indexOf(step));
  if (!page.busy || !learnt()) return;
  page.busy = false;
  if (page.waiting) learn();
}

function showCurve(start, step, i) {
  const point = learning.points[start][step];
  if (!point) return;
  plots[start].showCurve(i, point.answers.map((y, at) => [GRID[at], y]));
  showRow(start, i, point);
}

function showRow(start, i, { loss, answers }) {
  const row = element("tr", i === page.shown ? "now" : "");
  const head = element("th", "", say.number(steps[i]));
  head.scope = "row";
  const error = page.truth ? say.error(errorOf(answers)) : "";
  row.append(head, element("td", "", say.error(loss)), element("td", "", error));
  const body = document.querySelector(`[data-start="${start}"] tbody`);
  body.children[i].replaceWith(row);
}

/** Mean squared error of a curve on the grid, where the truth is known. */
function errorOf(answers) {
  const place = scale(domain, 0, GRID.length - 1);
  const errors = page.truth.map(([x, y]) => {
    const at = Math.min(Math.floor(place(x)), GRID.length - 2);
    const share = place(x) - at;
    return (answers[at] + share * (answers[at + 1] - answers[at]) - y) ** 2;
  });
  return errors.reduce((a, b) => a + b) / errors.length;
}

// --- Doing ---

function move(i, point) {
  page.points = page.points.map((old, k) => (k === i ? point : old));
  page.truth = null;
  showPoints();
  learn();
}

/** A curve of the test tasks, and the points that its task has. */
function surprise() {
  const { points, line } = curves[Math.floor(Math.random() * curves.length)];
  Object.assign(page, { points, truth: line });
  showPoints();
  learn();
}

/** One curve after the other, from the first step to the last. */
function play() {
  clearTimeout(playing);
  const next = (i) => {
    choose(i);
    if (i + 1 < steps.length) playing = setTimeout(next, BEAT, i + 1);
  };
  next(0);
}

function choose(i) {
  page.shown = i;
  showChosen();
}

// --- Beginning ---

const plots = Object.fromEntries(STARTS.map((start) => [start, plotOf(start)]));
const eachPlot = (visit) => Object.values(plots).forEach(visit);

function plotOf(start) {
  const article = document.querySelector(`[data-start="${start}"]`);
  article.querySelector("tbody").append(...steps.map(() => element("tr")));
  const points = curves[0].points.length;
  const focusable = start === "learned"; // the other plot shows the same points
  const setting = { domain, range, points, curves: steps.length, moved: move, focusable };
  return new Plot(article.querySelector("svg"), setting);
}

begin(() => {
  find("surprise").onclick = surprise;
  find("play").onclick = play;
  find("shown").max = steps.length - 1;
  find("shown").oninput = ({ target }) => {
    clearTimeout(playing);
    choose(Number(target.value));
  };
  ask(GRID.map((x) => [x]));
  surprise();
});
