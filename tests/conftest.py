"""Tests run on few threads, as the jobs of a sweep do."""

import gc
import os
import sys

import pytest
from filelock import FileLock

from benchmark.command.compose import compose
from benchmark.running.startup import start_tensorflow
from benchmark.tracking.base import is_installed
from tests.browser import MISSING, started
from tests.forks import Forks
from tests.toy import TRAINED, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")


def pytest_collection_finish():
    """What is imported by now stays: the garbage collector need not look at it again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def few_threads():
    """Start TensorFlow, where a test uses it, with the threads that jobs in this process want."""
    if "tensorflow" in sys.modules:
        start_tensorflow(settings().runtime)


@pytest.fixture(scope="session")
def forks():
    """A process that has imported TensorFlow and forks jobs: one for all tests."""
    with Forks() as server:
        yield server


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A directory that the processes of one test session share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def trained(shared):
    """The directory of a tiny completed run of real training; tests only read it."""
    from benchmark.running.job import run_job

    tracking = "tensorboard" if is_installed("tensorboard") else "none"
    directory = shared / "trained" / "run"
    with FileLock(shared / "trained.lock"):  # a second process finds it completed
        run_job(compose(*TRAINED, f"tracking={tracking}"), directory, ["seed=0"])
    return directory


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request):
    """A real browser, each of those that are here."""
    if MISSING[request.param]:
        pytest.skip(MISSING[request.param])
    with started(request.param) as running:
        running.name = request.param
        yield running
