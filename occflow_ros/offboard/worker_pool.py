"""Parts done by several processes of this machine; one that dies is replaced."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch

from occflow_ros.errors import PartError
from occflow_ros.offboard.engines import TRIES, threads_each

ResultT = TypeVar("ResultT")

_STOP_S = 10.0
_CONTEXT = multiprocessing.get_context("spawn")  # threads of torch and CUDA do not survive a fork


class WorkerPool(AbstractContextManager["WorkerPool"]):
    """An `Engine` of several processes, which are started when there is work.

    Args:
        workers: processes; they share the threads that torch has here.
    """

    def __init__(self, workers: int) -> None:
        self._workers = [_Worker(threads_each(workers)) for _ in range(workers)]

    def __exit__(self, *_: object) -> None:
        _stop(self._workers)

    def run(self, parts: Sequence[Callable[[], ResultT]]) -> Iterator[tuple[int, ResultT]]:
        """As `Engine`."""
        left, begun = deque(range(len(parts))), [0] * len(parts)
        try:
            while left or self._busy():
                for worker in self._idle()[: len(left)]:
                    begun[place := left.popleft()] += 1
                    worker.begin(place, parts[place])
                for worker in self._ready():
                    place, answer = worker.finish()
                    if answer is not None:
                        yield place, _result(answer)
                    elif begun[place] < TRIES:
                        left.appendleft(place)
                    else:
                        raise PartError(f"{parts[place]}: its process died {TRIES} times")
        finally:
            _stop(self._busy())

    def _idle(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.place is None]

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.place is not None]

    def _ready(self) -> list[_Worker]:
        of = {worker.connection: worker for worker in self._busy()}
        return [of[connection] for connection in wait(list(of))]  # type: ignore[index, arg-type]


class _Worker:
    """A process that does one part at a time, started with the first."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._process: Any = None
        self.connection: Connection | None = None
        self.place: int | None = None
        """Of the part that it is doing."""

    def begin(self, place: int, part: Callable[[], Any]) -> None:
        message = pickle.dumps(part)  # an error here is the caller's, not the process's
        self.place = place
        if self.connection is None:
            self._start()
        assert self.connection is not None
        with suppress(OSError):  # it is dead, as `finish` will find
            self.connection.send_bytes(message)

    def finish(self) -> tuple[int, bytes | None]:
        """Place of the part and the answer, None where the process has died."""
        assert self.connection is not None and self.place is not None
        place, self.place = self.place, None
        try:
            return place, self.connection.recv_bytes()
        except (EOFError, OSError):
            self.stop()
            return place, None

    def ask_to_stop(self) -> None:
        """An idle process ends where nobody is at the other end, a busy one at a signal."""
        if self._process is None or self.connection is None:
            return
        if self.place is not None:
            self._process.terminate()
        self.connection.close()

    def stop(self) -> None:
        """Wait until the process has ended, and end it where that takes long."""
        self.ask_to_stop()
        if self._process is not None:
            self._process.join(_STOP_S)
            self._process.kill()
            self._process.join()
        self._process = self.connection = self.place = None

    def _start(self) -> None:
        self.connection, other_end = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(
            target=_serve, args=(other_end, self._threads), daemon=True
        )
        self._process.start()
        other_end.close()  # so that its death is seen at this end


def _stop(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.ask_to_stop()
    for worker in workers:
        worker.stop()


def _result(answer: bytes) -> Any:
    result, error = pickle.loads(answer)
    if error is not None:
        raise error
    return result


def _serve(connection: Connection, threads: int) -> None:
    """Do parts until the other process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the other process too
    signal.signal(signal.SIGTERM, _end)
    torch.set_num_threads(threads)
    with suppress(EOFError, ConnectionError):
        while True:
            connection.send_bytes(_answer(connection.recv_bytes()))


def _end(*_: object) -> None:
    """Leave by way of every `finally`, which removes what is half-written."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _answer(message: bytes) -> bytes:
    """What a part returned, or else what it raised."""
    try:
        return pickle.dumps((pickle.loads(message)(), None))
    except Exception as error:
        return pickle.dumps((None, _portable(error)))


def _portable(error: Exception) -> Exception:
    """An error that reaches another process, with where it was raised as a note."""
    error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
