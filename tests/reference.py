"""Independent computations the numeric code is tested against: NumPy in float64, plain loops.

Written from the papers, sharing nothing with `tasks` or `benchmark`.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np


class State(NamedTuple):
    """What an optimiser moves: params [P], second moment [P], number of steps taken."""

    params: np.ndarray
    moment: np.ndarray
    count: int


class Sizes(NamedTuple):
    """Widths of a network with one hidden tanh layer."""

    inputs: int
    hidden: int
    outputs: int


def sgd(state: State, gradient: np.ndarray, rate: float) -> State:
    """One step of gradient descent, one parameter after the other."""
    params = state.params.astype(np.float64)
    for i in range(len(params)):
        params[i] -= rate * gradient[i]
    return State(params, state.moment, state.count + 1)


def adam(state: State, gradient: np.ndarray, rate: float) -> State:
    """Kingma and Ba 2015, algorithm 1, with beta1 = 0, one parameter after the other.

    epsilon is their epsilon-hat (end of section 2), the one TensorFlow and Keras have.
    """
    beta_1, beta_2, epsilon_hat = 0.0, 0.999, 1e-8
    params, moment = state.params.astype(np.float64), state.moment.astype(np.float64)
    t = state.count + 1
    epsilon = epsilon_hat / np.sqrt(1 - beta_2**t)
    for i in range(len(params)):
        first = (1 - beta_1) * gradient[i]
        moment[i] = beta_2 * moment[i] + (1 - beta_2) * gradient[i] ** 2
        first_hat = first / (1 - beta_1**t)
        second_hat = moment[i] / (1 - beta_2**t)
        params[i] -= rate * first_hat / (np.sqrt(second_hat) + epsilon)
    return State(params, moment, t)


def layers(params: np.ndarray, sizes: Sizes) -> list[np.ndarray]:
    """Weights and biases of both layers from the flat vector."""
    shapes = [(sizes.inputs, sizes.hidden), (sizes.hidden,)]
    shapes += [(sizes.hidden, sizes.outputs), (sizes.outputs,)]
    found, start = [], 0
    for shape in shapes:
        stop = start + int(np.prod(shape))
        found.append(params[start:stop].reshape(shape))
        start = stop
    assert start == len(params)
    return found


def mlp(params: np.ndarray, x: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Outputs [n, outputs] of the network for x [n, inputs]."""
    weights_1, bias_1, weights_2, bias_2 = layers(params, sizes)
    return np.array([np.tanh(row @ weights_1 + bias_1) @ weights_2 + bias_2 for row in x])


def loss(outputs: np.ndarray, y: np.ndarray, metric: str, reduction: str) -> float:
    """Cross-entropy (metric "accuracy") or squared error ("mse"), summed or averaged over rows."""
    total = 0.0
    for row, target in zip(outputs, y, strict=True):
        if metric == "mse":
            total += np.mean((row - target) ** 2)
        else:
            total += np.log(np.sum(np.exp(row - row.max()))) + row.max() - row[target]
    return total / len(y) if reduction == "mean" else total


def mlp_gradient(
    params: np.ndarray, x: np.ndarray, y: np.ndarray, sizes: Sizes, metric: str, reduction: str
) -> np.ndarray:
    """[P] gradient of `loss`, back-propagated by hand one example after the other."""
    weights_1, bias_1, weights_2, bias_2 = layers(params, sizes)
    total = [np.zeros_like(part) for part in (weights_1, bias_1, weights_2, bias_2)]
    for row, target in zip(x, y, strict=True):
        hidden = np.tanh(row @ weights_1 + bias_1)
        outputs = hidden @ weights_2 + bias_2
        if metric == "mse":
            error = 2 * (outputs - target) / len(outputs)
        else:
            error = np.exp(outputs - outputs.max())
            error /= error.sum()
            error[target] -= 1
        back = (weights_2 @ error) * (1 - hidden**2)
        for part, more in zip(
            total, (np.outer(row, back), back, np.outer(hidden, error), error), strict=True
        ):
            part += more
    flat = np.concatenate([part.ravel() for part in total])
    return flat / len(y) if reduction == "mean" else flat


def adapt(
    state: State,
    x: np.ndarray,
    y: np.ndarray,
    order: np.ndarray,
    sizes: Sizes,
    optimizer: str,
    rate: float,
    metric: str = "accuracy",
    reduction: str = "sum",
) -> list[State]:
    """The state before the first and after every inner step on rows order [steps, batch]."""
    update = {"adam": adam, "sgd": sgd}[optimizer]
    states = [state]
    for rows in order:
        now = states[-1]
        params = now.params.astype(np.float64)
        gradient = mlp_gradient(
            params, x[rows].astype(np.float64), y[rows], sizes, metric, reduction
        )
        states.append(update(now, gradient, rate))
    return states


def meta_iteration(
    state: State,
    tasks: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
    weights: list[float],
    step: float,
    serial: bool,
    **inner: Any,
) -> State:
    """phi + step * mean over tasks of the weighted sum of inner displacements.

    tasks: support x, support y and order of each. Serial tasks hand the optimiser's state on; side
    by side each starts from the same one, and their moments are averaged.
    """
    proposals, moments, before = [], [], state
    for x, y, order in tasks:
        states = adapt(before._replace(params=state.params), x, y, order, **inner)
        moves = [after.params - now.params for now, after in pairwise(states)]
        proposals.append(sum(w * move for w, move in zip(weights, moves, strict=True)))
        moments.append(states[-1].moment)
        if serial:
            before = states[-1]
    moment = moments[-1] if serial else np.mean(moments, axis=0)
    params = state.params + step * np.mean(proposals, axis=0)
    return State(params, moment, states[-1].count)


def finite_differences(f: Callable[[np.ndarray], float], at: np.ndarray, h: float) -> np.ndarray:
    """Central differences of f at a float64 point [P]."""
    slope = np.zeros_like(at)
    for i in range(len(at)):
        step = np.zeros_like(at)
        step[i] = h
        slope[i] = (f(at + step) - f(at - step)) / (2 * h)
    return slope


def convolution(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """3x3, stride 2, "same" as TensorFlow pads it: what is odd goes to the bottom and right.

    x [n, height, width, channels], kernel [3, 3, channels, filters].
    """
    n, height, width, _ = x.shape
    down, right = -(-height // 2), -(-width // 2)
    high, wide = (
        max((out - 1) * 2 + 3 - side, 0) for out, side in ((down, height), (right, width))
    )
    padding = ((0, 0), (high // 2, high - high // 2), (wide // 2, wide - wide // 2), (0, 0))
    padded = np.pad(x, padding)
    out = np.zeros((n, down, right, kernel.shape[-1]))
    for i in range(down):
        for j in range(right):
            patch = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            out[:, i, j] = np.tensordot(patch, kernel, axes=3)
    return out


def batch_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Normalise each channel by mean and variance of this batch (epsilon 1e-3)."""
    out = np.empty_like(x)
    for c in range(x.shape[-1]):
        channel = x[..., c]
        scale = np.sqrt(np.mean((channel - channel.mean()) ** 2) + 1e-3)
        out[..., c] = gamma[c] * (channel - channel.mean()) / scale + beta[c]
    return out


def conv_network(variables: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """The paper's network: blocks of convolution, batch norm, ReLU, then dense."""
    *blocks, weights, bias = [v.astype(np.float64) for v in variables]
    now = x.astype(np.float64)
    for kernel, gamma, beta in zip(blocks[0::3], blocks[1::3], blocks[2::3], strict=True):
        now = np.maximum(batch_norm(convolution(now, kernel), gamma, beta), 0)
    return now.reshape(len(now), -1) @ weights + bias


class Gradient(NamedTuple):
    """Of the paper's network: [P], and how near the nearest unit is to the kink of its ReLU."""

    flat: np.ndarray
    from_kink: float


def conv_gradient(
    variables: list[np.ndarray], x: np.ndarray, y: np.ndarray, reduction: str
) -> Gradient:
    """Gradient of the loss of `conv_network`, back-propagated by hand layer by layer."""
    *blocks, weights, bias = [v.astype(np.float64) for v in variables]
    now, kept, nearest = x.astype(np.float64), [], np.inf
    for kernel, gamma, beta in zip(blocks[0::3], blocks[1::3], blocks[2::3], strict=True):
        convolved = convolution(now, kernel)
        normed = batch_norm(convolved, gamma, beta)
        kept.append((now, kernel, gamma, convolved, normed))
        nearest = min(nearest, float(np.abs(normed).min()))
        now = np.maximum(normed, 0)
    flat = now.reshape(len(now), -1)
    outputs = flat @ weights + bias
    slopes = np.exp(outputs - outputs.max(1, keepdims=True))
    slopes /= slopes.sum(1, keepdims=True)
    slopes[np.arange(len(y)), y] -= 1
    if reduction == "mean":
        slopes /= len(y)
    found = [flat.T @ slopes, slopes.sum(0)]
    back = (slopes @ weights.T).reshape(now.shape)
    for below, kernel, gamma, convolved, normed in reversed(kept):
        back = np.where(normed > 0, back, 0)
        back, by_gamma, by_beta = batch_norm_gradient(convolved, gamma, back)
        back, by_kernel = convolution_gradient(below, kernel, back)
        found = [by_kernel, by_gamma, by_beta, *found]
    return Gradient(np.concatenate([part.ravel() for part in found]), nearest)


def batch_norm_gradient(
    x: np.ndarray, gamma: np.ndarray, slopes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of sum(slopes * batch_norm(x)) with respect to x, gamma and beta."""
    axes, back = (0, 1, 2), np.empty_like(x)
    scale = np.sqrt(x.var(axes) + 1e-3)
    normed = (x - x.mean(axes)) / scale
    for c in range(x.shape[-1]):
        inner = gamma[c] * slopes[..., c]
        centred = inner - inner.mean() - normed[..., c] * (inner * normed[..., c]).mean()
        back[..., c] = centred / scale[c]
    return back, (slopes * normed).sum(axes), slopes.sum(axes)


def convolution_gradient(
    x: np.ndarray, kernel: np.ndarray, slopes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of sum(slopes * convolution(x)) with respect to x and the kernel."""
    _, height, width, _ = x.shape
    _, down, right, _ = slopes.shape
    top, left = (
        max((out - 1) * 2 + 3 - side, 0) // 2 for out, side in ((down, height), (right, width))
    )
    padded = np.pad(x, ((0, 0), (top, 3), (left, 3), (0, 0)))
    back, by_kernel = np.zeros_like(padded), np.zeros_like(kernel)
    for i in range(down):
        for j in range(right):
            rows, columns = slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3)
            slope = slopes[:, i, j]
            by_kernel += np.tensordot(padded[:, rows, columns], slope, axes=(0, 0))
            back[:, rows, columns] += np.tensordot(slope, kernel, axes=(1, 3))
    return back[:, top : top + height, left : left + width], by_kernel


def nearest_neighbour(support_x: np.ndarray, support_y: np.ndarray, query_x: np.ndarray) -> list:
    """For each query the label of the support example at the least Euclidean distance."""
    labels = []
    for query in query_x:
        distances = [np.linalg.norm(query.ravel() - example.ravel()) for example in support_x]
        labels.append(support_y[int(np.argmin(distances))])
    return labels
