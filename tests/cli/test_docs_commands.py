"""The commands of README and of docs/ run as they stand there, and give what is said."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rigs import ROOT
from rigs.cli_rig import Command
from rigs.clone import fill_clone, write_images
from rigs.finders import write_finders

DOCS = sorted((ROOT / "docs").glob("*.md"))
README, TUTORIAL = ROOT / "README.md", ROOT / "docs" / "tutorial.md"
PAGES = [README, *DOCS]
STARTS = ("pycaffe-lite ", "sed ", "printf ", "PYTHONPATH=", "caffe ")
SHOWN = ("train --solver solver.prototxt",)
"""What shows an error, of a file that README does not make."""
SHORTER = {
    "train --solver configs/lenet/lenet_solver.prototxt": ("--iterations=2", "--set=test_iter=1"),
    "test --model": ("--iterations=1",),
    "time --model": ("--iterations=1",),
    "train --solver configs/lenet/parity_solver.prototxt": ("--iterations=5",),
}
"""The rule for what takes minutes: it runs as it stands, with these options besides."""
EXTRAS = {"export-onnx": "onnx", "convert-mnist": "lmdb", "convert-imageset": "lmdb", "--tensorboard": "tensorboardX"}
"""What needs a package that may be missing."""


def blocks(page: Path, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name in languages]


def commands(page: Path) -> list[str]:
    """The commands of plain blocks, and of the jobs in yaml."""
    plain = [line for text in blocks(page, "") for line in text.splitlines()]
    jobs = [re.sub(r"^ *- (run: )?", "", line) for text in blocks(page, "yaml") for line in text.splitlines()]
    return [line for line in (*plain, *jobs) if line.startswith(STARTS) and not any(each in line for each in SHOWN)]


@pytest.fixture
def clone(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: configs/, data/, LeNet's weights, some images, and the commands by their names."""
    fill_clone(here)
    write_images(here, "train.txt")
    programs = here / "bin"
    programs.mkdir()
    for name in ("pycaffe-lite", "caffe"):
        run = f"import sys; sys.argv[0] = {name!r}; from pycaffe_lite_cli import main; main()"
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -c {shlex.quote(run)} "$@"\n')
        (programs / name).chmod(0o755)
    folders = [str(ROOT / "core"), str(ROOT / "cli"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return here


def run(line: str) -> None:
    """In this process where that can be; a program that takes its place has one of its own."""
    for part, package in EXTRAS.items():
        if part in line:
            pytest.importorskip(package)
    if not line.startswith("pycaffe-lite ") or " python" in line:
        done = subprocess.run(line, shell=True, check=False, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr[-2000:])
        return
    more = [option for part, options in SHORTER.items() if part in line for option in options]
    if "--expect" in line or "--iterations 100 --set" in line:
        more = []
    command = Command(*shlex.split(line)[1:], *more)
    assert command.status == 0, (line, command.output)


NAMES = [page.stem for page in PAGES]
LEAST = {
    "README": 5,
    "tutorial": 7,
    "from-caffe": 4,
    "data": 9,
    "finetune": 7,
    "ci": 7,
    "onnx": 4,
    "pycaffe": 2,
    "detect": 9,
}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_commands_run(page: Path, clone: Path) -> None:
    found = commands(page)
    assert len(found) >= LEAST.get(page.stem, 0)
    if page.stem == "pycaffe":
        (clone / "script.py").write_text("import caffe\n")
    if page.stem == "detect":
        write_finders(clone)
    elsewhere = commands(README) if page != README else []  # what README has, runs once
    for line in dict.fromkeys(found):
        if line in elsewhere:
            continue
        if "parity_solver" in line and not (clone / "configs/lenet/parity_train.npz").exists():
            python(page)
        run(line)


def python(page: Path) -> None:
    """Runs the python of a page."""
    for code in blocks(page, "python"):
        subprocess.run([sys.executable, "-c", code], check=True)


def test_the_model_in_python(clone: Path) -> None:
    pytest.importorskip("onnxruntime")
    run(next(line for line in commands(ROOT / "docs" / "onnx.md") if "export-onnx --model configs" in line))
    (code,) = blocks(ROOT / "docs" / "onnx.md", "python")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "(3, 10)"


def test_what_finetuning_says_of_the_weights(clone: Path) -> None:
    page = ROOT / "docs" / "finetune.md"
    run(next(line for line in commands(page) if line.startswith('sed -e \'s/"fc2"')))
    model = "--model=configs/lenet/parity.prototxt"
    said = Command("time", model, "--weights=lenet_iter_10000.caffemodel", "--iterations=1").said
    (shown,) = blocks(page, "text")
    assert shown.rstrip() in "\n".join(said)


def transcripts(page: Path) -> list[tuple[str, list[str], list[str]]]:
    """Of each console block: the heading above it, its commands, and what it shows of the last one's output."""
    found, heading = [], ""
    text = page.read_text(encoding="utf-8")
    for title, block in re.findall(r"^## ([^\n]*)$|^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        heading = title or heading
        if block:
            lines = block.splitlines()
            shown = [line for line in lines if not line.startswith("$ ")]
            found.append((heading, [line[2:] for line in lines if line.startswith("$ ")], shown))
    return found


ERRORS = ROOT / "docs" / "errors.md"


def test_there_are_ten_errors() -> None:
    assert [title[:3] for title, _, _ in transcripts(ERRORS)] == [
        *("1. ", "2. ", "2. ", "3. ", "4. ", "5. ", "6. ", "7. ", "7. ", "8. ", "9. ", "10.")
    ]


@pytest.mark.parametrize(("title", "lines", "shown"), transcripts(ERRORS))
def test_the_errors_are_the_real_ones(title: str, lines: list[str], shown: list[str], clone: Path) -> None:
    *before, last = lines
    for line in before:
        run(line)
    if " python " in last:
        done = subprocess.run(last, shell=True, check=True, capture_output=True, text=True)
        status, said = done.returncode, done.stdout.splitlines()
    else:
        command = Command(*shlex.split(last)[1:])
        status, said = command.status, [*command.output.splitlines(), *command.log]
    patterns = ["(.*)".join(map(re.escape, line.split("…"))) for line in shown]
    if title.startswith("6."):  # where it overflows first is the processor's affair
        patterns = [re.sub(r"Iteration\\ \d+", r"Iteration \\d+", pattern) for pattern in patterns]
        patterns = [pattern.replace(r"first\ nan", r"first (nan|inf)") for pattern in patterns]
    for pattern in patterns:
        assert any(re.fullmatch(pattern, line) for line in said), (pattern, said[-5:])
    assert (status == 0) is not any(line.startswith("Error: ") for line in shown)


def same(ours: str, theirs: str) -> bool:
    """Two words are alike, or numbers that are the same but for the last digits."""
    try:
        return float(ours) == pytest.approx(float(theirs), rel=1e-3)
    except ValueError:
        return ours == theirs or set(ours) | set(theirs) == {"-"}


def test_the_tutorial_shows_what_explain_says(clone: Path) -> None:
    line = next(line for line in commands(TUTORIAL) if line.startswith("pycaffe-lite explain"))
    said = Command(*shlex.split(line)[1:]).output.split()
    (shown,) = blocks(TUTORIAL, "text")
    assert len(said) == len(shown.split()) > 200
    assert [pair for pair in zip(said, shown.split(), strict=True) if not same(*pair)] == []


def test_the_update_by_hand() -> None:
    (code,) = blocks(TUTORIAL, "python")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == re.findall(r"# (\[.*\])$", code, re.MULTILINE)[0]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_the_links_lead_to_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    for target, anchor in re.findall(r"\]\(([^)#:]+)#([^)]*)\)", text):
        titles = re.findall(r"^#+ (.*)$", (page.parent / target).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in [re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles]


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert sorted(re.findall(r"(\w[\w-]*)\.md$", text, re.MULTILINE)) == [page.stem for page in DOCS]
