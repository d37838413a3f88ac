"""The package as a whole: what is in it, what it exports, what its version is."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pycaffe_lite

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
FOLDERS = {"core": "pycaffe_lite", "cli": "pycaffe_lite.cli"}


def listed(key: str) -> list[str]:
    """The strings of a list in pyproject.toml (tomllib is there from Python 3.11 on only)."""
    match = re.search(rf"^{key} = (\[.*?\])", PYPROJECT, re.MULTILINE | re.DOTALL)
    assert match
    return list(ast.literal_eval(match[1]))


def test_every_folder_with_modules_is_a_listed_package() -> None:
    """A package that is not listed works in an editable install and is missing from the wheel."""
    found = {
        ".".join([name, *path.parent.relative_to(ROOT / folder).parts])
        for folder, name in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    assert sorted(found) == listed("packages")
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path


def test_the_schema_and_the_types_are_package_data() -> None:
    assert (ROOT / "core" / "py.typed").is_file()
    assert '"caffe.proto"' in PYPROJECT
    assert "py.typed" in PYPROJECT


@pytest.mark.parametrize("name", pycaffe_lite.__all__)
def test_every_export_resolves(name: str) -> None:
    assert getattr(pycaffe_lite, name) is not None
    assert name in dir(pycaffe_lite)


def test_an_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="'pycaffe_lite' has no attribute 'nothing'"):
        pycaffe_lite.nothing  # noqa: B018


def test_every_module_imports() -> None:
    for folder, name in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name == "__main__.py":
                continue
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            importlib.import_module(".".join([name, *(part for part in parts if part != "__init__")]))


def test_the_version_is_the_newest_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    declared = re.search(r'^version = "(.+)"', PYPROJECT, re.MULTILINE)
    assert newest is not None
    assert declared is not None
    assert pycaffe_lite.__version__ == newest[1] == declared[1]


def imports(path: Path) -> set[str]:
    """The top-level names that a file imports, and `.` for relative ones."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." if node.level else str(node.module).split(".")[0])
    return found


@pytest.mark.parametrize("folder", ["core", "cli", "tests", "scripts", "benchmarks"])
def test_nothing_imports_a_second_copy(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        assert not imports(path) & {"core", "cli", "."}, path


def test_the_engine_imports_neither_click_nor_tqdm() -> None:
    for path in (ROOT / "core").rglob("*.py"):
        assert not imports(path) & {"click", "tqdm"}, path


LIGHT = """
import sys
import pycaffe_lite
heavy = {"numpy", "google.protobuf", "threadpoolctl"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""


def test_importing_the_package_imports_nothing_slow() -> None:
    result = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


def test_base_names_of_tests_are_unique() -> None:
    """Without packages among the tests two files of one name cannot both be imported."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py")]
    assert sorted(names) == sorted(set(names))
    assert "__init__.py" not in names
