"""lr-plot: arguments to charts, numbers and files, or to a sentence."""

from __future__ import annotations

import csv
import io
import json
import sys

import pytest

import pycaffe_lite_cli as cli
from pycaffe_lite.proto.read import read_solver
from pycaffe_lite.solvers import rates
from pycaffe_lite_cli.lr_plot import curves as lr_curves
from pycaffe_lite_cli.lr_plot import figure as lr_figure
from pycaffe_lite_cli.lr_plot.chart import stdout_style
from rigs import GOLDEN, ROOT

CASES = json.loads((GOLDEN / "solvers/lr_policies.json").read_text())["cases"]
CONFIGS = sorted((ROOT / "configs").glob("*/*_solver.prototxt"))


def solver_text(**fields) -> str:
    lines = []
    for name, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            lines.append(f"{name}: {json.dumps(item)}")
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def terminal_size(monkeypatch):
    """The same terminal for every test, whatever the tests themselves run in."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with solver files good and bad."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "step": solver_text(base_lr=0.01, lr_policy="step", gamma=0.5, stepsize=2500, max_iter=10000),
        "multi": solver_text(base_lr=0.01, lr_policy="multistep", gamma=0.1, stepvalue=[50, 80], max_iter=100),
        "endless": solver_text(base_lr=0.01, lr_policy="exp", gamma=0.99),
        "zero": solver_text(base_lr=0, lr_policy="fixed", max_iter=10),
        "polka": solver_text(base_lr=0.01, lr_policy="polka", max_iter=10),
        "sizeless": solver_text(base_lr=0.01, lr_policy="step", max_iter=10),
        "typo": solver_text(base_rl=0.01),
        "empty": "",
        "dense": solver_text(base_lr=1, lr_policy="step", gamma=1, stepsize=1, max_iter=10_000_000),
        "_$x$\\foo": solver_text(base_lr=0.5, lr_policy="fixed", max_iter=10),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.prototxt").write_text(text)
    (tmp_path / "binary.prototxt").write_bytes(bytes(range(256)))
    return tmp_path


def run(runner, *args: str) -> str:
    result = runner.invoke(cli.main, ["lr-plot", *args])
    assert result.exit_code == 0, result.output
    return result.output


STEP_CHART = """\
learning rate
 0.01 ┤⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⡆
      │                  ⡇
      │                  ⡇
0.008 ┤                  ⡇
      │                  ⡇
      │                  ⡇
0.006 ┤                  ⡇
      │                  ⣇⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⡀
      │                  ┊                 ⡇
0.004 ┤                  ┊                 ⡇
"""


def test_the_chart_in_the_terminal(runner, folder):
    output = run(runner, "step.prototxt")
    assert output.startswith(STEP_CHART)
    assert output.endswith("  ⠒⠒ step.prototxt: step from 0.01 to 0.00125, a step every 2500\n")
    assert max(map(len, output.splitlines())) == 80


def test_nothing_but_the_chart_is_printed(runner, folder):
    """The solver has neither net nor snapshot_prefix; drawing needs none and mentions none."""
    assert "prefix" not in run(runner, "multi.prototxt")


def test_several_solvers_in_one_chart(runner, folder):
    output = run(runner, "step.prototxt", "-solver=multi.prototxt", "--solver", "zero.prototxt")
    legend = output.splitlines()[-3:]
    assert legend[0].startswith("  A step.prototxt: step ")
    assert legend[1] == "  B multi.prototxt: multistep from 0.01 to 0.0001, steps at 50, 80"
    assert legend[2] == "  C zero.prototxt: fixed at 0"


def test_equal_names_are_told_apart_by_their_folders(runner, folder):
    (folder / "sub").mkdir()
    (folder / "sub/step.prototxt").write_text((folder / "zero.prototxt").read_text())
    output = run(runner, "step.prototxt", "sub/step.prototxt")
    assert "B sub/step.prototxt: fixed at 0" in output


@pytest.mark.parametrize("name", CASES)
def test_csv_has_caffes_rates(runner, tmp_path, name):
    fields = {**CASES[name]["solver"], "max_iter": CASES[name]["solver"]["max_iter"]}
    path = tmp_path / "solver.prototxt"
    path.write_text(solver_text(**fields))
    rows = list(csv.DictReader(io.StringIO(run(runner, str(path), "--format", "csv"))))
    assert [int(row["iteration"]) for row in rows] == list(range(fields["max_iter"]))
    assert {row["solver"] for row in rows} == {str(path)}
    assert [float(row["lr"]) for row in rows[:20]] == pytest.approx(CASES[name]["lr"], rel=5e-7)


def test_csv_numbers_are_short_and_give_the_float32_back(runner, folder):
    rows = list(csv.reader(io.StringIO(run(runner, "step.prototxt", "--format", "csv"))))[1:]
    param = read_solver("step.prototxt").param
    assert rows[0] == ["step.prototxt", "0", "0.01"]
    for _, iteration, text in rows:
        assert rates.float32(float(text)) == rates.rate(param, int(iteration))


def test_json(runner, folder):
    records = json.loads(run(runner, "multi.prototxt", "zero.prototxt", "--format", "json"))
    assert [record["solver"] for record in records] == ["multi.prototxt", "zero.prototxt"]
    assert records[0]["lr_policy"] == "multistep"
    assert records[0]["iteration"] == list(range(100))
    assert records[0]["lr"] == [0.01] * 50 + [0.001] * 30 + [0.0001] * 20
    assert records[1]["lr"] == [0] * 10


def test_json_has_null_for_what_is_no_number(runner):
    args = ["--policy", "poly", "--power", "0.5", "--max-iter", "2", "--until", "4", "--format", "json"]
    assert json.loads(run(runner, *args))[0]["lr"][2:] == [0, None]


@pytest.mark.parametrize(
    ("args", "legend"),
    [
        (["--policy", "fixed"], "fixed at 0.01"),
        (["--policy=inv", "--gamma=.0001", "--power=.75"], "inv from 0.01 to 0.00594626"),
        (["-policy", "exp", "-gamma", ".5", "-base_lr", "-8", "-max_iter", "4"], "exp from -8 to -1"),
        (
            ["--policy=multistep", "--gamma=.1", "--stepvalue=3", "--stepvalue=4", "--base-lr=1"],
            "multistep from 1 to 0.01, steps at 3, 4",
        ),
        (
            ["--policy=step", "--gamma=.1", "--stepsize=3", "--until=7"],
            "step from 0.01 to 0.0001, a step every 3",
        ),
        (
            ["--policy=sigmoid", "--gamma=1", "--stepsize=10", "--until=11"],
            "sigmoid from 4.53979e-07 to 0.005",
        ),
    ],
)
def test_policies_without_a_file(runner, args, legend):
    assert run(runner, *args).splitlines()[-1] == f"  ⠒⠒ {legend}"


def test_a_solver_without_max_iter_can_be_drawn_until(runner, folder):
    assert "exp from 0.01 to 0.00668972" in run(runner, "endless.prototxt", "--until", "41")


@pytest.mark.parametrize(
    ("args", "status", "sentence"),
    [
        ([], 2, "Give a solver file, or --policy"),
        (["step.prototxt", "--policy", "inv"], 2, "not both"),
        (["step.prototxt", "--gamma", "1"], 2, "not both"),
        (["--gamma", "1"], 2, "Give a solver file, or --policy"),
        (["--policy", "polka"], 2, "'polka' is not one of"),
        (["--policy", "step"], 2, 'lr_policy "step" needs stepsize > 0, got 0.'),
        (["--policy", "exp", "--gamma", "-1"], 2, 'lr_policy "exp" needs gamma >= 0, got -1.'),
        (["--policy", "exp", "--gamma", "nan"], 2, "needs a finite gamma, got nan."),
        (["--policy", "fixed", "--base-lr", "1e300"], 2, "needs a finite base_lr, got inf."),
        (["--policy", "poly", "--max-iter", "0"], 2, "0 is not in the range"),
        (["--policy", "fixed", "--until", "9999999999"], 2, "is not in the range"),
        (["--policy", "fixed", "--points", "1"], 2, "is not in the range"),
        (["step.prototxt", "-o", "x.foo"], 2, "ends in .png, .svg, .pdf, .csv, .json, .txt; got x.foo."),
        (["step.prototxt", "-o", "x"], 2, "got x."),
        (["step.prototxt", "-o", "."], 2, "is a directory"),
        (["step.prototxt", "--format", "png"], 2, "'png' is not one of"),
        (["missing.prototxt"], 1, 'There is no file "missing.prototxt"'),
        (["empty.prototxt"], 1, "empty.prototxt is empty"),
        (["binary.prototxt"], 1, "binary.prototxt is a binary file"),
        (["."], 1, "folder"),
        (["typo.prototxt"], 1, 'typo.prototxt:1:1: SolverParameter has no field "base_rl"'),
        (["polka.prototxt"], 1, "polka.prototxt:2: lr_policy must be one of fixed,"),
        (["sizeless.prototxt"], 1, 'sizeless.prototxt: lr_policy "step" needs stepsize > 0, got 0.'),
        (["endless.prototxt"], 1, "endless.prototxt: expected max_iter > 0, got 0; or give --until N."),
        (["step.prototxt", "endless.prototxt"], 1, "endless.prototxt: expected max_iter"),
        (["zero.prototxt", "--log"], 1, "needs a value above 0"),
        (["zero.prototxt", "--log", "-o", "x.png"], 1, "needs a value above 0"),
        (["step.prototxt", "-o", "no/x.csv"], 1, "no/x.csv: No such file or directory."),
        (["step.prototxt", "-o", "no/x.svg"], 1, "no/x.svg: No such file or directory."),
    ],
)
def test_refusals(runner, folder, args, status, sentence):
    result = runner.invoke(cli.main, ["lr-plot", *args])
    assert result.exit_code == status
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert not (folder / "x.png").exists()


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("x.png", b"\x89PNG\r\n"),
        ("x.SVG", b"<?xml"),
        ("x.pdf", b"%PDF"),
        ("x.csv", b"solver,iteration,lr\nstep.prototxt,0,0.01\n"),
        ("x.json", b'[{"solver": "step.prototxt"'),
        ("x.txt", b"learning rate\n 0.01 "),
    ],
)
def test_files(runner, folder, name, start):
    assert run(runner, "step.prototxt", "multi.prototxt", "-o", name) == ""
    assert (folder / name).read_bytes().startswith(start)


def test_format_wins_over_the_extension(runner, folder):
    run(runner, "step.prototxt", "--format=csv", "-o", "x.data")
    assert (folder / "x.data").read_text().startswith("solver,iteration,lr\n")
    assert (folder / "x.data").read_text().endswith("\n")


def test_the_same_curves_give_the_same_picture(runner, folder):
    for name in ("a.svg", "b.svg"):
        run(runner, "step.prototxt", "-o", name)
    assert (folder / "a.svg").read_bytes() == (folder / "b.svg").read_bytes()


def test_a_picture_has_a_line_for_each_solver_and_each_step(folder):
    rates = [lr_curves.read(path, None, 1000) for path in ("multi.prototxt", "zero.prototxt", "_$x$\\foo.prototxt")]
    figure = lr_figure._figure(lr_curves.to_curves(rates), log=False)
    curves_and_guides = figure.axes[0].get_lines()
    assert [list(line.get_xdata()) for line in curves_and_guides if len(line.get_xdata()) == 2] == [
        [50, 50],
        [80, 80],
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "multi.prototxt: multistep from 0.01 to 0.0001, steps at 50, 80",
        "zero.prototxt: fixed at 0",
        r" _\$x\$\foo.prototxt: fixed at 0.5",
    ]


def test_odd_file_names_can_be_drawn(runner, folder):
    run(runner, "_$x$\\foo.prototxt", "step.prototxt", "--log", "-o", "x.svg")


def test_without_matplotlib_the_extra_is_named(runner, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = runner.invoke(cli.main, ["lr-plot", "step.prototxt", "-o", "x.png"])
    assert result.exit_code == 1
    assert result.output.endswith("need an extra package: pip install 'pycaffe-lite[plot]'.\n")


def test_ten_million_iterations_with_a_step_in_each(runner, folder):
    rates = lr_curves.read("dense.prototxt", None, 1000)
    assert (rates.iterations[0], rates.iterations[-1], len(rates.iterations)) == (0, 9_999_999, 1000)
    assert "a step every 1" in run(runner, "dense.prototxt")


def test_points(runner, folder):
    lines = run(runner, "step.prototxt", "--points", "3", "--format", "csv").splitlines()
    iterations = [int(line.split(",")[1]) for line in lines[1:]]
    assert iterations == [0, 2499, 2500, 4999, 5000, 7499, 7500, 9999]


# -- what the terminal can show -----------------------------------------------------------------------------


def test_the_chart_fits_the_terminal(runner, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, run(runner, "step.prototxt").splitlines())) == 60


class Stream:
    def __init__(self, encoding: str | None, tty: bool = True) -> None:
        self.encoding, self.tty = encoding, tty

    def isatty(self) -> bool:
        return self.tty


@pytest.mark.parametrize(
    ("encoding", "unicode"),
    [("utf-8", True), ("ascii", False), ("latin-1", False), (None, False), ("bogus", False)],
)
def test_ascii_where_the_encoding_has_no_braille(monkeypatch, encoding, unicode):
    monkeypatch.setattr("sys.stdout", Stream(encoding))
    assert stdout_style(log=False).unicode is unicode


@pytest.mark.parametrize(
    ("tty", "variables", "color"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_color_only_in_a_terminal_that_wants_it(monkeypatch, tty, variables, color):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", Stream("utf-8", tty))
    assert stdout_style(log=False).color is color


# -- the solvers that ship ----------------------------------------------------------------------------------


def test_a_solver_ships_for_each_policy():
    shipped = {read_solver(str(path)).param.lr_policy for path in CONFIGS if path.parent.name == "lenet"}
    assert shipped >= set(rates.POLICIES) - {"cosine", "sgdr", "triangular", "plateau"} - {"inv"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_solvers_that_ship_can_be_drawn(runner, path):
    assert path.name in run(runner, str(path))
