"""What is measured: training, evaluation, record.

From Python: `compose` settings as the command line would, `run` them, draw their `episodes`, and
`adapt` what came out to images of your own. `results.read` and `results.table` read the records.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.adaptation import adapt
    from benchmark.command.settings import settings as compose
    from benchmark.episode_arrays import episodes
    from benchmark.running.job import run

__all__ = ["adapt", "compose", "episodes", "run"]
LIGHT = {"compose": "benchmark.command.settings.settings", "run": "benchmark.running.job.run"}
WITH_TENSORFLOW = {
    "adapt": "benchmark.adaptation.adapt",
    "episodes": "benchmark.episode_arrays.episodes",
}


def __getattr__(name: str) -> Any:
    """What a notebook uses is imported where it is first asked for; some of it needs TensorFlow."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in WITH_TENSORFLOW:
        from benchmark.running.startup import start_tensorflow

        start_tensorflow()
    module, _, attribute = (LIGHT | WITH_TENSORFLOW)[name].rpartition(".")
    globals()[name] = getattr(importlib.import_module(module), attribute)
    return globals()[name]


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
