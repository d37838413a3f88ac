"""How far one travels: the calls between the engine's functions, and how many of them lead into another file.

python benchmarks/trips.py            one line for each trip that docs/architecture.md describes
python benchmarks/trips.py --files    with the files, in the order in which they are entered
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from types import FrameType

import pycaffe_lite
from pycaffe_lite.parallel import set_num_threads
from pycaffe_lite.solvers.registry import get_solver

ROOT = Path(__file__).resolve().parent.parent
HOME = str(Path(pycaffe_lite.__file__).resolve().parent) + os.sep
SOLVER = f"""
net: "{ROOT}/configs/lenet/train_test.prototxt" test_iter: 1 test_interval: 500 test_initialization: false
base_lr: 0.01 lr_policy: "inv" gamma: 0.0001 power: 0.75 momentum: 0.9 weight_decay: 0.0005 max_iter: 100
random_seed: 1 snapshot_prefix: "lenet"
"""


class Trip:
    """Counts the calls of the thread that is in its block."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = self.switches = 0
        self.files: dict[str, int] = {}

    def __enter__(self) -> None:
        sys.setprofile(self._count)

    def __exit__(self, *problem: object) -> None:
        sys.setprofile(None)
        print(f"{self.name:<34} {self.calls:>6} calls {self.switches:>6} file switches {len(self.files):>4} files")
        if "--files" in sys.argv[1:]:
            print("    " + " ".join(self.files))

    def _count(self, frame: FrameType, event: str, arg: object) -> None:
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(HOME) or file.endswith("_pb2.py"):
            return
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(HOME):
            caller = caller.f_back
        self.calls += 1
        self.switches += caller is None or caller.f_code.co_filename != file
        self.files[file.removeprefix(HOME)] = self.files.get(file.removeprefix(HOME), 0) + 1


def main() -> None:
    set_num_threads(1)  # all calls in this thread, but those that read the data ahead
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("solver.prototxt").write_text(SOLVER, encoding="utf-8")
        get_solver("solver.prototxt").close()  # imports all modules
        with Trip("a solver file to its nets"):
            solver = get_solver("solver.prototxt")
        with Trip("the first iteration"):
            solver.step(1)
        with Trip("another iteration"):
            solver.step(1)
        with Trip("a snapshot written"):
            solver.snapshot()
        with Trip("a snapshot resumed"):
            solver.restore("lenet_iter_2.solverstate")
        solver.close()
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
