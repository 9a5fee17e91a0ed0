// The two products of small matrices that take the time, and the vectors that they are made of.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "plan.h"

#define INLINE inline __attribute__((always_inline))
#define APART __attribute__((noinline))  // a function's registers are its own

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16, VECTORS = 4;  // 24 of 32 registers hold a tile of 6 x 64
#elif defined(__AVX2__)
constexpr int LANES = 8, VECTORS = 2;  // 12 of 16 registers hold a tile of 6 x 16
#elif defined(__aarch64__)
constexpr int LANES = 4, VECTORS = 4;  // 24 of 32 registers hold a tile of 6 x 16
#else
constexpr int LANES = 4, VECTORS = 2;  // 12 of 16 registers hold a tile of 6 x 8
#endif
constexpr int PADDED = 16;  // channels come in multiples of this, whatever the width

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Mask __attribute__((vector_size(4 * LANES)));

INLINE Vector load(const float* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
INLINE void store(float* to, Vector value) { std::memcpy(to, &value, sizeof value); }
INLINE Vector spread(float value) { return value - Vector{}; }
// NaN stays NaN, so that parameters that have diverged are seen to have.
INLINE Vector rectified(Vector value) { return value < 0 ? Vector{} : value; }

enum class Finish { STORE, RECTIFY, GATE };

// Calls f with the numbers of rows and vectors of a tile as constants.
template <class F, int V = VECTORS>
INLINE void with_constants(int rows, int vectors, F f) {
  if constexpr (V > 1)
    if (vectors < V) return with_constants<F, V - 1>(rows, vectors, f);
  constexpr std::integral_constant<int, V> v;
  switch (rows) {
    case 1: return f(std::integral_constant<int, 1>(), v);
    case 2: return f(std::integral_constant<int, 2>(), v);
    case 3: return f(std::integral_constant<int, 3>(), v);
    case 4: return f(std::integral_constant<int, 4>(), v);
    case 5: return f(std::integral_constant<int, 5>(), v);
    default: return f(std::integral_constant<int, 6>(), v);
  }
}

// output[row] = sum over segments of input[row] * weights, for R rows and V vectors of channels.
template <int R, int V, Finish FINISH>
APART void multiply_tile(const Group& group, const Tile& tile, const float* input,
                         const float* weights, int channels, const float* gate, float* output) {
  Vector sum[R][V] = {};
  for (const Segment& segment : group.segments) {
    const float* w = weights + segment.weights;
    const float* x[R];
    for (int r = 0; r < R; r++) x[r] = input + tile.input[r] + segment.input;
    for (int k = 0; k < segment.length; k++, w += channels) {
      Vector weight[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) weight[v] = load(w + v * LANES);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Vector value = spread(x[r][k]);
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) sum[r][v] += value * weight[v];
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) {
      const int at = tile.output[r] + v * LANES;
      Vector value = sum[r][v];
      if (FINISH == Finish::RECTIFY) value = rectified(value);
      if (FINISH == Finish::GATE) value = load(gate + at) > 0 ? value : Vector{};
      store(output + at, value);
    }
}

// output = input * weights [.., channels], tile by tile. RECTIFY: max(0, .) of it; GATE: zero where
// `gate`, of the output's shape, is not positive.
template <Finish FINISH = Finish::STORE>
void multiply(const std::vector<Group>& groups, const float* input, const float* weights,
              int channels, float* output, const float* gate = nullptr) {
  for (int c = 0; c < channels; c += VECTORS * LANES)
    for (const Group& group : groups)
      for (const Tile& tile : group.tiles)
        with_constants(tile.rows, (channels - c) / LANES, [&](auto r, auto v) {
          multiply_tile<r, v, FINISH>(group, tile, input, weights + c, channels,
                                      FINISH == Finish::GATE ? gate + c : gate, output + c);
        });
}

// sums[row] += sum over pairs of input[row] * slopes, for R rows and V vectors of channels.
template <int R, int V>
APART void accumulate_tile(const Pair* pairs, int count, const float* input, const float* slopes,
                           int channels, float* sums) {
  Vector sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) sum[r][v] = load(sums + r * channels + v * LANES);
  for (int p = 0; p < count; p++) {
    const float* x = input + pairs[p].input;
    const float* s = slopes + pairs[p].output;
    Vector slope[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) slope[v] = load(s + v * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const Vector value = spread(x[r]);
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) sum[r][v] += value * slope[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) store(sums + r * channels + v * LANES, sum[r][v]);
}

// sums [rows, channels] += the outer products of input rows and slopes over `pairs`.
void accumulate(const Pair* pairs, int count, const float* input, int rows, const float* slopes,
                int channels, float* sums) {
  for (int c = 0; c < channels; c += VECTORS * LANES)
    for (int row = 0; row < rows; row += ROWS)
      with_constants(std::min(rows - row, ROWS), (channels - c) / LANES, [&](auto r, auto v) {
        accumulate_tile<r, v>(pairs, count, input + row, slopes + c, channels,
                              sums + row * channels + c);
      });
}

// Interleaves two vectors: the lanes of their lower or upper halves in turn.
template <bool UPPER, int... I>
INLINE Vector zip(Vector a, Vector b, std::integer_sequence<int, I...>) {
  constexpr int start = UPPER ? LANES / 2 : 0;
#if defined(__clang__)
  return __builtin_shufflevector(a, b, (start + I / 2 + (I % 2 ? LANES : 0))...);
#else
  return __builtin_shuffle(a, b, Mask{(start + I / 2 + (I % 2 ? LANES : 0))...});
#endif
}

// to [columns, rows] = from [rows, columns], in squares of LANES: zipping the first half of the
// rows with the second, log2(LANES) times, exchanges rows and columns.
void transpose(const float* from, int rows, int columns, float* to) {
  constexpr auto lanes = std::make_integer_sequence<int, LANES>();
  for (int i = 0; i < rows; i += LANES)
    for (int j = 0; j < columns; j += LANES) {
      Vector now[LANES], next[LANES];
#pragma GCC unroll 16
      for (int r = 0; r < LANES; r++) now[r] = load(from + (i + r) * columns + j);
#pragma GCC unroll 4
      for (int round = 1; round < LANES; round *= 2) {
#pragma GCC unroll 16
        for (int r = 0; r < LANES / 2; r++) {
          next[2 * r] = zip<false>(now[r], now[r + LANES / 2], lanes);
          next[2 * r + 1] = zip<true>(now[r], now[r + LANES / 2], lanes);
        }
#pragma GCC unroll 16
        for (int r = 0; r < LANES; r++) now[r] = next[r];
      }
#pragma GCC unroll 16
      for (int r = 0; r < LANES; r++) store(to + (j + r) * rows + i, now[r]);
    }
}

}  // namespace
