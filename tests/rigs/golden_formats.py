"""The databases, means and transforms that Caffe wrote and read; golden/formats/README.md tells how."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from rigs import GOLDEN

FORMATS = GOLDEN / "formats"


def table(name: str) -> dict[str, Any]:
    """A table of cases: db.json, mean/mean.json, ..."""
    return dict(json.loads((FORMATS / name).read_text()))


def writable_copy(name: str, folder: Path) -> Path:
    """A copy of a database: opening a LevelDB writes into its folder."""
    return Path(shutil.copytree(FORMATS / "db" / name, folder / "db" / name))
