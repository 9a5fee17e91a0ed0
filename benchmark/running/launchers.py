"""What a sweep's launcher means for a job: its share of the cores, and how it shows itself."""

from dataclasses import replace
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from benchmark.config import Runtime
from benchmark.running.startup import usable_cores


def as_launched(runtime: Runtime) -> Runtime:
    """`runtime` with what it leaves open filled in: cores, isolate and progress."""
    launcher = launcher_settings()
    runs_several = bool({"n_jobs", "submitit_folder", "ray"} & set(launcher))
    return replace(
        runtime,
        cores=runtime.cores or share_of_cores(launcher),
        isolate=bool(launcher) if runtime.isolate is None else runtime.isolate,
        progress="lines" if runs_several and runtime.progress == "auto" else runtime.progress,
    )


def launcher_settings() -> dict[str, Any]:
    """The settings of the launcher that started this job; none outside a sweep."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return {}
    plain = OmegaConf.to_container(HydraConfig.get().launcher, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def share_of_cores(launcher: dict[str, Any]) -> int:
    """Cores of one job: what the launcher reserves, or divides among jobs side by side."""
    cores = usable_cores()
    reserved = launcher.get("cpus_per_task") or (launcher.get("ray") or {}).get("remote", {}).get(
        "num_cpus"
    )
    if reserved:
        return max(1, min(cores, int(reserved)))
    jobs = launcher.get("n_jobs", 1)
    side_by_side = jobs if jobs > 0 else cores + 1 + jobs  # joblib: -1 is all cores
    return max(1, cores // max(1, side_by_side))
