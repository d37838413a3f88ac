"""The package as a whole: what is in it, what it exports, what its version is."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import pycaffe_lite
from rigs import ROOT

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PACKAGES = {"pycaffe_lite": ROOT / "core" / "pycaffe_lite", "pycaffe_lite_cli": ROOT / "cli" / "pycaffe_lite_cli"}


def test_every_folder_with_modules_is_a_package() -> None:
    for name, folder in PACKAGES.items():
        assert (folder / "py.typed").is_file(), name
        for path in folder.rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path


def test_the_wheel_holds_every_module() -> None:
    """What pip has installed is what the wheel held; an editable installation holds nothing, and tells nothing."""
    installed = {file.as_posix() for file in metadata.files("pycaffe-lite") or [] if file.parts[0] in PACKAGES}
    if not installed:
        pytest.skip("the installation is editable: there was no wheel")
    ours = {path.relative_to(folder.parent).as_posix() for folder in PACKAGES.values() for path in folder.rglob("*.*")}
    assert not {file for file in ours ^ installed if not file.endswith(".pyc")}


@pytest.mark.parametrize("name", pycaffe_lite.__all__)
def test_every_export_resolves(name: str) -> None:
    assert getattr(pycaffe_lite, name) is not None
    assert name in dir(pycaffe_lite)


def test_an_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="'pycaffe_lite' has no attribute 'nothing'"):
        pycaffe_lite.nothing  # noqa: B018


def test_every_module_imports() -> None:
    for name, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            if path.name == "__main__.py":
                continue
            parts = path.relative_to(folder).with_suffix("").parts
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


def test_the_engine_imports_neither_click_nor_tqdm() -> None:
    for path in PACKAGES["pycaffe_lite"].rglob("*.py"):
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
    """Test modules lie in no package, so two of one name could not both be imported."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
