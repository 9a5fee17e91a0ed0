"""Data flows one way: tasks import nothing of ours, results neither tasks nor benchmark."""

import ast
import sys

import pytest

from tests.command import PROJECT, python

ALLOWED = {
    "tasks": {"tasks"},
    "benchmark": {"benchmark", "tasks", "results"},  # results: the sweep's summary at its end
    "results": {"results"},
}


def imported(path):
    """Top-level names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_run_one_way(package):
    ours = set(ALLOWED) | {"tests", "conf"}
    for path in (PROJECT / package).glob("*.py"):
        assert set(imported(path)) & ours <= ALLOWED[package], path.name


def test_only_the_summary_of_benchmark_reads_results():
    readers = {
        path.name
        for path in (PROJECT / "benchmark").glob("*.py")
        if "results" in set(imported(path))
    }
    assert readers == {"summary.py"}


@pytest.mark.parametrize(
    "module", ["results.__main__", "benchmark.config", "benchmark.__main__", "tasks.omniglot"]
)
def test_starts_without_tensorflow(module):
    script = f"import sys, {module}; sys.exit('tensorflow' in sys.modules)"
    assert python("-c", script).returncode == 0


def test_every_direct_dependency_is_declared():
    text = (PROJECT / "pyproject.toml").read_text()
    installed_as = {
        "hydra": "hydra-core",
        "mpl_toolkits": "matplotlib",
        "keras": "tensorflow",
        "mlflow": "mlflow-skinny",
    }
    known = set(sys.stdlib_module_names) | set(ALLOWED) | {"conf", "tests"}
    for package in ALLOWED:
        for path in (PROJECT / package).glob("*.py"):
            for name in set(imported(path)) - known:
                distribution = installed_as.get(name, name).replace("_", "-")
                assert f'"{distribution}' in text, f"{path.name} imports {name}"
