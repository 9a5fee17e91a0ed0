// Which values meet which in a convolution; worked out once for a network and a batch size.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace {

constexpr int ROWS = 6;  // of a tile

struct Segment {  // a run of input values that meet consecutive rows of the weights
  int input, weights, length;
};
struct Tile {  // where each row of the tile starts
  int rows;
  std::array<int, ROWS> input, output;
};
struct Group {  // tiles whose rows meet the same weights
  std::vector<Segment> segments;
  std::vector<Tile> tiles;
};
struct Pair {  // a position of the input and the output position that it contributes to
  int input, output;
};
struct Tap {  // of the kernel along one axis, and the position that it meets
  int tap, at;
};

// A convolution of size 3 and stride 2 along one axis, padded as TensorFlow's "same".
struct Axis {
  explicit Axis(int in) : in(in), out((in + 1) / 2), before((2 * out + 1 - in) / 2) {}

  std::vector<Tap> of_output(int o) const {
    std::vector<Tap> taps;
    for (int tap = 0; tap < 3; tap++) {
      const int at = 2 * o - before + tap;
      if (at >= 0 && at < in) taps.push_back({tap, at});
    }
    return taps;
  }
  std::vector<Tap> of_input(int i) const {
    std::vector<Tap> taps;
    for (int tap = 0; tap < 3; tap++) {
      const int twice = i + before - tap;
      if (twice >= 0 && twice % 2 == 0 && twice / 2 < out) taps.push_back({tap, twice / 2});
    }
    return taps;
  }
  int in, out, before;
};

struct Image {  // the shape of one feature map
  int height, width, channels;
  int positions() const { return height * width; }
  int floats() const { return positions() * channels; }
  int at(int row, int column) const { return (row * width + column) * channels; }
};

std::vector<Segment> segments_of(const std::vector<Tap>& down, const std::vector<Tap>& across,
                                 const Image& from, int outputs) {
  std::vector<Segment> segments;
  for (const Tap& y : down)
    for (const Tap& x : across) {
      const Segment next{from.at(y.at - down[0].at, x.at - across[0].at),
                         (y.tap * 3 + x.tap) * from.channels * outputs, from.channels};
      Segment* last = segments.empty() ? nullptr : &segments.back();
      if (last && last->input + last->length == next.input &&
          last->weights + last->length * outputs == next.weights)
        last->length += next.length;
      else
        segments.push_back(next);
    }
  return segments;
}

// Rows spread evenly over as few tiles as there can be.
std::vector<Tile> tiles_of(const std::vector<Pair>& rows) {
  std::vector<Tile> tiles;
  const int count = rows.size(), number = (count + ROWS - 1) / ROWS;
  for (int t = 0, at = 0; t < number; t++) {
    Tile tile{(count - at) / (number - t), {}, {}};
    for (int r = 0; r < tile.rows; r++, at++) {
      tile.input[r] = rows[at].input;
      tile.output[r] = rows[at].output;
    }
    tiles.push_back(tile);
  }
  return tiles;
}

// Rows of two matrices side by side, `from` and `to` floats wide.
std::vector<Pair> rows_of(int rows, int from, int to) {
  std::vector<Pair> pairs;
  for (int row = 0; row < rows; row++) pairs.push_back({row * from, row * to});
  return pairs;
}

// A plain product: the first `length` of `from` values a row, to rows of `to` values.
std::vector<Group> matrix(int rows, int from, int length, int to) {
  return {{{{0, 0, length}}, tiles_of(rows_of(rows, from, to))}};
}

// The groups of a convolution (or of its transpose) whose taps along an axis `taps` tells.
template <class Taps>
std::vector<Group> convolution(int batch, const Image& from, const Image& to, const Axis& rows,
                               const Axis& columns, Taps taps) {
  std::map<std::vector<int>, std::pair<std::vector<Segment>, std::vector<Pair>>> found;
  for (int image = 0; image < batch; image++)
    for (int i = 0; i < to.height; i++)
      for (int j = 0; j < to.width; j++) {
        const std::vector<Tap> down = std::invoke(taps, rows, i),
                               across = std::invoke(taps, columns, j);
        std::vector<int> key;
        for (const Tap& y : down) key.push_back(y.tap);
        for (const Tap& x : across) key.push_back(3 + x.tap);
        auto& [segments, pairs] = found[key];
        if (segments.empty()) segments = segments_of(down, across, from, to.channels);
        pairs.push_back({image * from.floats() + from.at(down[0].at, across[0].at),
                         image * to.floats() + to.at(i, j)});
      }
  std::vector<Group> groups;
  for (const auto& [key, group] : found) groups.push_back({group.first, tiles_of(group.second)});
  return groups;
}


// For each tap the positions of a few images of `in` and `out` that meet through it.
using Meetings = std::array<std::vector<Pair>, 9>;

Meetings meetings(int first, int last, const Image& in, const Image& out, const Axis& rows,
                  const Axis& columns) {
  Meetings found;
  for (int image = first; image < last; image++)
    for (int i = 0; i < out.height; i++)
      for (int j = 0; j < out.width; j++)
        for (const Tap& y : rows.of_output(i))
          for (const Tap& x : columns.of_output(j))
            found[y.tap * 3 + x.tap].push_back({image * in.floats() + in.at(y.at, x.at),
                                                image * out.floats() + out.at(i, j)});
  return found;
}

}  // namespace
