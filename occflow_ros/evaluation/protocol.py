"""What a protocol is: which sets have a truth, what one set gives, and how the sum is reported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from occflow_ros.data.scene import VoxelScene
from occflow_ros.engine.prediction import Prediction
from occflow_ros.evaluation.subject import Subject
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.metrics.semantic_iou import ClassCounts
from occflow_ros.table import Table, number

S = TypeVar("S", bound=Accumulator)


@dataclass(frozen=True, slots=True)
class Key:
    """The number by which sets are told good from bad.

    Args:
        name: in the protocol's numbers.
        label: in words, with its unit.
        high_is_good: else low is.
    """

    name: str
    label: str
    high_is_good: bool


class Protocol(ABC, Generic[S]):
    """One way to evaluate; it holds no state."""

    name: ClassVar[str]
    """On the command line."""

    key: ClassVar[Key]
    """Ranks sets."""

    @property
    @abstractmethod
    def nothing(self) -> S:
        """Where the sum over sets begins."""

    @abstractmethod
    def compared(self, subject: Subject) -> Sequence[int]:
        """Those of the subject's sets that have what the protocol compares with.

        Raises:
            DataError: where the data cannot have it; says what was expected.
        """

    @abstractmethod
    def score(self, subject: Subject, index: int, prediction: Prediction) -> S:
        """Compare one set.

        Args:
            subject: whose set it is.
            index: of the set in the drive, one of `compared`.
            prediction: of the set.

        Raises:
            DataError: where a truth cannot be read, or the prediction's grid is not the truth's
                where it has to be.
        """

    @abstractmethod
    def numbers(self, total: S) -> dict[str, float]:
        """All numbers by name; NaN where nothing was there to compare."""

    @abstractmethod
    def reasons(self, total: S) -> dict[str, str]:
        """Why numbers are NaN, by name."""

    @abstractmethod
    def tables(self, total: S) -> tuple[Table, ...]:
        """For readers, beside trivial answers and published rows."""

    def comparison(self, rows: Sequence[tuple[str, S]]) -> tuple[Table, ...]:
        """Several predictions of the same sets beside each other: all numbers of each, by name."""
        by_row = [self.numbers(total) for _, total in rows]
        body = tuple(
            (name, *(number(numbers[name], 4) for numbers in by_row)) for name in by_row[0]
        )
        header = ("number", *(label for label, _ in rows))
        return (Table("Side by side", header, body, numbers=len(rows)),)

    def classes(self, total: S) -> ClassCounts | None:
        """The classes behind the mIoU, to hold against trivial answers; None without any."""
        return None

    def reference(self, subject: Subject, index: int, prediction: Prediction) -> VoxelScene | None:
        """The truth of a set as voxels for pictures, None where it is none; raises DataError."""
        return None
