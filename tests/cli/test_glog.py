"""glog's flags and variables."""

from __future__ import annotations

import getpass
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pycaffe_lite import log
from pycaffe_lite_cli import COMMANDS
from rigs.cli_rig import Command, write_run
from rigs.golden_logs import HEAD

TRAIN = ("train", "--solver=solver.prototxt")


@pytest.fixture(autouse=True)
def run_here(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("GLOG_"):
            monkeypatch.delenv(name)
    write_run(here)
    (here / "logs").mkdir()
    return here


def files(folder: Path) -> dict[str, str]:
    """The texts of the log files, by severity."""
    return {path.name.split(".log.")[1].split(".")[0]: path.read_text() for path in folder.glob("logs/*.log.*")}


def test_log_dir_makes_glogs_file(here: Path) -> None:
    run = Command(*TRAIN, "-log_dir=logs")
    assert run.status == 0
    (path,) = here.glob("logs/*.log.*")
    name = re.escape(f"caffe.{platform.node()}.{getpass.getuser()}.log.INFO.")
    assert re.fullmatch(rf"{name}\d{{8}}-\d{{6}}\.{os.getpid()}", path.name)
    assert os.readlink(here / "logs/caffe.INFO") == path.name
    lines = path.read_text().splitlines()
    assert re.fullmatch(r"Log file created at: \d{4}/\d\d/\d\d \d\d:\d\d:\d\d", lines[0])
    assert lines[1] == f"Running on machine: {platform.node()}"
    assert lines[2].startswith("Log line format: [IWEF]")
    assert lines[3:] == "\n".join(run.log).splitlines()


def test_the_link_leads_to_the_newest(here: Path) -> None:
    (here / "logs/caffe.INFO").symlink_to("elsewhere")
    Command(*TRAIN, "-log_dir=logs")
    assert "Optimization Done." in (here / "logs/caffe.INFO").read_text()


def test_a_file_for_each_severity_and_those_above(here: Path) -> None:
    run = Command(*TRAIN, "--gpu=0", "--log_dir", "logs", "--set=base_lr=oh")
    assert run.status == 1
    assert set(files(here)) == {"INFO", "WARNING", "ERROR"}
    warning = "there is no GPU here"
    assert [warning in files(here)[severity] for severity in ("INFO", "WARNING", "ERROR")] == [True, True, False]
    for text in files(here).values():
        assert run.sentence() in text


def test_a_tools_file_has_its_name(here: Path) -> None:
    (here / "list.txt").write_text("")
    Command("convert-imageset", ".", "list.txt", "db", "-log_dir=logs")
    assert {path.name.split(".")[0] for path in here.glob("logs/*")} == {"convert_imageset"}


@pytest.mark.parametrize(
    ("flags", "levels"),
    [
        ([], {"I", "W"}),
        (["-minloglevel=1"], {"W"}),
        (["-minloglevel", "2"], set()),
        (["-alsologtostderr"], {"I", "W"}),
        (["-noalsologtostderr"], set()),
        (["-alsologtostderr=false", "-stderrthreshold=1"], {"W"}),
        (["-alsologtostderr=0", "-stderrthreshold=0"], {"I", "W"}),
        (["-noalsologtostderr", "-logtostderr"], {"I", "W"}),
        (["-v=3"], {"I", "W"}),
        (["-minloglevel=0", "--quiet"], {"W"}),
    ],
)
def test_what_standard_error_gets(flags: list[str], levels: set[str]) -> None:
    run = Command(*TRAIN, "--gpu=0", *flags)
    assert run.status == 0
    assert {line[0] for line in run.log} == levels


def test_files_get_what_standard_error_does_not(here: Path) -> None:
    run = Command(*TRAIN, "-log_dir=logs", "-noalsologtostderr")
    assert run.log == []
    assert "solver.cpp:332] Optimization Done." in files(here)["INFO"]
    assert Command(*TRAIN, "-log_dir=logs", "-minloglevel=1").log == []
    assert len(list(here.glob("logs/*.log.*"))) == 1


def test_logtostderr_makes_no_files(here: Path) -> None:
    assert Command(*TRAIN, "-log_dir=logs", "-logtostderr").log
    assert not files(here)


@pytest.mark.parametrize(
    ("name", "value", "count", "made"),
    [
        ("GLOG_minloglevel", "2", 0, False),
        ("GLOG_log_dir", "logs", None, True),
        ("GLOG_v", "1", None, False),
        ("GLOG_logtostderr", "1", None, False),
        ("GLOG_stderrthreshold", "3", None, False),
        ("GLOG_alsologtostderr", "0", None, False),  # Caffe sets it after that
    ],
)
def test_variables(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, count: int | None, made: bool
) -> None:
    usual = len(Command(*TRAIN).log)
    monkeypatch.setenv(name, value)
    assert len(Command(*TRAIN).log) == (usual if count is None else count)
    assert bool(files(here)) == made


def test_a_flag_counts_more_than_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "3")
    assert Command(*TRAIN, "-minloglevel=0").log


@pytest.mark.parametrize("folder", ["nowhere", "solver.prototxt"])
def test_a_folder_that_is_none_ends_no_run(folder: str) -> None:
    run = Command(*TRAIN, f"-log_dir={folder}", "-noalsologtostderr")
    assert run.status == 0
    assert run.warned == [f"--log_dir {folder}: expected a folder that can be written to; no log file is made."]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_ends_no_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str, mode: str, **settings: str) -> object:
        return open("/dev/full" if "log.INFO" in path else path, mode, **settings)  # type: ignore[call-overload]

    monkeypatch.setattr("pycaffe_lite_cli.glog.open", full, raising=False)
    run = Command(*TRAIN, "-log_dir=logs")
    assert run.status == 0
    assert re.fullmatch(r"\d+ log lines could not be written to a file in logs\.", run.warned[-1])
    assert (here / "s_iter_4.solverstate").exists()


@pytest.mark.parametrize("bad", ["-minloglevel=some", "-stderrthreshold=ERROR", "-v=x", "-logtostderr=maybe"])
def test_wrong_values_are_wrong_usage(bad: str) -> None:
    assert Command(*TRAIN, bad).status == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_them(name: str) -> None:
    help_text = " ".join(Command(name, "--help").output.split())
    assert "-log_dir, -logtostderr, -alsologtostderr, -minloglevel, -stderrthreshold, -v," in help_text
    assert "--log_dir" not in help_text


def test_before_the_command() -> None:
    assert not Command("-minloglevel=3", *TRAIN).log


def test_nothing_stays_for_the_next_command() -> None:
    Command(*TRAIN, "-minloglevel=3")
    log.set_level("I")
    assert log.enabled()
    assert Command(*TRAIN).log


def test_lines_that_nobody_gets_are_not_made() -> None:
    log.set_level("I")
    log.set_routes(log.Routes(stderr=2))
    assert not log.enabled("I")
    log.set_routes(log.Routes(stderr=2, files=[(1, print)]))
    assert (log.enabled("I"), log.enabled("W")) == (False, True)
    log.set_routes(None)


# -- links by the names of tools ----------------------------------------------------------------------------

SCRIPT = f"#!{sys.executable}\nimport sys\nfrom pycaffe_lite_cli import main\nsys.exit(main())\n"


@pytest.mark.parametrize(
    ("name", "args", "usage"),
    [
        ("caffe", ["train"], "train [OPTIONS]"),
        ("pycaffe-lite", ["train"], "train [OPTIONS]"),
        ("train", ["time"], "time [OPTIONS]"),
        ("convert_imageset", [], "convert-imageset [OPTIONS] ROOTFOLDER LISTFILE DBNAME"),
        ("convert_mnist_data", [], "convert-mnist [OPTIONS]"),
        ("convert_cifar_data", [], "convert-cifar [OPTIONS]"),
        ("extract_features", [], "extract-features [OPTIONS]"),
        ("compute_image_mean", ["-backend", "lmdb"], "compute-image-mean [OPTIONS]"),
        ("upgrade_net_proto_text", [], "upgrade-net [OPTIONS]"),
        ("upgrade_net_proto_binary", [], "upgrade-net [OPTIONS]"),
        ("upgrade_solver_proto_text", [], "upgrade-solver [OPTIONS]"),
    ],
)
def test_a_link_runs_the_command_of_its_name(here: Path, name: str, args: list[str], usage: str) -> None:
    (here / "script").write_text(SCRIPT)
    (here / "script").chmod(0o755)
    (here / name).symlink_to("script")
    done = subprocess.run([f"./{name}", *args], cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert usage in done.stderr.splitlines()[0]


def test_a_link_is_given_its_arguments(here: Path) -> None:
    (here / "script").write_text(SCRIPT)
    (here / "script").chmod(0o755)
    (here / "upgrade_net_proto_text").symlink_to("script")
    command = ["./upgrade_net_proto_text", "net.prototxt", "new.prototxt"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    assert HEAD.match(done.stderr)
    assert 'name: "tiny"' in (here / "new.prototxt").read_text()
