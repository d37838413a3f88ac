"""The three ways in which `import caffe` finds this package, and the two commands for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import pycaffe_lite
import pycaffe_lite_cli
from pycaffe_lite import door
from rigs import ROOT

PACKAGES = (pycaffe_lite, pycaffe_lite_cli)
BARE = os.pathsep.join(os.path.dirname(os.path.dirname(str(package.__file__))) for package in PACKAGES)
"""Where this process has the two packages from: the tree, or an installed wheel."""
COMMAND = [sys.executable, "-m", "pycaffe_lite"]


def run(*command: str, path: str = BARE, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def printed(code: str, path: str = BARE, **environment: str) -> list[str]:
    """What a Python that runs the code prints."""
    result = run(sys.executable, "-c", code, path=path, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


# -- commands ----------------------------------------------------------------------------------------------


def test_python_path_is_a_folder_with_nothing_but_caffe() -> None:
    result = run(*COMMAND, "python-path")
    assert result.stdout.strip() == door.FOLDER
    assert [name for name in os.listdir(door.FOLDER) if name != "__pycache__"] == ["caffe"]


def test_with_the_folder_in_the_path_caffe_is_found() -> None:
    code = "import caffe; caffe.set_mode_cpu(); print(caffe.Net); print(caffe.TEST, caffe.__version__)"
    assert printed(code, path=os.pathsep.join([door.FOLDER, BARE])) == [
        "<class 'pycaffe_lite.pycaffe.net.Net'>",
        "1 1.0.0",
    ]


def test_the_folder_alone_is_enough() -> None:
    assert printed("import caffe; print(caffe.TRAIN)", path=door.FOLDER) == ["0"]


def test_a_notebook_reloads_it_and_not_another_one(tmp_path: Path) -> None:
    (tmp_path / "caffe.py").write_text("TEST = 'of another one'")
    code = (
        "import importlib, pycaffe_lite; pycaffe_lite.install_as_caffe(); import caffe; "
        "again = importlib.reload(caffe); print(again is caffe, caffe.TEST, caffe.Net.__name__)"
    )
    assert printed(code) == ["True 1 Net"]
    assert printed(code, path=os.pathsep.join([str(tmp_path), BARE])) == ["True 1 Net"]


def test_without_the_folder_there_is_no_caffe() -> None:
    result = run(sys.executable, "-c", "import pycaffe_lite, pycaffe_lite.pycaffe.net; import caffe")
    assert "No module named 'caffe'" in result.stderr


SCRIPT = """import sys, caffe
print(sys.argv[1:], caffe.Net.__name__)
if "fail" in sys.argv:
    raise KeyError("mine")
sys.exit(7)
"""


def test_python_hands_over_arguments_and_status(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = ["-solver=x", "--gpu", "-v", "--help", "a b", "no_such"]
    result = run(*COMMAND, "python", "script.py", *arguments, folder=tmp_path)
    assert result.stdout == f"{arguments} Net\n"
    assert result.returncode == 7


def test_python_shows_a_traceback_as_python_does(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    result = run(*COMMAND, "python", "script.py", "fail", folder=tmp_path)
    own = run(sys.executable, "script.py", "fail", folder=tmp_path, path=os.pathsep.join([door.FOLDER, BARE]))
    assert (result.returncode, result.stderr) == (own.returncode, own.stderr)
    assert "KeyError: 'mine'" in result.stderr


def test_python_takes_pythons_options() -> None:
    result = run(*COMMAND, "python", "-c", "import sys, caffe; print(sys.argv[1:])", "-c", "--help")
    assert result.stdout == "['-c', '--help']\n"
    assert "Run Python so that" in run(*COMMAND, "python", "--help").stdout


# -- names -------------------------------------------------------------------------------------------------

WAYS = {
    "page": "import pycaffe_lite as caffe\n",
    "installed": "import pycaffe_lite; pycaffe_lite.install_as_caffe()\nimport caffe\n",
    "path": "import caffe\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_names_in_all_ways(way: str) -> None:
    name = "pycaffe_lite" if way == "page" else "caffe"
    code = WAYS[way] + (
        "p = caffe.proto.caffe_pb2.NetParameter()\n"
        "net = caffe.Net(p, caffe.TEST)\n"
        "caffe.log('quiet')\n"
        f"from {name} import layers as L, params as P\n"
        "n = caffe.NetSpec(); n.d = L.Input(shape={'dim': [1, 2, 4, 4]}); n.p = caffe.layers.Pooling(n.d, "
        "pool=P.Pooling.AVE, kernel_size=2)\n"
        "assert caffe.Net(n.to_proto(), caffe.TEST).blobs['p'].shape == (1, 2, 3, 3)\n"
        "assert caffe.pycaffe._Net_forward is caffe.Net.forward\n"
        "assert caffe._caffe.RawBlobVec and caffe.SGDSolver is caffe._caffe.SGDSolver\n"
        "assert callable(caffe.log) and 'Net' in dir(caffe)\n"
        "try: caffe.nothing\n"
        "except AttributeError as problem: print(problem)\n"
    )
    path = os.pathsep.join([door.FOLDER, BARE]) if way == "path" else BARE
    if way != "page":
        code += (
            "from caffe.proto import caffe_pb2; import caffe.proto.caffe_pb2 as again\n"
            "from pycaffe_lite.proto import caffe_pb2 as ours\n"
            "assert caffe_pb2 is again is ours is caffe.proto.caffe_pb2\n"
            "import caffe._caffe; assert caffe._caffe.Net is caffe.Net\n"
            "from caffe.pycaffe import Net; assert Net is caffe.Net\n"
        )
    assert printed(code, path=path) == [f"module '{name}' has no attribute 'nothing'"]


def test_the_page_wins_over_a_caffe_that_is_installed_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "caffe").mkdir()
    (tmp_path / "caffe" / "__init__.py").write_text("theirs = True\n")
    (tmp_path / "caffe" / "io.py").write_text("theirs = True\n")
    path = os.pathsep.join([str(tmp_path), BARE])
    assert printed("import pycaffe_lite.pycaffe.net, caffe.io; print(caffe.theirs)", path=path) == ["True"]
    code = (
        "import caffe.io as before, pycaffe_lite, sys\n"
        "ours = pycaffe_lite.install_as_caffe()\n"
        "import caffe; print(caffe is ours, hasattr(caffe, 'theirs'), caffe.Net.__name__, 'caffe.io' in sys.modules)\n"
        "print(pycaffe_lite.install_as_caffe() is ours, before.theirs)\n"
    )
    assert printed(code, path=path) == ["True False Net False", "True True"]


def test_a_checkout_of_caffe_in_the_working_folder_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "caffe" / "python").mkdir(parents=True)
    code = "import pycaffe_lite; pycaffe_lite.install_as_caffe(); import caffe; print(caffe.Net.__name__)"
    result = run(sys.executable, "-c", code, folder=tmp_path)
    assert result.stdout == "Net\n"


# -- what it costs, and what it says -------------------------------------------------------------------------


def test_import_caffe_takes_no_time() -> None:
    path = os.pathsep.join([door.FOLDER, BARE])
    code = "import time; begun = time.process_time(); import caffe; print(time.process_time() - begun)"
    assert min(float(printed(code, path=path)[0]) for _ in range(3)) < 0.15


NET = """
from pycaffe_lite.proto.text import parse
from pycaffe_lite.proto.caffe_pb2 import NetParameter
text = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 } } }'
caffe.Net(parse(text, NetParameter), caffe.TEST)
"""


@pytest.mark.parametrize(
    ("asks", "environment", "loud"),
    [
        ("", {}, False),
        ("caffe.init_log()\n", {}, True),
        ("caffe.init_log(1)\n", {}, False),
        ("caffe.init_log(2)\n", {}, False),
        ("", {"GLOG_logtostderr": "1"}, True),
        ("", {"GLOG_minloglevel": "0"}, True),
        ("", {"GLOG_minloglevel": "2", "GLOG_logtostderr": "1"}, False),
        ("import sys; caffe.log.to(sys.stderr)\n", {}, True),
        ("import sys; caffe.log.to(sys.stderr); caffe.log.to(None)\n", {}, False),
    ],
)
def test_the_log_is_silent_unless_asked(asks: str, environment: dict[str, str], loud: bool) -> None:
    result = run(sys.executable, "-c", "import pycaffe_lite as caffe\n" + asks + NET, **environment)
    assert result.returncode == 0, result.stderr
    assert ("Creating Layer d" in result.stderr) == loud
    assert loud or not result.stderr


def test_the_log_goes_to_a_file_or_a_function(tmp_path: Path) -> None:
    lines: list[str] = []
    pycaffe_lite.log.to(lines.append)
    pycaffe_lite.log("one")
    pycaffe_lite.log.to(tmp_path / "run.log")
    pycaffe_lite.log("two")
    pycaffe_lite.log.to(None)
    assert [line.partition("] ")[2] for line in lines] == ["one"]
    assert (tmp_path / "run.log").read_text().endswith("] two\n")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: pycaffe_lite.init_log("x"), "a whole number as a level of the log, got 'x'"),
        (lambda: pycaffe_lite.set_random_seed(1.5), "a whole number as a seed, got 1.5"),
        (lambda: pycaffe_lite.set_solver_count(None), "a whole number as the count of solvers, got None"),
        (lambda: pycaffe_lite.Net(3, 1), "the path of a net's prototxt, got 3"),
        (lambda: pycaffe_lite.SGDSolver(None), "the path of a solver's prototxt, got None"),
        (lambda: pycaffe_lite.log.to(5), "a stream, a function, a path or None, got 5"),
    ],
)
def test_arguments_of_another_kind_are_a_type_error(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(TypeError, match=re.escape(sentence)):
        call()


def test_a_log_that_cannot_be_written_is_told_of_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        pycaffe_lite.log.to(tmp_path)
    (tmp_path / "folder").mkdir()
    pycaffe_lite.log.to(tmp_path / "folder" / "run.log")
    (tmp_path / "folder" / "run.log").unlink()
    (tmp_path / "folder").rmdir()
    pycaffe_lite.log("lost, and nothing else happens")


def test_a_timer_measures() -> None:
    timer = pycaffe_lite.Timer()
    assert timer.ms == 0
    timer.start()
    time.sleep(0.02)
    timer.stop()
    assert 15 < timer.ms < 2000
    assert timer.ms == timer.ms


def test_gpu_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from pycaffe_lite.pycaffe import common

    monkeypatch.setitem(common._state, "warned", 0)
    with pytest.warns(UserWarning, match="on the CPU only") as caught:
        pycaffe_lite.set_mode_gpu()
        pycaffe_lite.set_device(0)
        pycaffe_lite.set_mode_gpu()
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_several_solvers_are_told_the_way() -> None:
    assert not pycaffe_lite.has_nccl()
    with pytest.raises(pycaffe_lite.CaffeError, match="mpirun -n 4 pycaffe-lite train"):
        pycaffe_lite.NCCL(None, "uid")
    assert (pycaffe_lite.solver_count(), pycaffe_lite.solver_rank()) == (1, 0)
    pycaffe_lite.set_solver_count(2)
    pycaffe_lite.set_solver_rank(1)
    pycaffe_lite.set_multiprocess(True)
    assert (pycaffe_lite.solver_count(), pycaffe_lite.solver_rank()) == (2, 1)
    pycaffe_lite.set_solver_count(1)
    pycaffe_lite.set_solver_rank(0)
