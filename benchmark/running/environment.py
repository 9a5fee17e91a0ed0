"""On what a run was computed: versions, commit and machine."""

import contextlib
import functools
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmark.running.startup import VARIABLES, usable_cores

# Begin the names of environment variables that may change the bits of a result. Not TF_ alone:
# Terraform's begin so, too, and among them are secrets.
MATTER = (
    "TF_AUTOTUNE_",
    "TF_CUDNN_",
    "TF_DETERMINISTIC_",
    "TF_DISABLE_",
    "TF_ENABLE_",
    "TF_FORCE_",
    "TF_GPU_",
    "TF_MKL_",
    "TF_NUM_",
    "TF_ONEDNN_",
    "TF_OVERRIDE_",
    "TF_USE_",
    "TF_XLA_",
    "XLA_",
    "OMP_",
    "KMP_",
    "MKL_",
    "ONEDNN_",
    "DNNL_",
    "NVIDIA_TF32",
    "CUBLAS_",
    "CUDNN_",
)
PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy", "hydra-core")


def environment() -> dict[str, Any]:
    """Versions, commit and machine; TensorFlow must have been started."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    names = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus
    ]
    commit, dirty = commit_of_project()
    return {
        "project": version("reptile-benchmark"),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        **{package.replace("-", "_"): version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "device": ", ".join(names) or processor(),
        "cores": usable_cores(),
        "memory_peak_mb": memory_peak_mb(),
        "variables": variables(),
    }


def variables() -> dict[str, str]:
    """The user's environment variables that may change bits, less what this program sets itself."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name.startswith(MATTER) and VARIABLES.get(name) != value
    }


def version(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def commit_of_project() -> tuple[str | None, bool | None]:
    """The commit of this code and whether files differ from it; (None, None) outside a checkout.

    As they were when this process first asked, which is at the start of a job.
    """

    folder = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != folder:
            return None, None  # installed somewhere inside another project's checkout
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_peak_mb() -> int | None:
    """Peak resident memory of this process so far, in megabytes; None where unknown (Windows)."""
    with contextlib.suppress(OSError):  # Linux, where getrusage would include the parent's peak
        status = Path("/proc/self/status").read_text()
        if peak := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            return round(int(peak[1]) / 2**10)
    if os.name != "posix":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if sys.platform == "darwin" else 2**10))
