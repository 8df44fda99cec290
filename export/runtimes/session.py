"""One interpreter that many threads and processes may use: one at a time, and each process its own."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence

import numpy as np

from ..tflite import flatbuffer
from ..tflite.float_ends import fed, fetched
from . import implementations as runtimes


class Session:
    """A file on LiteRT's XNNPACK kernels, one thread.

    An interpreter keeps a call's values between feeding and fetching, so that two threads would read each other's.
    Pickled it is its file; forked it is opened again, since another thread may have been in the middle of a call.

    tflite_bytes: the file.
    """

    def __init__(self, tflite_bytes: bytes):
        self.tflite_bytes = tflite_bytes
        self._open()

    def __reduce__(self) -> tuple[type[Session], tuple[bytes]]:
        return Session, (self.tflite_bytes,)

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One call: int8, an array with its batch axis for each input of the file, to such an array for each output."""
        with self.turn(), runtimes.failures("LiteRT"):
            runtimes.set_inputs(self._interpreter, fed(self._program, inputs))
            self._interpreter.invoke()
            return fetched(self._program, map(self._interpreter.get_tensor, self._fetch))

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Other threads wait until it is left; the thread that holds it may take it again."""
        if self._process != os.getpid():
            self._open()
        with self._lock:
            yield

    def _open(self) -> None:
        self._process, self._lock = os.getpid(), threading.RLock()
        self._program = flatbuffer.read(self.tflite_bytes)
        self._interpreter = runtimes.litert(self.tflite_bytes)
        self._fetch = [detail["index"] for detail in self._interpreter.get_output_details()]
