"""The long fault test: kills, damages, a full disk and a race, each compared bit for bit.

    make faults      or      python -m pytest tests/faults.py

Ten minutes on two cores. Jobs are real processes that run the real command line. The counts are
printed at the end and, where nothing failed, written to results/published/faults.md. The default
suite has a short version, tests/test_faults.py.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from results import records
from tests.forks import GLYPHS, ROOT, Ended, Fault, Forks, numbers, phases, random_fault
from tests.forks import SINE as QUICK
from tests.test_checkpoint import DAMAGES

SINE = [*QUICK, "runtime.jit=true"]  # as it is by default
PHASES = ("training", "checkpointing", "evaluation", "recording")
KILLS_A_PHASE = 10
SUMMARY = ROOT / "results" / "published" / "faults.md"
COUNTS: Counter[str] = Counter()


class Scene:
    """Directories, logs and the two configurations with the numbers of an undisturbed run."""

    def __init__(self, forks: Forks, folder: Path) -> None:
        self.forks, self.folder, self.started = forks, folder, 0
        self.configurations = {"sine": SINE, "glyphs": GLYPHS}
        self.expected, self.measured = {}, {}
        for name in self.configurations:
            undisturbed = self.run(name, folder / f"undisturbed {name}" / "run")
            assert undisturbed.code == 0, undisturbed.output
            self.measured[name] = phases(undisturbed)
            self.expected[name] = numbers(folder / f"undisturbed {name}" / "run")

    def fresh(self) -> Path:
        """A directory for a run, in a tree of its own: a training found in it is not repeated."""
        return self.folder / f"tree {self.started}" / "run"

    def run(self, name: str, directory: Path, *more: str, fault: Fault | None = None) -> Ended:
        self.started += 1
        log = self.folder / "logs" / f"{self.started}.log"
        argv = [*self.configurations[name], *more, f"hydra.run.dir='{directory}'"]
        return self.forks.run(log, argv, fault)

    def assert_completes_as_expected(self, name: str, directory: Path) -> str:
        """Give the command again; returns what it printed."""
        again = self.run(name, directory)
        assert again.code == 0, again.output
        assert numbers(directory) == self.expected[name]
        assert not list(directory.glob("*checkpoint*")), "a checkpoint was left"
        assert not list(directory.glob(".*.tmp")), "a half-written file was left"
        return again.output


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with Forks() as forks:
        yield Scene(forks, tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module", autouse=True)
def summary(request):
    """Print the counts, and write them where every test ran and none failed."""
    before = request.session.testsfailed
    yield
    text = as_text()
    print(f"\n{text}")
    whole = not request.config.getoption("keyword") and "::" not in "".join(request.config.args)
    if whole and request.session.testsfailed == before:
        SUMMARY.write_text(text)


def as_text() -> str:
    import importlib.metadata as versions

    rows = "\n".join(f"| {what} | {count} |" for what, count in sorted(COUNTS.items()))
    names = ("tensorflow", "keras", "numpy", "hydra-core")
    used = ", ".join(f"{name} {versions.version(name)}" for name in names)
    return (
        "# Fault test\n\n`python -m pytest tests/faults.py`; all passed. Each run was then given "
        "again and compared bit for bit with an undisturbed one (after a file size limit: only "
        "completed;\nthe jobs of the race: with each other).\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}, {used}.\n\n"
        f"| fault | times |\n|---|---:|\n{rows}\n"
    )


def name_of(number: int) -> str:
    return ("sine", "glyphs")[number % 2]


@pytest.mark.parametrize("number", range(KILLS_A_PHASE))
@pytest.mark.parametrize("phase", PHASES)
def test_a_kill_at_a_random_moment(scene, phase, number):
    name, directory = name_of(number), scene.fresh()
    fault = random_fault(random.Random(f"{phase} {number}"), phase, scene.measured[name])
    killed = scene.run(name, directory, fault=fault)
    assert killed.code in (-signal.SIGKILL, 0)  # 0: it was quicker than the kill
    if killed.code:
        scene.assert_completes_as_expected(name, directory)
        COUNTS[f"SIGKILL at a random moment: {killed.last_phase}"] += 1
    assert numbers(directory) == scene.expected[name]


def test_a_kill_in_place_of_every_file_operation(scene):
    for operation in range(1000):
        directory = scene.fresh()
        killed = scene.run("sine", directory, fault=Fault(operation=operation))
        if killed.code == 0:
            break
        assert killed.code == -signal.SIGKILL
        scene.assert_completes_as_expected("sine", directory)
        COUNTS["SIGKILL in place of a file operation"] += 1
    assert operation > 30


@pytest.mark.parametrize("name", ["sine", "glyphs"])
def test_a_run_that_is_killed_again_and_again(scene, name):
    directory, rng = scene.fresh(), random.Random(name)
    for phase in PHASES * 3:
        fault = Fault(phase=phase, nth=rng.randrange(2), fraction=rng.random(), seconds=0.002)
        killed = scene.run(name, directory, fault=fault)
        COUNTS["SIGKILL of a run killed before"] += killed.code == -signal.SIGKILL
    scene.run(name, directory)
    assert numbers(directory) == scene.expected[name]


@pytest.mark.parametrize("isolate", ["false", "true"])
def test_a_kill_of_the_command_at_a_random_moment_from_its_start_on(scene, isolate):
    rng = random.Random(isolate)
    command = [sys.executable, "-m", "benchmark", *SINE, f"runtime.isolate={isolate}"]
    for _ in range(4):
        directory = scene.fresh()
        scene.started += 1
        given = [*command, f"hydra.run.dir='{directory}'"]
        with subprocess.Popen(given, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            time.sleep(rng.uniform(0.5, 9))
            process.kill()
        COUNTS[f"SIGKILL of the whole command, runtime.isolate={isolate}"] += 1
        scene.assert_completes_as_expected("sine", directory)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("which", ["the newest", "both"])
def test_damaged_checkpoints(scene, damage, which):
    directory = scene.fresh()
    scene.run("sine", directory, fault=Fault(phase="evaluation", nth=2))
    paths = [directory / "checkpoint.npz", directory / "checkpoint.previous.npz"]
    for path in paths[: 1 if which == "the newest" else 2]:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    said = scene.assert_completes_as_expected("sine", directory)
    assert f"{paths[0]} is damaged and not used" in said
    assert ("starting from the beginning" in said) == (which == "both")
    assert ("continuing after" in said) == (which == "the newest")
    COUNTS[f"checkpoint damaged ({which}): {damage}"] += 1


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "one bit flipped"])
def test_a_damaged_record(scene, damage):
    directory = scene.fresh()
    scene.run("sine", directory)
    path = directory / "record.json"
    damaged = DAMAGES[damage](path.read_bytes())
    path.write_bytes(damaged)
    said = scene.assert_completes_as_expected("sine", directory)
    assert f"{path} is damaged" in said
    assert (directory / "record.damaged1.json").read_bytes() == damaged
    COUNTS[f"record damaged: {damage}"] += 1


@pytest.mark.parametrize("name", ["scores.npz", "initialisation.npz", "learning_curve.csv"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_beside_a_completed_record(scene, name, damage):
    directory = scene.fresh()
    scene.run("sine", directory)
    path = directory / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert f"{path} is damaged: kept as " in scene.assert_completes_as_expected("sine", directory)
    COUNTS[f"file beside a completed record damaged: {damage}"] += 1


def test_no_bit_of_a_completed_record_can_flip_unnoticed(scene):
    directory, rng = scene.fresh(), random.Random(0)
    scene.run("sine", directory)
    path = directory / "record.json"
    whole = path.read_bytes()
    for _ in range(500):
        place, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        flipped = whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
        path.write_bytes(flipped)
        assert records.read_records([directory]).problems, (place, bit)
        COUNTS["bit of a completed record flipped, and noticed"] += 1


@pytest.mark.parametrize("launcher", ["basic", "processes", "slurm_local"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_stop_ends_a_sweep_with_all_jobs_saved(scene, launcher, number):
    """Whichever launcher runs it; the sweep then goes on from what was saved."""
    if launcher != "basic":
        plugin = {"processes": "joblib", "slurm_local": "submitit"}[launcher]
        pytest.importorskip(f"hydra_plugins.hydra_{plugin}_launcher")
    directory = scene.fresh()
    scene.started += 1
    endless = ["algorithm.meta_iterations=100000000", "training.checkpoint_every=0", "seed=0,1"]
    where = [f"hydra/launcher={launcher}", f"hydra.sweep.dir={directory}"]
    command = [sys.executable, "-m", "benchmark", "--multirun", *SINE, *endless, *where]
    jobs = 1 if launcher == "basic" else 2
    pipes = {"stderr": subprocess.DEVNULL, "start_new_session": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as sweep:
        while len(list(directory.glob("*/record.json"))) < jobs and sweep.poll() is None:
            time.sleep(0.2)
        if number == signal.SIGTERM:
            sweep.terminate()
        else:  # as a terminal does: to all that was started there
            os.killpg(sweep.pid, number)
        assert sweep.wait(timeout=300) == 128 + number
    left = [json.loads(path.read_text()) for path in directory.glob("*/record.json")]
    assert [record["status"] for record in left] == ["interrupted"] * jobs
    assert len(list(directory.glob("*/checkpoint.npz"))) == jobs
    COUNTS[f"{signal.Signals(number).name} of a sweep, hydra/launcher={launcher}"] += 1


@pytest.mark.parametrize("size", [6000, 10_000, 20_000])
def test_a_limit_on_the_size_of_files(scene, size):
    directory, wide = scene.fresh(), ("model.hidden=[64,64]", "algorithm.outer_optimizer=null")
    full = scene.run("sine", directory, *wide, fault=Fault(file_size=size))
    assert full.code == 2
    assert full.output.count("error: ") == 1
    assert "could not be written (File too large)" in full.output
    assert scene.run("sine", directory, *wide).code == 0
    COUNTS["file size limit, then continued"] += 1


def test_a_full_disk(scene, tmp_path):
    """A tmpfs that other files fill up while the run goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)])
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        scene.run("sine", disk / "run", fault=Fault(phase="training", nth=4))
        before = (disk / "run" / "checkpoint.npz").read_bytes()
        filled = subprocess.run(["head", "-c", "1M", "/dev/zero"], capture_output=True).stdout
        with pytest.raises(OSError), open(disk / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(filled)
        full = scene.run("sine", disk / "run")
        assert full.code == 2
        assert "No space left on device" in full.output
        assert full.output.count("error: ") == 1
        assert (disk / "run" / "checkpoint.npz").read_bytes() == before
        (disk / "filler").unlink()
        scene.assert_completes_as_expected("sine", disk / "run")
        COUNTS["disk full, then continued"] += 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_directory_that_became_read_only(scene, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(disk)])
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        scene.run("sine", disk / "run", fault=Fault(phase="training", nth=4))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        refused = scene.run("sine", disk / "run")
        assert refused.code == 2
        assert "Read-only file system" in refused.output
        assert refused.output.count("\n") == 1
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        scene.assert_completes_as_expected("sine", disk / "run")
        COUNTS["directory read-only, then continued"] += 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


OMNIGLOT = [o for o in GLYPHS if not o.startswith("task")] + ["task=omniglot", "task.ways=2"]


@pytest.mark.skipif("TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR names no Omniglot")
def test_ten_jobs_that_race_for_a_cold_cache(scene, tmp_path):
    scene.configurations["omniglot"] = [*OMNIGLOT, f"task.cache_dir={tmp_path}"]
    jobs = [
        scene.forks.start(
            tmp_path / "logs" / f"{number}.log",
            [*scene.configurations["omniglot"], f"hydra.run.dir={tmp_path / str(number) / 'run'}"],
        )
        for number in range(10)
    ]
    ended = [scene.forks.wait(job) for job in jobs]
    assert [job.code for job in ended] == [0] * 10
    decoded = [event for job in ended for event in job.events if event["phase"] == "decoding"]
    assert len(decoded) == 2  # one start and one end
    found = [numbers(tmp_path / str(number) / "run") for number in range(10)]
    assert all(each == found[0] for each in found)
    COUNTS["jobs that raced for a cold cache (one built it)"] += 10

    (cache,) = tmp_path.glob("*.cache")
    for damage, make in DAMAGES.items():
        whole = cache.read_bytes()
        cache.write_bytes(make(whole))
        shutil.rmtree(tmp_path / "0")
        said = scene.run("omniglot", tmp_path / "0" / "run").output
        assert f"The Omniglot cache {cache} is damaged; rebuilding it" in said
        assert numbers(tmp_path / "0" / "run") == found[1]
        assert cache.read_bytes() == whole
        COUNTS[f"cache damaged: {damage}"] += 1
