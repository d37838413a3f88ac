"""A file of events, as TensorBoard reads it, on a disk that may fail."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any

from pycaffe_lite import log
from pycaffe_lite.errors import FileError, MissingExtra


class EventFile:
    """A new file in a folder that may hold those of earlier runs.

    TensorBoardX's own writer is not used: its thread ends at the first error of the disk, and the queue before it then
    holds the training for ever.

    Args:
        folder: where; it is made if it is not there.

    Attributes:
        path: the file; its name sorts behind those of earlier ones, as TensorBoard reads them in this order.

    Raises:
        MissingExtra: tensorboardX is not installed.
        FileError: the folder cannot be made, or not be written into.
    """

    def __init__(self, folder: str) -> None:
        try:
            from tensorboardX.proto import event_pb2
        except ImportError:
            raise MissingExtra("Files for TensorBoard", "tensorboard") from None
        self._events = event_pb2
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as problem:
            raise FileError(f"--tensorboard {folder}: cannot make this folder: {problem.strerror}.") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise FileError(f"--tensorboard {folder}: expected a folder to write into, got one without permission.")
        self.path = os.path.join(folder, f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}")
        self._waiting = _record(self._events.Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._size = 0
        self._warned = False

    def purge(self, step: int) -> None:
        """Lets TensorBoard forget what earlier files of the folder have of this step and later ones."""
        start = self._events.SessionLog(status=self._events.SessionLog.START)
        self._waiting += _record(self._events.Event(wall_time=time.time(), step=step, session_log=start))

    def write(self, step: int, summary: Iterable[Any]) -> None:
        """Writes values of a step, each a Summary.Value. If the disk does not take them they are lost, and the first
        time it is said; the file stays whole, and goes on when the disk does."""
        event = self._events.Event(wall_time=time.time(), step=step)
        event.summary.value.extend(summary)
        data = self._waiting + _record(event)
        try:
            with open(self.path, "ab") as file:
                file.write(data)
        except OSError as problem:
            self._cut_back(problem)
        else:
            self._size += len(data)
            self._waiting = b""

    def _cut_back(self, problem: OSError) -> None:
        with contextlib.suppress(OSError):
            os.truncate(self.path, self._size)
        if not self._warned:
            self._warned = True
            log.warning(f"Cannot write {self.path}: {problem.strerror or problem}. Training goes on.")


def _record(event: Any) -> bytes:
    """An event between its length and checksums, the form of TensorFlow's record files."""
    from tensorboardX.record_writer import masked_crc32c

    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))
