"""The rules that the structure follows, held by reading the source."""

import ast
import importlib
from pathlib import Path

import pytest

from tests.conftest import ROOT

ALLOWED = {
    "metadata": {"metadata"},
    "curation": {"metadata", "curation"},
    "training": {"metadata", "curation", "training"},
    "pipelines": {"metadata", "curation", "training", "pipelines"},
}
IMPURE = {"os", "logging", "time", "datetime", "random", "fsspec", "requests"}
EXPORTED = {
    "metadata": 13,
    "curation": 17,
    "training": 2,
    "pipelines": 0,
}


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it points"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package):
    for path in modules(package):
        wrong = imports(path) & (ALLOWED.keys() - ALLOWED[package])
        assert not wrong, f"{path} imports {wrong}"


def test_the_core_of_curation_has_no_clock_environment_files_or_random_state():
    for path in modules("curation"):
        assert not imports(path) & IMPURE, path
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            assert not (isinstance(called, ast.Name) and called.id in {"open", "print"}), path


@pytest.mark.parametrize("package", ALLOWED)
def test_files_stay_readable(package):
    for path in modules(package):
        lines = path.read_text("utf-8").splitlines()
        # The command line is one file so that all options stand in one place.
        assert len(lines) <= (600 if path.name == "cli.py" else 350), path


@pytest.mark.parametrize("package", EXPORTED)
def test_exported_names_exist_and_change_on_purpose(package):
    module = importlib.import_module(package)
    names = list(getattr(module, "__all__", []))
    assert len(names) == EXPORTED[package], f"{package} exports {names}"
    assert all(getattr(module, name) is not None for name in names)


@pytest.mark.parametrize("package", ALLOWED)
def test_every_name_in_all_exists(package):
    for path in modules(package):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        module = importlib.import_module(name)
        missing = [n for n in getattr(module, "__all__", []) if not hasattr(module, n)]
        assert not missing, f"{name}: {missing}"
