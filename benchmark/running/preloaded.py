"""What the process that forks those of jobs imports before; it starts no device and no thread."""

import gc

from benchmark.running.interruption import ignore_signals

ignore_signals()  # first of all: a Ctrl-C reaches every process of a terminal

from benchmark.running.startup import import_tensorflow  # noqa: E402

import_tensorflow()

import benchmark.running.run  # noqa: E402, F401

gc.freeze()  # so that no job's collector looks at all this, and copies its pages by doing so
