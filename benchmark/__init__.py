"""What is measured: training, evaluation, record; and `adapt`, to use what came out."""

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.adaptation import adapt

__all__ = ["adapt"]


def __getattr__(name: str) -> Any:
    """`benchmark.adapt` needs TensorFlow, so it is imported where it is first used."""
    if name != "adapt":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from benchmark.running.startup import choose_keras_backend, without_noise

    choose_keras_backend()
    with without_noise():
        import tensorflow as tf

        from benchmark.adaptation import adapt

        tf.constant(0)  # devices start here, and say so
    globals()["adapt"] = adapt
    return adapt


def import_from_beside(name: str) -> None:
    """Import the package `name` that stands beside this one, whatever else bears that name.

    A file tasks.py in the working directory, which Python searches first, must not stand in for
    ours. Raises ImportError where it has been imported already.
    """
    file = Path(__file__).resolve().parents[1] / name / "__init__.py"
    if name in sys.modules:
        there = getattr(sys.modules[name], "__file__", None)
        if there is None or Path(there).resolve() != file:
            raise ImportError(f"another module {name} is imported already: {there}")
        return
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


for package in ("tasks", "results"):
    import_from_beside(package)
