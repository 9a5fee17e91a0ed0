"""The native library, built once for each width of vectors; pyproject.toml has all the rest.

Without a C++ compiler that knows GCC's vectors nothing is built, and TensorFlow computes instead.
"""

import os
import platform

from setuptools import Extension, setup

FLAGS = [
    os.environ.get("OPTIMIZE", "-O3"),
    "-g0",
    "-std=gnu++17",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
]
BUILDS = {"baseline": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    BUILDS["avx2"] = ["-mavx2", "-mfma"]
    BUILDS["avx512"] = [*BUILDS["avx2"], "-mavx512f", "-mavx512dq", "-mavx512vl"]

setup(
    ext_modules=[
        Extension(
            f"benchmark.native.{name}",
            ["benchmark/native/inner_step.cpp"],
            depends=["benchmark/native/plan.h", "benchmark/native/products.h"],
            extra_compile_args=[*FLAGS, *flags],
            language="c++",
            optional=True,
        )
        for name, flags in BUILDS.items()
    ]
)
