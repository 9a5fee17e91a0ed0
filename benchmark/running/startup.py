"""TensorFlow's start: threads, a silent import on machines without a GPU, a clean slate a job."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence

from benchmark.config import Runtime
from tasks.checks import ConfigError, require

# Lines that TensorFlow prints at every start of a machine without a GPU; all others are shown.
NOISE = re.compile(
    rb"cudart_stub|cuda drivers|cuda_platform|cuInit|CUDA_ERROR_NO_DEVICE|cpu_feature_guard"
    rb"|rebuild TensorFlow with the appropriate compiler flags|oneDNN custom operations"
    rb"|before absl::InitializeLog|TF-TRT|Unable to register cu"
)

# Convolutions on a CPU: keep the plan of a filter gradient instead of making it at every call, and
# no allocator whose one lock the cores would wait for (docs/performance.md).
VARIABLES = {
    "TF_CPP_MIN_LOG_LEVEL": "1",  # no information; warnings and errors show
    "TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE": "0",
    "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1",
}

# What Keras imports where it is installed, for data and figures that no run has: a third of the
# seconds of TensorFlow's start, and a hundred megabytes.
DISPENSABLE = ("matplotlib", "pandas", "scipy")


@contextlib.contextmanager
def without_noise() -> Iterator[None]:
    """Hold back what C++ code writes to standard error; then show it, less the known noise."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if line.strip() and not NOISE.search(line):
                    os.write(2, line)


@contextlib.contextmanager
def without(names: Sequence[str]) -> Iterator[None]:
    """Have packages that are not imported yet pass for not installed, as Python offers it."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def choose_keras_backend() -> None:
    """Have Keras run on TensorFlow, whatever KERAS_BACKEND or the user's keras.json says.

    Raises ConfigError where it has been imported already and runs on something else.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if "keras" in sys.modules:
        backend = sys.modules["keras"].backend.backend()
        rule = "tensorflow: Keras is imported already, and this program runs on TensorFlow"
        require(backend == "tensorflow", "KERAS_BACKEND", backend, rule)


def import_tensorflow() -> None:
    """Import TensorFlow, and start nothing of it: the process may still be forked."""
    choose_keras_backend()
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    with without_noise(), without(DISPENSABLE):
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


def start_tensorflow(runtime: Runtime | None = None) -> None:
    """Import TensorFlow with the threads asked for; None: those of conf/runtime.

    Raises ConfigError where an earlier job of this process started it with others.
    """
    import_tensorflow()
    import tensorflow as tf

    with without_noise():
        wanted = {
            "inter_op": (runtime and runtime.cores) or usable_cores(),
            "intra_op": runtime.threads if runtime else 1,
        }
        for kind, threads in wanted.items():
            get = getattr(tf.config.threading, f"get_{kind}_parallelism_threads")
            if get() == threads:
                continue
            try:
                getattr(tf.config.threading, f"set_{kind}_parallelism_threads")(threads)
            except RuntimeError as error:
                raise ConfigError(
                    f"runtime: {kind} threads={threads}: must be {get()}, as in the first job of "
                    "this process (give each thread count a command of its own)"
                ) from error
        for gpu in tf.config.list_physical_devices("GPU"):
            with contextlib.suppress(RuntimeError):  # already in use by an earlier job
                tf.config.experimental.set_memory_growth(gpu, True)
        tf.constant(0)  # devices start here, not in the middle of the first measurement


def usable_cores() -> int:
    """Cores that this process may run on; a scheduler may have given it fewer than there are."""
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")  # not every cluster enforces it
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(cores, int(given)) if given.isdecimal() and int(given) else cores
