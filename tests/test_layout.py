"""The floor plan: imports run one way and in no circle, functions fit a screen."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import benchmark
import results
from tests.command import PROJECT, python

PACKAGES = ("tasks", "benchmark", "results")
# What a package may import of the others.
ALLOWED = {
    "tasks": set(),
    "benchmark": {"tasks", "results.schema", "results.statistics"},
    "results": set(),
}
SUMMARY = (
    "benchmark.running.summary"  # the table at the end of a sweep: it may import all of results
)
SCREEN = 40  # lines of a function's body
BECAUSE = "# Long because "  # begins the comment that allows one more

FILES = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((PROJECT / package).rglob("*.py"))
}


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, at its top, in its functions or for its types."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in FILES else node.module


IMPORTS = {module: set(imported(path)) for module, path in FILES.items()}


def test_every_package_is_looked_at():
    assert {"tasks.omniglot.cache", "benchmark.running.job", "results.schema"} <= set(FILES)


@pytest.mark.parametrize("package", [benchmark, results], ids=lambda package: package.__name__)
def test_no_module_bears_the_name_of_what_its_package_offers(package):
    """Importing it would put the module in the function's place."""
    assert [n for n in package.__all__ if f"{package.__name__}.{n}" in FILES] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package):
    def allowed(name):
        return any(name == a or name.startswith(f"{a}.") for a in (package, *ALLOWED[package]))

    for module in (m for m in FILES if m.split(".")[0] == package and m != SUMMARY):
        foreign = {n for n in IMPORTS[module] if n.split(".")[0] in {*PACKAGES, "tests", "conf"}}
        assert [name for name in sorted(foreign) if not allowed(name)] == [], module


def test_imports_go_in_no_circle():
    """Found by taking away, again and again, the modules that import none of those left."""
    left = {module: IMPORTS[module] & set(FILES) for module in FILES}
    while free := {module for module, needs in left.items() if not needs & set(left)}:
        left = {module: needs for module, needs in left.items() if module not in free}
    assert {module: sorted(needs & set(left)) for module, needs in left.items()} == {}


@pytest.mark.parametrize(
    "module",
    [
        "results.__main__",
        "benchmark.config",
        "benchmark.__main__",
        "tasks.omniglot",
        "tasks.images",
    ],
)
def test_starts_without_tensorflow(module):
    script = f"import sys, {module}; sys.exit('tensorflow' in sys.modules)"
    assert python("-c", script).returncode == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_fit_a_screen(package):
    """Docstrings apart; a longer one says why in a comment of its own that begins as BECAUSE."""
    long = []
    for module in (m for m in FILES if m.split(".")[0] == package):
        source = FILES[module].read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and lines(node) > SCREEN:
                text = ast.get_source_segment(source, node)
                long += [] if BECAUSE in text else [f"{module}.{node.name}: {lines(node)} lines"]
    assert long == []


def lines(function: ast.FunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_every_direct_dependency_is_declared():
    text = (PROJECT / "pyproject.toml").read_text()
    installed_as = {
        "hydra": "hydra-core",
        "mpl_toolkits": "matplotlib",
        "keras": "tensorflow",
        "mlflow": "mlflow-skinny",
        "PIL": "pillow",
        "yaml": "pyyaml",
    }
    known = set(sys.stdlib_module_names) | set(PACKAGES) | {"conf", "scripts"}
    scripts = {path.stem: set(imported(path)) for path in (PROJECT / "scripts").glob("*.py")}
    for module, names in (IMPORTS | scripts).items():
        for name in {name.split(".")[0] for name in names} - known:
            distribution = installed_as.get(name, name).replace("_", "-")
            assert f'"{distribution}' in text, f"{module} imports {name}"
