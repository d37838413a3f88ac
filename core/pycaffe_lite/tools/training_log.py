"""What the log of a training run tells: tables of its train and test outputs over the iterations.

Logs of Caffe of any age and of its forks are read, and ours: heads of glog with and without the year, or none; lines
`Iteration N` with whatever stands between the number and `loss =`; further fields behind the rate. A run that was
resumed in the same log goes on where its snapshot was: what it does again replaces what it had done before.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_NUMBER = r"[-+]?(?:nan|inf|[\d.]+(?:e[-+]?\d+)?)"
_HEAD = re.compile(r"[IWEF](\d{4})?(\d\d)(\d\d) (\d\d):(\d\d):(\d\d(?:\.\d+)?) +\d+ [\w.-]+:\d+\] ?")
_OUTPUT = re.compile(rf"(Train|Test) net output #\d+: (.+?) = ({_NUMBER})(?![\w.])", re.IGNORECASE)
_SCORE = re.compile(rf"Test score #(\d+): ({_NUMBER})", re.IGNORECASE)  # of 2013
_ITERATION = re.compile(r"(?<!Status: )Iteration (\d+)\b(.*)")
_TESTING = re.compile(r"^, Testing net(?: \(#(\d+)\))?")
_FIELD = re.compile(rf"(?:^|[,;] *)([A-Za-z_]\w*) = ({_NUMBER})(?![\w.])", re.IGNORECASE)
_TEST_LOSS = re.compile(rf"Test loss: ({_NUMBER})", re.IGNORECASE)
_RESTORING = re.compile(r"(?:Resuming from |Restoring previous solver status)")
_LONGEST = 4096
_ENDS = ("Optimization Done.", "Optimization stopped early.")

ITERATION, SECONDS, RATE = "NumIters", "Seconds", "LearningRate"  # as parse_log.py has them
SMOOTHED, TEST_LOSS = "SmoothedLoss", "TestLoss"


@dataclass
class Row:
    """A displayed iteration, or a test.

    Attributes:
        iteration: how many updates had been done.
        seconds: since the run began; None if the log has no times.
        rate: the learning rate of the iteration, or the last that was shown before; None if none was.
        values: each output by its name, in the order of the log; several of one name are `name[0]`, `name[1]`, ….
            The loss of the line `Iteration N, loss = …` is SmoothedLoss, fields of forks keep their names.
    """

    iteration: int
    seconds: float | None = None
    rate: float | None = None
    values: dict[str, float] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def add(self, name: str, value: float) -> None:
        """Takes the value of an output, which may be one of several of that name."""
        if name in self.values:  # so far it was alone
            self.values = {f"{name}[0]" if key == name else key: value for key, value in self.values.items()}
        count = self._counts[name] = self._counts.get(name, 0) + 1
        self.values[name if count == 1 else f"{name}[{count - 1}]"] = value


@dataclass
class Run:
    """A training run.

    Attributes:
        name: of the net; empty if the log does not begin with the run.
        train: a row for each displayed iteration.
        tests: for each test net, by its number, a row for each test.
        ended: whether the log shows its end.
    """

    name: str = ""
    train: list[Row] = field(default_factory=list)
    tests: dict[int, list[Row]] = field(default_factory=dict)
    ended: bool = False

    def tables(self) -> Iterator[list[Row]]:
        """The table of the train net and those of the test nets."""
        yield self.train
        yield from self.tests.values()

    def forget_from(self, iteration: int) -> None:
        """Drops the rows that a run from a snapshot does again."""
        for rows in self.tables():
            rows[:] = [row for row in rows if row.iteration < iteration]

    @property
    def seconds(self) -> float:
        """When its last row was written."""
        return max((row.seconds for rows in self.tables() for row in rows if row.seconds is not None), default=0.0)


def read_log(lines: Iterable[str]) -> list[Run]:
    """The runs in a log, in order; those without a row are left out."""
    reader = LogReader()
    for line in lines:
        reader.feed(line)
    return reader.runs


class LogReader:
    """Reads a log line by line, as it is written."""

    def __init__(self) -> None:
        self._runs = [Run()]
        self._start: datetime.datetime | None = None
        self._time: datetime.datetime | None = None
        self._offset = 0.0
        self._resumed = False
        self._restarts = False
        self._iteration: int | None = None
        self._test = 0
        self._row: dict[str, Row] = {}

    @property
    def runs(self) -> list[Run]:
        """The runs that have rows; every row has a rate if its run shows any."""
        runs = [run for run in self._runs if any(run.tables())]
        for run in runs:
            _fill_rates(run)
            for rows in run.tables():
                _name_alike(rows)
        return runs

    @property
    def ended(self) -> bool:
        """Whether the last run is over."""
        return self._runs[-1].ended

    def finish(self) -> None:
        """Says that no line will come any more, as if the run had ended."""
        self._runs[-1].ended = True

    def feed(self, line: str) -> None:
        """Takes the next line; of a very long one, which is none of a log, its beginning."""
        line = line[:_LONGEST]
        head = _HEAD.search(line)
        if head:
            self._time = self._time_of(head)
            if self._start is None:
                self._start = self._time
        message = line[head.end() :] if head else line
        if message.startswith("Solving "):
            self._begin(message[len("Solving ") :].strip())
        elif _RESTORING.match(message):
            self._resumed = True
            if len(self._runs) > 1 and not any(self._runs[-1].tables()):  # older ones say it behind "Solving"
                self._begin(self._runs.pop().name)
        elif message.rstrip() in _ENDS:
            self._runs[-1].ended = True
        else:
            self._take(message)

    def _time_of(self, head: re.Match[str]) -> datetime.datetime | None:
        year, *rest, seconds = head.groups()
        month, day, hour, minute = map(int, rest)
        before = self._time
        number = int(year) if year else before.year if before else 2000  # a year with a 29th of February
        try:
            time = datetime.datetime(number, month, day, hour, minute) + datetime.timedelta(seconds=float(seconds))
            if not year and before and before - time > datetime.timedelta(days=180):
                time = time.replace(year=number + 1)
        except ValueError:
            return before
        return time

    def _begin(self, name: str) -> None:
        """A run begins, or goes on from a snapshot."""
        last = self._runs[-1]
        self._restarts = self._resumed and last.name == name and any(last.tables())
        if not self._restarts:
            self._runs.append(Run(name))
            self._offset = 0.0
        last.ended = self._resumed = False
        self._start, self._iteration, self._row = self._time, None, {}

    def _take(self, message: str) -> None:
        found = _ITERATION.search(message)
        if found:
            self._take_iteration(int(found[1]), found[2])
        elif self._iteration is None:
            return
        elif output := _OUTPUT.search(message):
            self._row_of("train" if output[1].lower() == "train" else "test").add(output[2], _float(output[3]))
        elif score := _SCORE.search(message):
            self._row_of("test").add(f"score{score[1]}", _float(score[2]))
        elif loss := _TEST_LOSS.search(message):
            self._row_of("test").values[TEST_LOSS] = _float(loss[1])

    def _take_iteration(self, iteration: int, rest: str) -> None:
        if self._restarts:
            run = self._runs[-1]
            run.forget_from(iteration)
            self._offset, self._restarts = run.seconds, False
        if iteration != self._iteration:
            self._iteration, self._row = iteration, {}
        testing = _TESTING.match(rest)
        if testing:
            self._test = int(testing[1] or 0)
            self._row.pop("test", None)
            return
        fields = {name: _float(value) for name, value in _FIELD.findall(rest)}
        loss, rate = fields.pop("loss", None), fields.pop("lr", None)
        if loss is None and rate is None:
            return
        row = self._row_of("train")
        if loss is not None:
            row.values[SMOOTHED] = loss
        if rate is not None:
            row.rate = rate
        row.values.update(fields)

    def _row_of(self, table: str) -> Row:
        """The row of the present iteration, in the table of the train net or of the test net that is being tested."""
        if table not in self._row:
            assert self._iteration is not None
            run, row = self._runs[-1], Row(self._iteration, self._seconds())
            (run.train if table == "train" else run.tests.setdefault(self._test, [])).append(row)
            self._row[table] = row
        return self._row[table]

    def _seconds(self) -> float | None:
        if self._time is None or self._start is None:
            return None
        return self._offset + (self._time - self._start).total_seconds()


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # such as 1.2.3, from a damaged line
        return float("nan")


def _fill_rates(run: Run) -> None:
    """Gives rows without a rate that of their iteration, else the last one before, else the first one after."""
    shown = [(row.iteration, row.rate) for row in run.train if row.rate is not None]
    for rows in run.tables():
        position, rate = 0, shown[0][1] if shown else None
        for row in rows:
            while position < len(shown) and shown[position][0] <= row.iteration:
                rate = shown[position][1]
                position += 1
            if row.rate is None:
                row.rate = rate


def _name_alike(rows: Iterable[Row]) -> None:
    """In a row that breaks off after the first of several outputs of one name it has its number, too."""
    several = {name.removesuffix("[1]") for row in rows for name in row.values if name.endswith("[1]")}
    for row in rows:
        if several & row.values.keys():
            row.values = {f"{name}[0]" if name in several else name: value for name, value in row.values.items()}


def columns(rows: Iterable[Row]) -> list[str]:
    """The names of a table's columns: parse_log.py's three, the outputs, then what else there is."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    last = [name for name in (SMOOTHED, TEST_LOSS) if name in names]
    return [ITERATION, SECONDS, RATE, *(name for name in names if name not in last), *last]


def cell(row: Row, column: str) -> float | None:
    """What a row has in a column; None if nothing."""
    if column == ITERATION:
        return row.iteration
    if column == SECONDS:
        return row.seconds
    if column == RATE:
        return row.rate
    return row.values.get(column)
