"""What each set of an evaluation gave, on disk as soon as it is known.

`sets.jsonl` has a first line with what is evaluated, and one line for each set after it. A run that
was stopped goes on with the sets that are missing; a line that was half written is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from occflow_ros.errors import DataError, OutputError
from occflow_ros.output import write_text

FILE = "sets.jsonl"


@dataclass(frozen=True, slots=True)
class Record:
    """One set.

    Args:
        drive: its name.
        index: of the set in the drive.
        stamp_ns: reference time of the set.
        scores: `Accumulator.to_dict` of what it gave, None where there is no prediction.
        numbers: the same as plain numbers.
    """

    drive: str
    index: int
    stamp_ns: int
    scores: Mapping[str, Any] | None
    numbers: Mapping[str, float]

    @property
    def key(self) -> tuple[str, int]:
        """What tells sets apart."""
        return self.drive, self.index


class Records:
    """The file of one evaluation, open for more.

    Args:
        folder: of the evaluation, made where it is missing.
        subject: what is evaluated, as JSON has it; has to be that of the file, if there is one.

    Raises:
        OutputError: where the folder holds another evaluation or cannot be written.
        DataError: where the file is damaged.
    """

    def __init__(self, folder: Path, subject: Mapping[str, Any]) -> None:
        self._path, self._subject = folder / FILE, subject
        self._records = {record.key: record for record in self._read(subject)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from None

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._records

    def __iter__(self) -> Iterator[Record]:
        """By drive and set, in whatever order they came."""
        return iter([self._records[key] for key in sorted(self._records)])

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: Record) -> None:
        """Keep one more, in the file if it has scores: a prediction may still come.

        Raises:
            OutputError: where the file cannot be written.
        """
        self._records[record.key] = record
        if record.scores is None:
            return
        try:
            if not self._path.stat().st_size:
                self._append({"subject": self._subject})
            numbers = {name: or_none(value) for name, value in record.numbers.items()}
            self._append(asdict(record) | {"numbers": numbers})
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from None

    def _append(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def _read(self, subject: Mapping[str, Any]) -> Iterator[Record]:
        """What the file holds; a last line without its end is cut off."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self._path}: cannot be read: {error}") from None
        complete = text[: text.rfind("\n") + 1]
        if complete != text:
            write_text(self._path, complete)
        for number, line in enumerate(complete.splitlines(), start=1):
            try:
                values = json.loads(line)
                if number > 1:
                    numbers = {name: _or_nan(value) for name, value in values["numbers"].items()}
                    yield Record(**values | {"numbers": numbers})
                    continue
                found = dict(values["subject"])
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(f"{self._path}: line {number} is damaged: {error}") from None
            _check_subject(self._path, found, subject)


def having(records: Iterable[Record], name: str) -> list[Record]:
    """The records that have this number."""
    return [one for one in records if math.isfinite(one.numbers.get(name, math.nan))]


def or_none(value: float) -> float | None:
    """As JSON has it, which has no NaN."""
    return None if math.isnan(value) else value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _check_subject(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    expected = json.loads(json.dumps(expected))
    differing = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
    if differing:
        what = "; ".join(
            f"{key}: {found.get(key)!r} there, {expected.get(key)!r} here" for key in differing
        )
        raise OutputError(
            f"{path}: holds another evaluation ({what}); take another --out, or remove it"
        )
