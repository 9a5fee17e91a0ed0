"use strict";
// One initialisation, in a thread of its own: learns a support set and answers for queries as it
// goes. Messages in: begin {layers, inner, start}, learn {images, labels, classes, order, steps},
// ask {asked, queries}. Messages out: {problem, asked, step, loss, answers [query][class]}.

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
  const { problem, images, labels, order, steps } = message;
  let learner = start;
  for (let now = 0; ; now++) {
    if (steps.includes(now)) {
      const params = learner.params;
      trail.push({ step: now, loss: loss(net, params, images, labels), params });
      tell(trail[trail.length - 1]);
    }
    if (now === steps[steps.length - 1]) return;
    const rows = order[now];
    learner = step(net, inner, learner, rows.map((i) => images[i]), rows.map((i) => labels[i]));
    await rest();
    if (support.problem !== problem) return;
  }
}

function ask(message) {
  question = message;
  trail.forEach(tell);
}

function tell({ params, ...point }) {
  const { problem, images, classes } = support;
  const answers = question.queries.map((query) => probabilities(net, params, images, query, classes));
  postMessage({ problem, asked: question.asked, ...point, answers });
}

onmessage = ({ data }) => ({ begin, learn, ask })[data.kind](data);
