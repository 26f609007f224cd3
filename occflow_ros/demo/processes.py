"""Child processes that end when they are told to, and say why when they end before that."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from occflow_ros.errors import OccflowError

POLL_S = 0.05
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here, since nothing may be loaded between fork and exec
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessError(OccflowError):
    """A child process that failed or did not come up in time."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process in a process group of its own.

    Args:
        name: what messages call it.
        process: the handle.
        log: file that holds its output.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(
        cls, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> Child:
        """Start a command with its output in a log file."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        return cls(name, process, log)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def log_text(self) -> str:
        """Everything that it has printed so far."""
        return self.log.read_text(errors="replace")

    def failure(self, what: str, lines: int = 12) -> ProcessError:
        """An error that says what happened and ends with the last lines of the log."""
        tail = "\n".join(f"  | {line}" for line in self.log_text().splitlines()[-lines:])
        return ProcessError(f"{self.name} {what}; the end of {self.log}:\n{tail}")

    def stop(self, grace_s: float, insist_s: float) -> None:
        """Ask it to end, then insist; afterwards nothing of its process group is left."""
        for number, wait_s in ((signal.SIGINT, grace_s), (signal.SIGTERM, insist_s)):
            if not self.running:
                break
            self._signal(number)
            self._wait(wait_s)
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return

    def _wait(self, timeout_s: float) -> None:
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return


def _end_with_parent() -> None:
    """Have the kernel end this process when the one that started it is killed (Linux)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """Starts children, watches them, and ends them, the last first, however the block is left.

    Ctrl-C, SIGTERM and SIGHUP are noted and raise KeyboardInterrupt at the next `check`, never in
    the middle of a start or of the ending.

    Args:
        grace_s: time that each child has to end by itself after SIGINT.
        insist_s: time that it has after SIGTERM, before it is killed.
    """

    def __init__(self, grace_s: float = 10.0, insist_s: float = 2.0) -> None:
        self._grace_s, self._insist_s = grace_s, insist_s
        self._children: list[Child] = []
        self._interrupted = False
        self._previous: dict[signal.Signals, Callable[..., object] | int | None] = {}

    def __enter__(self) -> Supervisor:
        for number in _ENDING_SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in reversed(self._children):
            child.stop(self._grace_s, self._insist_s)
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def add(self, child: Child) -> Child:
        """Take charge of a child; children are ended in the reverse order."""
        self._children.append(child)
        return child

    def check(self, may_end: Sequence[Child] = ()) -> None:
        """Raise where the user interrupted, or a child has ended that should still run.

        Args:
            may_end: children that may have ended with status 0.

        Raises:
            KeyboardInterrupt: after Ctrl-C.
            ProcessError: names the child and ends with the last lines of its log.
        """
        if self._interrupted:
            raise KeyboardInterrupt
        for child in self._children:
            status = child.process.poll()
            if status is not None and not (child in may_end and status == 0):
                raise child.failure(f"ended with status {status}")

    def wait_until(
        self,
        condition: Callable[[], bool],
        timeout_s: float,
        what: str,
        may_end: Sequence[Child] = (),
    ) -> None:
        """Check until the condition holds; raises ProcessError with `what` after the time-out."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            self.check(may_end)
            if time.monotonic() > deadline_s:
                raise ProcessError(f"{what}: not within {timeout_s:.0f} s")
            time.sleep(POLL_S)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
