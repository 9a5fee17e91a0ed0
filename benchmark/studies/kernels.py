"""`python -m benchmark.studies.kernels [OVERRIDES]`: where a meta-iteration's time goes.

Runs the real training loop by TensorFlow's operations under its profiler, on one core so that times
add up, and prints the microseconds of each operation for one inner step. Overrides are those of the
benchmark: `task.ways=20`, `model=mlp`.
"""

import argparse
import os
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.command.settings import settings
from benchmark.running.startup import start_tensorflow
from benchmark.studies.speed import engine
from tasks.checks import ConfigError

ITERATIONS = 10
SHOWN = 40
LOOPS = {"while", "body", "map"}  # of the meta-iterations, of the tasks, of the inner steps


def profile(overrides: list[str]) -> pd.DataFrame:
    """Columns operation, kernel, calls and microseconds an inner step, the longest first."""
    chosen = settings(*overrides, "runtime.cores=1", "runtime.engine=tensorflow")
    start_tensorflow(chosen.runtime)
    import tensorflow as tf

    once = engine(chosen, ITERATIONS)
    once()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        milliseconds = once()
        tf.profiler.experimental.stop()
        found = events(next(Path(folder).rglob("*.xplane.pb")))
    algorithm = chosen.algorithm
    steps = algorithm.meta_batch * algorithm.inner_steps
    spent, calls = defaultdict[str, float](float), Counter[str]()
    for name, microseconds in found:
        if ":" in name and "::" not in name and not name.startswith("EagerLocalExecute"):
            spent[name] += microseconds
            calls[name] += 1
    each = ITERATIONS * steps
    rows = [(*split_name(name), calls[name] / each, spent[name] / each) for name in spent]
    rows.append(("everything", "", float("nan"), 1e3 * milliseconds / steps))
    frame = pd.DataFrame(rows, columns=["operation", "kernel", "calls", "us"])
    return frame.sort_values("us", ascending=False, ignore_index=True)


def events(file: Path) -> list[tuple[str, float]]:
    """(name, microseconds) of all that a profile saw on the CPU."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(file.read_bytes())
    return [
        (plane.event_metadata[event.metadata_id].name, event.duration_ps / 1e6)
        for plane in space.planes
        if "CPU" in plane.name
        for line in plane.lines
        for event in line.events
    ]


def split_name(event: str) -> tuple[str, str]:
    """("backward conv2d/convolution", "Conv2DBackpropFilter") without the loops around them."""
    path, _, kernel = event.rpartition(":")
    parts = [part for part in path.split("/") if part not in LOOPS and not part.startswith("_")]
    backward = "gradient_tape" in parts
    parts = [part for part in parts if part != "gradient_tape"]
    return ("backward " if backward else "") + "/".join(parts), kernel.strip("_")


def main(arguments: Any = None) -> None:
    """Profile and print the table."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    parser = argparse.ArgumentParser("python -m benchmark.studies.kernels", description=__doc__)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="such as model=mlp")
    try:
        frame = profile(parser.parse_args(arguments).overrides)
    except ConfigError as error:
        parser.exit(2, f"error: {error}\n")
    print("Microseconds of one inner step, on one core, under the profiler")
    print(frame.head(SHOWN).to_string(index=False, float_format="{:.1f}".format))


if __name__ == "__main__":
    main()
