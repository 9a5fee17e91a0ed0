// Adaptation and prediction of the paper's network (benchmark.models.Conv) on one task.
//
// Everything that costs time is one of two products of small matrices, `multiply` and `accumulate`
// in products.h. The rest is written for the reader, and fused with its neighbour where it would
// otherwise pass over a large array once more: a tile of slopes is gated by the ReLU behind it
// before it is stored, and the first block is normalised through the covariance of its patches.
//
// A task is computed from start to end by the thread that calls, always in the same order: the same
// bits for any number of threads.

#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>

#include "products.h"

namespace {

constexpr float NORM_EPSILON = 1e-3f, ADAM_EPSILON = 1e-8f;
constexpr double BETA_2 = 0.999;
constexpr int CHUNK = 12800;  // floats of slopes in near cache while a tile of sums is in registers

struct Shape {  // the same in library.py
  int32_t height, width, colours, layers, filters, ways;
};
struct Rule {  // how a gradient moves the parameters; the same in library.py
  int32_t adam, mean;
  float learning_rate;
};

int padded(int size) { return (size + PADDED - 1) / PADDED * PADDED; }

// Floats, zero at first, at an address that suits every vector.
class Buffer {
 public:
  explicit Buffer(size_t size = 0)
      : size(size), floats(static_cast<float*>(std::aligned_alloc(64, (size / 16 + 1) * 64))) {
    if (!floats) throw std::bad_alloc();
    clear();
  }
  operator float*() const { return floats.get(); }
  void clear() { std::fill_n(floats.get(), size, 0.0f); }

 private:
  size_t size;
  struct Free {
    void operator()(float* at) const { std::free(at); }
  };
  std::unique_ptr<float[], Free> floats;
};

// Convolution, batch normalisation and ReLU: its place in the parameters, its plans, its values.
struct Block {
  Image in, out;
  int kernel, gamma, beta;             // where they start
  std::vector<Group> forward, backward;
  std::vector<Meetings> chunks;        // of images
  Buffer outputs, active;              // [batch, out]: of the convolution, and behind the ReLU
  Buffer slopes;                       // [batch, out] of the loss to one, then to the other
  Buffer mean, scale;                  // [filters]; scale is 1 / standard deviation
  Buffer turned;                       // the kernel with inputs and outputs exchanged
};

// The network for one batch size. Its parameters stand in the order that they have in Keras, the
// dense layer's rows padded to `columns`.
class Network {
 public:
  Network(const Shape& shape, int batch, bool training);

  int batch, ways;
  int count = 0;  // of parameters, with the padding
  Buffer params, moment, gradient;
  std::vector<int32_t> labels;
  float* logits(int image) const { return scores + image * columns; }

  void read(const float* plain, float* padded) const;   // from Keras's parameters
  void write(const float* padded, float* plain) const;  // to them
  void show(int image, const float* pixels);
  void forward();
  void backward(bool mean);
  void adam(float learning_rate, int64_t step);
  void sgd(float learning_rate);

 private:
  int positions(const Block& block) const { return batch * block.out.positions(); }
  void add_block(const Shape& shape, bool training);
  void first_forward();
  void first_backward();
  void normalise(Block& block);
  void denormalise(Block& block);
  void score_slopes(bool mean);

  std::vector<Block> blocks;
  Image image, frame;  // the input, and the input within its padding
  int patch, patch_row, features, columns, dense, bias;
  std::vector<Group> first_plan, dense_plan, dense_backward;
  std::vector<Pair> patch_pairs, square_pairs, dense_pairs;
  Buffer framed, patches, covariance, spread_kernel, scaled, patch_gradient, scores, dense_turned;
};

Network::Network(const Shape& shape, int batch, bool training)
    : batch(batch), ways(shape.ways), labels(batch) {
  image = {shape.height, shape.width, shape.colours};
  for (int i = 0; i < shape.layers; i++) add_block(shape, training);
  const Block& first = blocks.front();
  patch = 9 * image.channels;
  patch_row = padded(patch + 1);
  frame = {2 * first.out.height + 1, 2 * first.out.width + 1, image.channels};
  framed = Buffer(batch * frame.floats());
  const int cut = positions(first), filters = shape.filters;
  patches = Buffer(cut * patch_row);
  covariance = Buffer(patch * patch_row);
  spread_kernel = Buffer(patch * filters);
  scaled = Buffer(patch_row * filters);
  patch_gradient = Buffer(patch_row * filters);
  first_plan = matrix(cut, patch_row, patch + 1, filters);
  patch_pairs = rows_of(cut, patch_row, filters);
  square_pairs = rows_of(cut, patch_row, patch_row);

  features = blocks.back().out.floats();
  columns = padded(ways);
  dense = count;
  bias = dense + features * columns;
  count = bias + columns;
  scores = Buffer(batch * columns);
  dense_turned = Buffer(features * columns);
  dense_plan = matrix(batch, features, features, columns);
  dense_backward = matrix(batch, columns, ways, features);
  dense_pairs = rows_of(batch, features, columns);
  params = Buffer(count);
  if (training) moment = Buffer(count), gradient = Buffer(count);
}

void Network::add_block(const Shape& shape, bool training) {
  Block block;
  block.in = blocks.empty() ? image : blocks.back().out;
  const Axis rows(block.in.height), across(block.in.width);
  block.out = {rows.out, across.out, shape.filters};
  block.kernel = count;
  block.gamma = block.kernel + 9 * block.in.channels * shape.filters;
  block.beta = block.gamma + shape.filters;
  count = block.beta + shape.filters;
  const int values = batch * block.out.floats(), images = std::max(1, CHUNK / block.out.floats());
  block.active = Buffer(values);
  block.mean = Buffer(shape.filters);
  block.scale = Buffer(shape.filters);
  if (training) block.slopes = Buffer(values);
  if (!blocks.empty()) {
    block.outputs = Buffer(values);
    block.forward = convolution(batch, block.in, block.out, rows, across, &Axis::of_output);
    if (training) {
      block.turned = Buffer(9 * block.in.channels * shape.filters);
      block.backward = convolution(batch, block.out, block.in, rows, across, &Axis::of_input);
      for (int i = 0; i < batch; i += images)
        block.chunks.push_back(
            meetings(i, std::min(batch, i + images), block.in, block.out, rows, across));
    }
  }
  blocks.push_back(std::move(block));
}

void Network::read(const float* plain, float* padded) const {
  std::copy_n(plain, dense, padded);
  for (int row = 0; row <= features; row++)  // the last is the bias
    std::copy_n(plain + dense + row * ways, ways, padded + dense + row * columns);
}

void Network::write(const float* padded, float* plain) const {
  std::copy_n(padded, dense, plain);
  for (int row = 0; row <= features; row++)
    std::copy_n(padded + dense + row * columns, ways, plain + dense + row * ways);
}

// Makes `pixels` [height, width, colours] one of the images of the batch.
void Network::show(int number, const float* pixels) {
  const Axis rows(image.height), across(image.width);
  float* to = framed + number * frame.floats() + frame.at(rows.before, across.before);
  const int row = image.width * image.channels;
  for (int i = 0; i < image.height; i++) std::copy_n(pixels + i * row, row, to + frame.at(i, 0));
}

// ---- forward -------------------------------------------------------------------------------------

// Each output of the first block is the product of a patch and a kernel w, so that its mean and
// variance follow from those of the patches: mean w and w' covariance w. A patch ends in a one,
// whose weight is beta.
void Network::first_forward() {
  Block& block = blocks.front();
  const int cut = positions(block), filters = block.out.channels, run = 3 * image.channels;
  float* to = patches;
  for (int n = 0; n < batch; n++)
    for (int i = 0; i < block.out.height; i++)
      for (int j = 0; j < block.out.width; j++, to += patch_row) {
        const float* from = framed + n * frame.floats() + frame.at(2 * i, 2 * j);
        for (int y = 0; y < 3; y++) std::copy_n(from + frame.at(y, 0), run, to + y * run);
      }
  for (int c = 0; c < patch_row; c += LANES) {
    Vector sum = {};
    for (int p = 0; p < cut; p++) sum += load(patches + p * patch_row + c);
    const Vector mean = sum / float(cut);
    for (int p = 0; p < cut; p++) {
      float* at = patches + p * patch_row + c;
      store(at, load(at) - mean);
    }
  }
  covariance.clear();
  accumulate(square_pairs.data(), cut, patches, patch, patches, patch_row, covariance);
  for (int i = 0; i < patch * patch_row; i++) covariance[i] /= cut;
  for (int p = 0; p < cut; p++) patches[p * patch_row + patch] = 1;

  const float* kernel = params + block.kernel;
  multiply(matrix(patch, patch_row, patch, filters), covariance, kernel, filters, spread_kernel);
  for (int f = 0; f < filters; f++) {
    float variance = 0;
    for (int a = 0; a < patch; a++) variance += kernel[a * filters + f] * spread_kernel[a * filters + f];
    block.scale[f] = 1 / std::sqrt(variance + NORM_EPSILON);
    for (int a = 0; a < patch; a++)
      scaled[a * filters + f] = kernel[a * filters + f] * block.scale[f] * params[block.gamma + f];
    scaled[patch * filters + f] = params[block.beta + f];
  }
  multiply<Finish::RECTIFY>(first_plan, patches, scaled, filters, block.active);
}

// active = max(0, gamma * (outputs - mean) * scale + beta), normalised over the batch.
void Network::normalise(Block& block) {
  const int count = positions(block), filters = block.out.channels;
  for (int c = 0; c < filters; c += LANES) {
    const float* outputs = block.outputs + c;
    Vector sum = {}, squares = {}, scale;
    for (int p = 0; p < count; p++) sum += load(outputs + p * filters);
    const Vector mean = sum / float(count);
    for (int p = 0; p < count; p++) {
      const Vector apart = load(outputs + p * filters) - mean;
      squares += apart * apart;
    }
    for (int i = 0; i < LANES; i++) scale[i] = 1 / std::sqrt(squares[i] / count + NORM_EPSILON);
    store(block.mean + c, mean);
    store(block.scale + c, scale);
    const Vector slope = scale * load(params + block.gamma + c);
    const Vector start = load(params + block.beta + c);
    for (int p = 0; p < count; p++)
      store(block.active + c + p * filters,
            rectified((load(outputs + p * filters) - mean) * slope + start));
  }
}

void Network::forward() {
  first_forward();
  for (size_t i = 1; i < blocks.size(); i++) {
    Block& block = blocks[i];
    multiply(block.forward, blocks[i - 1].active, params + block.kernel, block.out.channels,
             block.outputs);
    normalise(block);
  }
  multiply(dense_plan, blocks.back().active, params + dense, columns, scores);
  for (int n = 0; n < batch; n++)
    for (int way = 0; way < ways; way++) logits(n)[way] += params[bias + way];
}

// ---- backward ------------------------------------------------------------------------------------

// Scores become the slopes of the cross-entropy to them: probabilities less the truth.
void Network::score_slopes(bool mean) {
  for (int n = 0; n < batch; n++) {
    float* score = logits(n);
    const float most = *std::max_element(score, score + ways);
    float total = 0;
    for (int way = 0; way < ways; way++) total += score[way] = std::exp(score[way] - most);
    for (int way = 0; way < ways; way++) score[way] /= total;
    score[labels[n]] -= 1;
    if (mean)
      for (int way = 0; way < ways; way++) score[way] /= batch;
  }
}

// The slopes to normalised outputs become those to the outputs; the gradients of gamma and beta.
void Network::denormalise(Block& block) {
  const int count = positions(block), filters = block.out.channels;
  for (int c = 0; c < filters; c += LANES) {
    const float* outputs = block.outputs + c;
    float* slopes = block.slopes + c;
    const Vector mean = load(block.mean + c), scale = load(block.scale + c);
    Vector sum = {}, product = {};
    for (int p = 0; p < count; p++) {
      const Vector slope = load(slopes + p * filters);
      sum += slope;
      product += slope * (load(outputs + p * filters) - mean);
    }
    product *= scale;
    store(gradient + block.beta + c, sum);
    store(gradient + block.gamma + c, product);
    const Vector by = scale * load(params + block.gamma + c), along = product * scale / float(count);
    const Vector average = sum / float(count);
    for (int p = 0; p < count; p++) {
      const Vector apart = load(outputs + p * filters) - mean;
      store(slopes + p * filters, by * (load(slopes + p * filters) - average - apart * along));
    }
  }
}

void Network::first_backward() {
  const Block& block = blocks.front();
  const int filters = block.out.channels, cut = positions(block), chunk = CHUNK / filters;
  patch_gradient.clear();
  for (int p = 0; p < cut; p += chunk)
    accumulate(&patch_pairs[p], std::min(chunk, cut - p), patches, patch + 1, block.slopes, filters,
               patch_gradient);
  for (int f = 0; f < filters; f++) {
    const float scale = block.scale[f];
    float product = 0;
    for (int a = 0; a < patch; a++)
      product += params[block.kernel + a * filters + f] * patch_gradient[a * filters + f];
    gradient[block.beta + f] = patch_gradient[patch * filters + f];
    gradient[block.gamma + f] = product * scale;
    for (int a = 0; a < patch; a++)
      gradient[block.kernel + a * filters + f] =
          params[block.gamma + f] * scale *
          (patch_gradient[a * filters + f] - product * scale * scale * spread_kernel[a * filters + f]);
  }
}

// The gradient of the loss, summed over the batch or its mean; `forward` comes before.
void Network::backward(bool mean) {
  score_slopes(mean);
  gradient.clear();
  const Block& last = blocks.back();
  accumulate(dense_pairs.data(), batch, last.active, features, scores, columns, gradient + dense);
  for (int n = 0; n < batch; n++)
    for (int way = 0; way < ways; way++) gradient[bias + way] += logits(n)[way];
  transpose(params + dense, features, columns, dense_turned);
  multiply<Finish::GATE>(dense_backward, scores, dense_turned, features, last.slopes, last.active);
  for (size_t i = blocks.size() - 1; i > 0; i--) {
    Block &block = blocks[i], &before = blocks[i - 1];
    const int in = block.in.channels, out = block.out.channels;
    denormalise(block);
    for (int tap = 0; tap < 9; tap++)
      transpose(params + block.kernel + tap * in * out, in, out, block.turned + tap * in * out);
    multiply<Finish::GATE>(block.backward, block.slopes, block.turned, in, before.slopes,
                           before.active);
    for (const Meetings& chunk : block.chunks)
      for (int tap = 0; tap < 9; tap++)
        accumulate(chunk[tap].data(), chunk[tap].size(), before.active, in, block.slopes, out,
                   gradient + block.kernel + tap * in * out);
  }
  first_backward();
}

// One step of Adam without momentum, as benchmark.optimizers.adam_update.
void Network::adam(float learning_rate, int64_t step) {
  const float rate = learning_rate * std::sqrt(1 - std::pow(BETA_2, double(step)));
  const float kept = BETA_2, fresh = 1 - BETA_2;
  float *p = params, *m = moment, *g = gradient;
#pragma GCC ivdep
  for (int i = 0; i < count; i++) {
    m[i] = kept * m[i] + fresh * g[i] * g[i];
    p[i] -= rate * g[i] / (std::sqrt(m[i]) + ADAM_EPSILON);
  }
}

void Network::sgd(float learning_rate) {
  float *p = params, *g = gradient;
#pragma GCC ivdep
  for (int i = 0; i < count; i++) p[i] -= learning_rate * g[i];
}

// ---- what Python calls ---------------------------------------------------------------------------

enum Problem { NONE, MEMORY, SIZE, ROW, LABEL };  // the same in library.py

int64_t parameters(const Shape& s) {
  int64_t count = 0, height = s.height, width = s.width, channels = s.colours;
  for (int i = 0; i < s.layers; i++) {
    count += (9 * channels + 2) * s.filters;
    channels = s.filters, height = (height + 1) / 2, width = (width + 1) / 2;
  }
  return count + (height * width * channels + 1) * s.ways;
}

// Whether the network exists, `size` is that of its parameters, and a batch of it can be counted.
bool fits(const Shape& s, int64_t size, int64_t batch) {
  const bool known = s.height >= 1 && s.width >= 1 && s.colours >= 1 && s.layers >= 1 &&
                     s.layers <= 5 && s.filters >= 16 && s.filters <= 128 && s.filters % 16 == 0 &&
                     s.ways >= 1;
  if (!known || batch < 1 || size != parameters(s)) return false;
  const int64_t pixels = int64_t(s.height + 2) * (s.width + 2);
  const int64_t most = std::max<int64_t>(s.filters, padded(9 * s.colours + 1));
  return batch * pixels * most < INT32_MAX && 16 * size < INT32_MAX;
}

// This thread's network of a shape and batch size; a few are kept, since making one takes a while.
Network& network(const Shape& s, int batch, bool training) {
  thread_local std::map<std::array<int, 8>, std::unique_ptr<Network>> kept;
  const std::array<int, 8> key{s.height, s.width,   s.colours, s.layers,
                               s.filters, s.ways, batch,     training};
  const auto found = kept.find(key);
  if (found != kept.end()) return *found->second;
  if (kept.size() >= 6) kept.clear();
  return *(kept[key] = std::make_unique<Network>(s, batch, training));
}

template <class Work>
int guarded(Work work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return MEMORY;
  }
}

}  // namespace

extern "C" {

int lanes() { return LANES; }

// The widest vectors, in floats, that this processor has.
int widest() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return 16;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 8;
#endif
  return 4;
}

// `steps` optimiser steps on rows order [steps, batch] of the support set x [images, ...] and
// y [images], from params and moment [size] behind `count` steps; nothing is written to the last
// two arguments [size] where a problem is returned.
int adapt(const Shape* shape, const Rule* rule, int64_t size, const float* params,
          const float* moment, int64_t count, int images, const float* x, const int32_t* y,
          int steps, int batch, const int32_t* order, float* params_after, float* moment_after) {
  return guarded([&] {
    if (!fits(*shape, size, batch) || images < 1 || steps < 0) return SIZE;
    for (int64_t i = 0; i < int64_t(steps) * batch; i++)
      if (order[i] < 0 || order[i] >= images) return ROW;
    for (int i = 0; i < images; i++)
      if (y[i] < 0 || y[i] >= shape->ways) return LABEL;
    Network& net = network(*shape, batch, true);
    const int64_t pixels = int64_t(shape->height) * shape->width * shape->colours;
    net.read(params, net.params);
    net.read(moment, net.moment);
    for (int step = 0; step < steps; step++, order += batch) {
      for (int i = 0; i < batch; i++) {
        net.show(i, x + order[i] * pixels);
        net.labels[i] = y[order[i]];
      }
      net.forward();
      net.backward(rule->mean);
      if (rule->adam)
        net.adam(rule->learning_rate, count + step + 1);
      else
        net.sgd(rule->learning_rate);
    }
    net.write(net.params, params_after);
    net.write(net.moment, moment_after);
    return NONE;
  });
}

// logits [queries, ways] of query [queries, ...]: together in one batch, or each alone as the last
// of a batch behind support [images, ...].
int predict(const Shape* shape, int64_t size, const float* params, int images, const float* support,
            int queries, const float* query, int together, float* logits) {
  return guarded([&] {
    const int batch = together ? queries : images + 1;
    if (queries < 1 || images < 0 || !fits(*shape, size, batch)) return SIZE;
    Network& net = network(*shape, batch, false);
    const int64_t pixels = int64_t(shape->height) * shape->width * shape->colours;
    net.read(params, net.params);
    if (!together)
      for (int i = 0; i < images; i++) net.show(i, support + i * pixels);
    for (int i = 0; i < queries; i++) {
      net.show(together ? i : images, query + i * pixels);
      if (!together || i == queries - 1) net.forward();
      if (!together) std::copy_n(net.logits(images), shape->ways, logits + i * shape->ways);
    }
    if (together)
      for (int i = 0; i < queries; i++)
        std::copy_n(net.logits(i), shape->ways, logits + i * shape->ways);
    return NONE;
  });
}
}
