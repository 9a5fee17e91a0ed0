"use strict";
// One initialisation, in a thread of its own: learns a support set and answers for queries as it
// goes. Messages in: begin {layers, inner, start}, learn {x, y, classes, order, steps}, ask {asked,
// queries}. Messages out: {problem, asked, step, loss, answers [query]}, an answer being the
// probabilities of the classes or, where there are none, the one output.

const PATIENCE = 10; // milliseconds of work before messages are let in

let net, inner, start;
let support = null;
let question = { asked: 0, queries: [] };
let trail = []; // [{step, loss, params}] of this support set, at the steps that are shown

const rest = () => new Promise((resolve) => setTimeout(resolve)); // lets messages in

function begin(message) {
  net = network(message.layers);
  inner = message.inner;
  start = message.start;
}

async function learn(message) {
  support = message;
  trail = [];
  const { problem, x, y, order, steps } = message;
  let learner = start;
  let rested = performance.now();
  for (let now = 0; ; now++) {
    if (steps.includes(now)) {
      const params = learner.params;
      trail.push({ step: now, loss: loss(net, inner, params, x, y), params });
      tell(trail[trail.length - 1]);
    }
    if (now === steps[steps.length - 1]) return;
    const rows = order[now];
    learner = step(net, inner, learner, rows.map((i) => x[i]), rows.map((i) => y[i]));
    if (performance.now() - rested < PATIENCE) continue;
    await rest();
    if (support.problem !== problem) return;
    rested = performance.now();
  }
}

function ask(message) {
  question = message;
  trail.forEach(tell);
}

function tell({ params, ...point }) {
  const { problem, x, classes } = support;
  const answers = classes
    ? question.queries.map((query) => probabilities(net, params, x, query, classes))
    : Array.from(net(batch(question.queries), params)[0]);
  postMessage({ problem, asked: question.asked, ...point, answers });
}

onmessage = ({ data }) => ({ begin, learn, ask })[data.kind](data);
