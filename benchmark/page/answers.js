"use strict";
// What the adapted networks say, step by step, and what the nearest pixels say.

/** The class of the support image whose pixels are nearest to the query's. */
function nearestClass(query, images, labels) {
  const away = (image) => image.reduce((sum, value, i) => sum + (value - query[i]) ** 2, 0);
  const distances = images.map(away);
  return labels[distances.indexOf(Math.min(...distances))];
}

const best = (probabilities) => probabilities.indexOf(Math.max(...probabilities));

/** The steps of one initialisation as a table, and its last answer above it. */
class StartView {
  constructor(root) {
    this.answer = root.querySelector(".answer");
    this.body = root.querySelector("tbody");
  }

  /** points: {step: {loss, answers}}; query: which of the answers, or null; names of the classes. */
  show({ steps, points, query, names, truth, say }) {
    this.body.replaceChildren(
      ...steps.map((step) => row(step, points[step], query, names, say)),
    );
    const done = steps.filter((step) => points[step]);
    const last = done.length && query !== null ? points[done[done.length - 1]].answers[query] : null;
    showAnswer(this.answer, last && best(last), names, truth, say, last && Math.max(...last));
  }
}

function row(step, point, query, names, say) {
  const line = element("tr");
  const head = element("th", "", say.number(step));
  head.scope = "row";
  const chances = point && query !== null ? point.answers[query] : null;
  const bar = element("div", "bar");
  bar.append(...names.map((_, i) => part(i, chances ? chances[i] : 0)));
  if (chances) {
    bar.setAttribute("role", "img");
    const all = names.map((name, i) => `${name} ${say.percent(chances[i])}`);
    bar.setAttribute("aria-label", all.join(say("comma")));
  }
  const cell = element("td");
  cell.append(bar);
  const top = chances ? best(chances) : null;
  const says = top === null ? "" : `${names[top]} ${say.percent(chances[top])}`;
  line.append(head, cell, element("td", "", says), element("td", "", point ? say.loss(point.loss) : ""));
  return line;
}

function part(i, share) {
  const made = element("i", `own-${i}`);
  made.style.flexBasis = `${100 * share}%`;
  return made;
}

/** "B 97 %", and where the right answer is known whether it is right; null: still waiting. */
function showAnswer(place, answer, names, truth, say, probability = null) {
  if (answer === null) return place.replaceChildren(element("span", "waiting", say("waiting")));
  const swatch = element("span", `swatch own-${answer}`);
  const sure = probability === null ? "" : ` ${say.percent(probability)}`;
  place.replaceChildren(swatch, `${names[answer]}${sure}`);
  if (truth === null) return;
  const right = truth === answer;
  place.append(element("small", right ? "right" : "wrong", say(right ? "right" : "wrong")));
}
