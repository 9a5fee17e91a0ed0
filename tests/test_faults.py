"""Kills in every part of a run, resumed bit for bit; tests/faults.py is the long version."""

import signal

from tests.forks import GLYPHS, Fault, numbers


def test_a_run_killed_in_each_part_ends_as_if_it_never_had_been(forks, tmp_path):
    whole, killed = tmp_path / "a" / "whole", tmp_path / "b" / "killed"  # no tree in common
    argv = [*GLYPHS, f"hydra.run.dir={whole}"]
    assert forks.run(tmp_path / "whole.log", argv).code == 0
    argv[-1] = f"hydra.run.dir={killed}"
    for phase, nth in (("training", 2), ("checkpointing", 1), ("evaluation", 2), ("recording", 1)):
        fault = Fault(phase=phase, nth=nth, fraction=0.5, seconds=0.001)
        ended = forks.run(tmp_path / f"{phase}.log", argv, fault)
        assert ended.code == -signal.SIGKILL, ended.output
    assert forks.run(tmp_path / "last.log", argv).code == 0
    assert numbers(killed) == numbers(whole)
    assert not [*killed.glob("*checkpoint*"), *killed.glob(".*.tmp")]
