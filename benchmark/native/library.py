"""The native library on NumPy arrays: which of its builds runs here, and what it computes."""

import ctypes
import functools
from pathlib import Path
from sysconfig import get_config_var

import numpy as np
from numpy.ctypeslib import ndpointer

from tasks.checks import ConfigError

WIDTHS = {16: "avx512", 8: "avx2", 4: "baseline"}  # floats in a vector, and the build that has them
FILTERS = range(16, 129, 16)  # numbers of filters that it knows
PROBLEMS = {  # what a call returns, as in inner_step.cpp
    1: "not enough memory",
    2: "parameters or sizes that are not those of the network",
    3: "order: must be rows of the support set",
    4: "labels: must be at least 0 and below the ways of the network",
}
FLOATS, INTEGERS = (ndpointer(kind, flags="C") for kind in (np.float32, np.int32))


class Shape(ctypes.Structure):
    """What decides a network: the input's shape, `model.layers`, `model.filters` and the ways."""

    _fields_ = tuple(
        (name, ctypes.c_int32)
        for name in ("height", "width", "colours", "layers", "filters", "ways")
    )


class Rule(ctypes.Structure):
    """How a gradient moves the parameters: Adam or SGD, of the batch's mean or summed loss."""

    _fields_ = (("adam", ctypes.c_int32), ("mean", ctypes.c_int32), ("rate", ctypes.c_float))


def builds() -> dict[int, ctypes.CDLL]:
    """All that were built and can run on this processor, the widest first."""
    found: dict[int, ctypes.CDLL] = {}
    widest = 4
    for width, name in sorted(WIDTHS.items()):
        file = Path(__file__).parent / f"{name}{get_config_var('EXT_SUFFIX')}"
        if width > widest:
            break
        try:
            found[width] = with_types(ctypes.CDLL(str(file)))
        except (OSError, AttributeError):
            continue
        widest = found[width].widest()
    return dict(sorted(found.items(), reverse=True))


@functools.cache
def library() -> ctypes.CDLL | None:
    """The build of the widest vectors that this processor has; None where there is no build."""
    return next(iter(builds().values()), None)


def needed() -> ctypes.CDLL:
    """`library`, where it is known to be there. Raises ConfigError where it is not."""
    found = library()
    if found is None:
        raise ConfigError("runtime.engine=native: must be tensorflow without the native library")
    return found


def with_types(library: ctypes.CDLL) -> ctypes.CDLL:
    """`library` with the argument types of its functions, which ctypes then checks."""
    integer, count = ctypes.c_int, ctypes.c_int64
    shape, rule = ctypes.POINTER(Shape), ctypes.POINTER(Rule)
    library.adapt.argtypes = (
        *(shape, rule, count, FLOATS, FLOATS, count),  # network, rule, parameters and their moment
        *(integer, FLOATS, INTEGERS, integer, integer, INTEGERS),  # support set and mini-batches
        *(FLOATS, FLOATS),  # parameters and moment after them
    )
    library.predict.argtypes = (
        *(shape, count, FLOATS),
        *(integer, FLOATS, integer, FLOATS, integer),  # support set, queries, together
        FLOATS,  # logits
    )
    return library


def adapt(
    library: ctypes.CDLL,
    shape: Shape,
    rule: Rule,
    params: np.ndarray,
    moment: np.ndarray,
    count: int,
    x: np.ndarray,
    y: np.ndarray,
    order: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Params [P] and moment [P] after a step on each mini-batch x[order[i]].

    count: the steps behind `moment`. x: [n, height, width, colours] float32, y: [n] int32,
    order: [steps, batch] int32. Raises ValueError for sizes, rows or labels out of range.
    """
    steps, batch = order.shape
    agree(shape, x)
    if params.shape != moment.shape or len(x) != len(y):
        raise ValueError(PROBLEMS[2])
    after = np.empty_like(params), np.empty_like(moment)
    support = (len(x), x, y, steps, batch, order)
    check(library.adapt(shape, rule, params.size, params, moment, count, *support, *after))
    return after


def predict(
    library: ctypes.CDLL,
    shape: Shape,
    params: np.ndarray,
    support: np.ndarray,
    query: np.ndarray,
    together: bool,
) -> np.ndarray:
    """Logits [m, ways] of `query` [m, ...]: as one batch, or each behind `support` [n, ...].

    Raises ValueError for sizes that do not fit.
    """
    agree(shape, support)
    agree(shape, query)
    logits = np.empty((len(query), shape.ways), np.float32)
    sets = (len(support), support, len(query), query, together)
    check(library.predict(shape, params.size, params, *sets, logits))
    return logits


def agree(shape: Shape, x: np.ndarray) -> None:
    """Raise ValueError where `x` is not images of the network's input shape."""
    wanted = (shape.height, shape.width, shape.colours)
    if x.shape[1:] != wanted:
        raise ValueError(f"images of shape {x.shape}: must be of shape [n, *{wanted}]")


def check(problem: int) -> None:
    """Raise what the library found wrong."""
    if problem:
        raise MemoryError() if problem == 1 else ValueError(PROBLEMS[problem])
