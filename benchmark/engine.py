"""Which engine computes the inner loop: the native library, or TensorFlow's operations.

The two differ in the last bits of a sum, so that the engine is part of a run's identity, and "auto"
is settled before anything else: a record says which one computed.
"""

import functools
import importlib
import logging
import os
from pathlib import Path
from typing import Any

from benchmark.models import Conv
from benchmark.native.library import FILTERS, library

log = logging.getLogger(__name__)
ENGINES = ("auto", "native", "tensorflow")
NOT_BUILT = (
    "the native library is not built for this processor: install a C++ compiler (g++ or clang++) "
    "and the project again (make install)"
)


def settled(plain: dict[str, Any]) -> dict[str, Any]:
    """The settings with `runtime.engine` as it computes here; old ones without it: tensorflow."""
    runtime = plain.get("runtime")
    if not isinstance(runtime, dict):
        return plain
    engine = runtime.get("engine", "tensorflow")
    if engine == "auto":
        engine = "tensorflow" if obstacle(plain) or has_gpu() else "native"
    return {**plain, "runtime": {**runtime, "engine": engine}}


def obstacle(plain: dict[str, Any]) -> str | None:
    """Why the native library cannot compute these settings; None where it can."""
    task, model = (class_of(plain.get(group)) for group in ("task", "model"))
    if model is not Conv or getattr(task, "metric", None) != "accuracy":
        return "the native library knows the model conv and classification alone"
    if not getattr(class_of(plain.get("algorithm")), "adapts", True):
        return "the native library computes inner loops, of which this algorithm has none"
    if plain["model"].get("filters") not in FILTERS:
        return f"model.filters must be a multiple of {FILTERS.step} up to {max(FILTERS)}"
    if plain["runtime"].get("jit"):
        return "runtime.jit must be false"
    return None if library() else NOT_BUILT


def recorded_engine(plain: dict[str, Any]) -> str:
    """The engine that computed a record, where it runs here too, or else tensorflow."""
    engine = plain.get("runtime", {}).get("engine", "tensorflow")
    return "native" if engine == "native" and not obstacle(plain) else "tensorflow"


def tell_if_not_built(plain: dict[str, Any]) -> None:
    """Say once that TensorFlow computes because the library is missing."""
    if obstacle(plain) == NOT_BUILT:
        warn_once("runtime.engine=auto: tensorflow, which is slower, since %s", NOT_BUILT)


warn_once = functools.cache(log.warning)


def imported(path: str) -> Any:
    """What a dotted path names. Raises what its module raises, ImportError or AttributeError."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def class_of(group: Any) -> type | None:
    """The class that a group's settings name; None where there is none."""
    try:
        cls = imported(str(group["_target_"]))
    except Exception:  # a module of one's own may raise anything
        return None  # config.load says what is wrong
    return cls if isinstance(cls, type) else None


def has_gpu() -> bool:
    """Whether TensorFlow may find a GPU, as far as can be told before it starts."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(Path("/dev").glob("nvidia[0-9]*"))
