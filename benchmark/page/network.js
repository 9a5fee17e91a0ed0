"use strict";
// The networks of benchmark.models, their inner optimisers and inner loop, in double precision.
// A layer is a function (x, params) -> [y, back], and back(dy, slope) gives dx and fills slope,
// the gradient of the layer's own params. Arrays are flat: a batch of rows, channels last.

const BATCH_EPSILON = 1e-3; // benchmark.layers
const ADAM_EPSILON = 1e-8; // benchmark.optimizers
const BETA_2 = 0.999;

/** A [m, k] times B [k, n]: blocks of 4 x 4 numbers, which stay in registers, then the rest. */
function product(a, b, m, k, n) {
  const c = new Float64Array(m * n);
  const rows = m - (m % 4);
  const columns = n - (n % 4);
  for (let i = 0; i < rows; i += 4) {
    for (let j = 0; j < columns; j += 4) block(a, b, c, i, j, k, n);
  }
  for (let i = 0; i < m; i++) {
    for (let j = i < rows ? columns : 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
  }
  return c;
}

function block(a, b, c, i, j, k, n) {
  let c00 = 0, c01 = 0, c02 = 0, c03 = 0, c10 = 0, c11 = 0, c12 = 0, c13 = 0;
  let c20 = 0, c21 = 0, c22 = 0, c23 = 0, c30 = 0, c31 = 0, c32 = 0, c33 = 0;
  let at = i * k;
  for (let p = 0, q = j; p < k; p++, q += n, at++) {
    const b0 = b[q], b1 = b[q + 1], b2 = b[q + 2], b3 = b[q + 3];
    const a0 = a[at], a1 = a[at + k], a2 = a[at + 2 * k], a3 = a[at + 3 * k];
    c00 += a0 * b0; c01 += a0 * b1; c02 += a0 * b2; c03 += a0 * b3;
    c10 += a1 * b0; c11 += a1 * b1; c12 += a1 * b2; c13 += a1 * b3;
    c20 += a2 * b0; c21 += a2 * b1; c22 += a2 * b2; c23 += a2 * b3;
    c30 += a3 * b0; c31 += a3 * b1; c32 += a3 * b2; c33 += a3 * b3;
  }
  let to = i * n + j;
  c[to] = c00; c[to + 1] = c01; c[to + 2] = c02; c[to + 3] = c03;
  to += n;
  c[to] = c10; c[to + 1] = c11; c[to + 2] = c12; c[to + 3] = c13;
  to += n;
  c[to] = c20; c[to + 1] = c21; c[to + 2] = c22; c[to + 3] = c23;
  to += n;
  c[to] = c30; c[to + 1] = c31; c[to + 2] = c32; c[to + 3] = c33;
}

function transposed(a, rows, columns) {
  const turned = new Float64Array(a.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) turned[j * rows + i] = a[i * columns + j];
  }
  return turned;
}

/** y = x W for rows x [n, inputs]; the slope of W is x' dy. */
function linear(x, weights, inputs, outputs) {
  const n = x.length / inputs;
  const back = (dy, slope) => {
    slope.set(product(transposed(x, n, inputs), dy, inputs, n, outputs));
    return product(dy, transposed(weights, inputs, outputs), n, outputs, inputs);
  };
  return [product(x, weights, n, inputs, outputs), back];
}

function dense({ inputs, outputs }) {
  const kernel = inputs * outputs;
  const forward = (x, params) => {
    const [y, pull] = linear(x, params.subarray(0, kernel), inputs, outputs);
    for (let i = 0; i < y.length; i++) y[i] += params[kernel + (i % outputs)];
    const back = (dy, slope) => {
      for (let i = 0; i < dy.length; i++) slope[kernel + (i % outputs)] += dy[i];
      return pull(dy, slope.subarray(0, kernel));
    };
    return [y, back];
  };
  return { size: kernel + outputs, forward };
}

/** 3 x 3 with stride 2 and the padding that TensorFlow calls SAME: linear on patches. */
function convolution({ side, channels, filters }) {
  const patch = 9 * channels;
  const from = patchSources(side, channels);
  const area = side * side * channels;
  const forward = (x, params) => {
    const n = x.length / area;
    const patches = new Float64Array(n * from.length);
    eachPatchValue(from, area, n, (to, at) => { patches[to] = x[at]; });
    const [y, pull] = linear(patches, params, patch, filters);
    const back = (dy, slope) => {
      const dpatches = pull(dy, slope);
      const dx = new Float64Array(x.length);
      eachPatchValue(from, area, n, (to, at) => { dx[at] += dpatches[to]; });
      return dx;
    };
    return [y, back];
  };
  return { size: patch * filters, forward };
}

/** For each value of each patch of an image, where in the image it comes from; -1: padding. */
function patchSources(side, channels) {
  const half = Math.ceil(side / 2);
  const before = Math.floor((2 * half + 1 - side) / 2);
  const from = [];
  for (let place = 0; place < half * half; place++) {
    const top = 2 * Math.floor(place / half) - before;
    const left = 2 * (place % half) - before;
    for (let cell = 0; cell < 9; cell++) {
      const y = top + Math.floor(cell / 3);
      const x = left + (cell % 3);
      const inside = y >= 0 && y < side && x >= 0 && x < side;
      for (let c = 0; c < channels; c++) from.push(inside ? (y * side + x) * channels + c : -1);
    }
  }
  return Int32Array.from(from);
}

function eachPatchValue(from, area, n, visit) {
  for (let image = 0, to = 0; image < n; image++) {
    for (let i = 0; i < from.length; i++, to++) {
      if (from[i] >= 0) visit(to, image * area + from[i]);
    }
  }
}

/** By mean and variance of the batch at hand; params are gamma, where there is one, then beta. */
function normalisation({ channels, scaled, adapted }) {
  const at = scaled ? channels : 0; // where beta begins
  const forward = (x, params) => {
    const count = x.length / channels;
    const gamma = scaled ? params : new Float64Array(channels).fill(1);
    const mean = columnMeans(x, channels, (i) => x[i]);
    const variance = columnMeans(x, channels, (i) => (x[i] - mean[i % channels]) ** 2);
    const scale = variance.map((v) => 1 / Math.sqrt(v + BATCH_EPSILON));
    const normal = x.map((v, i) => (v - mean[i % channels]) * scale[i % channels]);
    const y = normal.map((v, i) => v * gamma[i % channels] + params[at + (i % channels)]);
    const back = (dy, slope) => {
      const shift = columnMeans(dy, channels, (i) => dy[i]);
      const tilt = columnMeans(dy, channels, (i) => dy[i] * normal[i]);
      if (scaled) slope.set(tilt.map((mean) => mean * count));
      if (adapted) slope.set(shift.map((mean) => mean * count), at);
      return dy.map((d, i) => {
        const c = i % channels;
        return gamma[c] * scale[c] * (d - shift[c] - normal[i] * tilt[c]);
      });
    };
    return [y, back];
  };
  return { size: at + channels, forward };
}

function columnMeans(x, channels, value) {
  const sums = new Float64Array(channels);
  for (let i = 0; i < x.length; i++) sums[i % channels] += value(i);
  return sums.map((sum) => (sum * channels) / x.length);
}

/** The normal density. */
const density = (x) => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);

/** The normal distribution function, to 1e-7 (Abramowitz and Stegun 1964, formula 7.1.26). */
function cumulative(x) {
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * z);
  const series = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const tail = series.reduce((sum, factor) => (sum + factor) * t, 0) * Math.exp(-z * z) / 2;
  return x < 0 ? tail : 1 - tail;
}

const ACTIVATIONS = { // name: [value of x, slope of x and that value]
  relu: [(x) => Math.max(x, 0), (x) => (x > 0 ? 1 : 0)],
  tanh: [Math.tanh, (x, y) => 1 - y * y],
  sigmoid: [(x) => 1 / (1 + Math.exp(-x)), (x, y) => y * (1 - y)],
  gelu: [(x) => x * cumulative(x), (x) => cumulative(x) + x * density(x)],
};

function activation({ name }) {
  const [value, slope] = ACTIVATIONS[name];
  const forward = (x) => {
    const y = x.map(value);
    return [y, (dy) => dy.map((d, i) => d * slope(x[i], y[i]))];
  };
  return { size: 0, forward };
}

/** The mean of a map of so many places, channel by channel. */
function average({ places, channels }) {
  const from = (i) => channels * Math.floor(i / (places * channels)) + (i % channels);
  const forward = (x) => {
    const y = new Float64Array(x.length / places);
    for (let i = 0; i < x.length; i++) y[from(i)] += x[i] / places;
    return [y, (dy) => x.map((_, i) => dy[from(i)] / places)];
  };
  return { size: 0, forward };
}

/** Ink 1 on paper 0. */
function inversion() {
  return { size: 0, forward: (x) => [x.map((v) => 1 - v), (dy) => dy.map((d) => -d)] };
}

const LAYERS = { dense, convolution, normalisation, activation, average, inversion };

/** The function (x, params) -> [outputs, back] of a list of layers; back gives the gradient. */
function network(list) {
  const stack = list.map((layer) => LAYERS[layer.kind](layer));
  const ends = [];
  stack.reduce((end, layer) => (ends.push(end + layer.size), end + layer.size), 0);
  const own = (flat, i) => flat.subarray(ends[i] - stack[i].size, ends[i]);
  return (x, params) => {
    const pulls = [];
    const outputs = stack.reduce((value, layer, i) => {
      const [y, back] = layer.forward(value, own(params, i));
      pulls.push(back);
      return y;
    }, x);
    const back = (dy) => {
      const gradient = new Float64Array(params.length);
      pulls.reduceRight((slope, pull, i) => pull(slope, own(gradient, i)), dy);
      return gradient;
    };
    return [outputs, back];
  };
}

/** Probabilities of the first `classes` of a row of outputs. */
function softmax(row, classes) {
  const known = row.subarray(0, classes);
  const top = Math.max(...known);
  const powers = known.map((v) => Math.exp(v - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((v) => v / sum);
}

/** Cross-entropy of each row of outputs, and its slope by the outputs. */
function crossEntropy(outputs, labels) {
  const width = outputs.length / labels.length;
  const slope = new Float64Array(outputs.length);
  const losses = labels.map((label, i) => {
    const row = softmax(outputs.subarray(i * width, (i + 1) * width), width);
    slope.set(row, i * width);
    slope[i * width + label] -= 1;
    return -Math.log(row[label]);
  });
  return [losses, slope];
}

/** Squared error of each of the network's single outputs, and its slope by the outputs. */
function squaredError(outputs, targets) {
  const slope = outputs.map((output, i) => 2 * (output - targets[i]));
  return [targets.map((target, i) => (outputs[i] - target) ** 2), slope];
}

const LOSSES = { accuracy: crossEntropy, mse: squaredError }; // by the metric of the task

/** A learner after one step of gradient descent or Adam without momentum: benchmark.optimizers. */
function moved({ params, moment, count }, gradient, { optimizer, rate }) {
  if (optimizer === "sgd") {
    return { params: params.map((p, i) => p - rate * gradient[i]), moment, count: count + 1 };
  }
  const next = moment.map((m, i) => BETA_2 * m + (1 - BETA_2) * gradient[i] ** 2);
  const corrected = rate * Math.sqrt(1 - BETA_2 ** (count + 1));
  const step = (p, i) => p - (corrected * gradient[i]) / (Math.sqrt(next[i]) + ADAM_EPSILON);
  return { params: params.map(step), moment: next, count: count + 1 };
}

/** A batch of examples as one flat array. */
function batch(examples) {
  const flat = new Float64Array(examples.length * examples[0].length);
  examples.forEach((example, i) => flat.set(example, i * example.length));
  return flat;
}

/** One step on some examples of the support set. */
function step(net, inner, learner, x, y) {
  const [outputs, back] = net(batch(x), learner.params);
  const [, slope] = LOSSES[inner.metric](outputs, y);
  const share = inner.reduction === "mean" ? 1 / y.length : 1;
  return moved(learner, back(slope.map((s) => s * share)), inner);
}

/** Mean loss over the whole support set. */
function loss(net, inner, params, x, y) {
  const [losses] = LOSSES[inner.metric](net(batch(x), params)[0], y);
  return losses.reduce((a, b) => a + b) / losses.length;
}

/** Probabilities of one query: the last of a batch behind the whole support set x. */
function probabilities(net, params, x, query, classes) {
  const [outputs] = net(batch([...x, query]), params);
  const width = outputs.length / (x.length + 1);
  return Array.from(softmax(outputs.subarray(-width), classes));
}
