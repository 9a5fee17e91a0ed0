"""Every random number of a run comes from a named, stateless seed.

A key is a function of (seed, purpose); folding in an index gives the key of one episode. There is
no global random state, so any iteration can be recomputed on its own, and two purposes never
share a stream. Zero is a seed like any other.
"""

import zlib

import numpy as np


def numpy_generator(seed: int, purpose: str) -> np.random.Generator:
    """A NumPy generator for `purpose`, e.g. "class split"."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def stateless_key(seed: int, purpose: str) -> np.ndarray:
    """[2] int32 key for TensorFlow's stateless operations; fold in an index before use."""
    return numpy_generator(seed, purpose).integers(2**31, size=2, dtype=np.int32)
