"""Parts for tests of engines, in a module that other processes can import."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from occflow_ros.errors import DataError


@dataclass(frozen=True)
class Square:
    """Leaves a file with the square of its number; may kill its process, wait, or raise."""

    folder: Path
    number: int
    kills: int = 0
    """So many times its process dies before it is done."""
    raises: bool = False

    def __str__(self):
        return f"square of {self.number}"

    def __call__(self):
        tries = self.folder / f"tries-{self.number}"
        begun = int(tries.read_text()) if tries.exists() else 0
        tries.write_text(str(begun + 1))
        if begun < self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.raises:
            raise DataError(f"{self.number}: no square")
        (self.folder / f"{self.number}").write_text(str(self.number**2))
        return self.number**2


@dataclass(frozen=True)
class Sleep:
    """Says that it has begun, and would take a minute."""

    folder: Path

    def __call__(self):
        (self.folder / "begun").write_text(str(os.getpid()))
        time.sleep(60)


@dataclass(frozen=True)
class FailOnceBegun:
    """Raises as soon as another part has begun."""

    folder: Path

    def __call__(self):
        while not (self.folder / "begun").exists():
            time.sleep(0.02)
        raise DataError("no more")


class StrangeError(Exception):
    """Cannot be made again from what pickle keeps."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@dataclass(frozen=True)
class Answer:
    """Returns or raises what pickle does not take."""

    raises: bool

    def __call__(self):
        if self.raises:
            raise StrangeError("this", "that")
        return lambda: None


def threads():
    import torch

    return torch.get_num_threads()
