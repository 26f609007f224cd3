"""Counts and sums that add up over frames to the same numbers, however the frames were split.

Whole numbers add up exactly by themselves. Sums of errors are no whole numbers, and their float
sums depend on the order; `ExactSum` keeps what each addition would round away, so the sum over any
split of the frames, in any order, in any number of processes, is the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Accumulator:
    """Base of what adds up over frames.

    The fields of a subclass are whole numbers, accumulators, tuples of these, or strings, which say
    what was counted and have to be equal in both terms.
    """

    def __add__(self, other: Self) -> Self:
        """Field by field.

        Raises:
            ValueError: where strings or lengths of tuples differ.
        """
        if type(other) is not type(self):
            return NotImplemented
        build: Any = type(self)
        names = [field.name for field in fields(self)]
        return build(*(_plus(name, getattr(self, name), getattr(other, name)) for name in names))

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them: numbers, strings, lists and dictionaries."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` gave, after JSON or not; nothing is lost.

        Raises:
            ValueError: where keys, types or lengths are not those of the fields.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or set(values) != set(names):
            got = sorted(values) if isinstance(values, Mapping) else values
            raise ValueError(f"{cls.__name__}: expected the keys {sorted(names)}, got {got}")
        build: Any = cls
        types = get_type_hints(cls)
        return build(*(_parsed(name, types[name], values[name]) for name in names))


@dataclass(frozen=True, slots=True)
class ExactSum(Accumulator):
    """A sum of floats without rounding.

    Args:
        parts: each is the float nearest to what the ones before it leave of the exact sum, and the
            last one leaves nothing. Equal sums so have equal parts.

    Raises:
        ValueError: where a part is not finite.
    """

    parts: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.parts)):
            raise ValueError(f"expected finite numbers to sum up, got {self.parts}")

    @classmethod
    def of(cls, value: float) -> ExactSum:
        """The sum of one number."""
        return cls((float(value),) if value else ())

    def __add__(self, other: Self) -> Self:
        values, parts = (*self.parts, *other.parts), list[float]()
        while part := math.fsum((*values, *(-part for part in parts))):
            parts.append(part)
        return type(self)(tuple(parts))

    def __float__(self) -> float:
        """The float nearest to the exact sum."""
        return self.parts[0] if self.parts else 0.0


@dataclass(frozen=True, slots=True)
class ImageMean(Accumulator):
    """Mean over images of their own means.

    Args:
        images: how many there were.
        total: sum of their means.
    """

    images: int = 0
    total: ExactSum = ExactSum()

    @classmethod
    def of(cls, value: float) -> ImageMean:
        """The mean of one image; NaN: it has none and does not count."""
        return cls() if math.isnan(value) else cls(1, ExactSum.of(value))

    @property
    def value(self) -> float:
        """The mean, NaN where there is no image."""
        return float(self.total) / self.images if self.images else math.nan


def mean_of_known(values: tuple[float, ...]) -> float:
    """Mean of those that are not NaN, NaN where all are."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def share(part: int, whole: int) -> float:
    """Part of a whole, NaN of nothing."""
    return part / whole if whole else math.nan


def _plus(name: str, first: Any, second: Any) -> Any:
    if isinstance(first, str):
        if first != second:
            raise ValueError(f"{name}: expected {first}, got {second}")
        return first
    if isinstance(first, tuple):
        if len(first) != len(second):
            raise ValueError(f"{name}: expected {len(first)} values, got {len(second)}")
        return tuple(_plus(name, one, other) for one, other in zip(first, second))
    return first + second


def _plain(value: Any) -> Any:
    if isinstance(value, Accumulator):
        return value.to_dict()
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _parsed(name: str, kind: Any, value: Any) -> Any:
    """A value of a field from its plain form.

    Args:
        name: of the field.
        kind: its annotation.
        value: as `_plain` gave it.
    """
    if get_origin(kind) is tuple:
        return _parsed_tuple(name, get_args(kind), value)
    if isinstance(kind, type) and issubclass(kind, Accumulator):
        return kind.from_dict(value)
    wanted = kind if isinstance(kind, type) else str
    if type(value) is not wanted:
        raise ValueError(f"{name}: expected {wanted.__name__}, got {value!r}")
    return value


def _parsed_tuple(name: str, kinds: tuple[Any, ...], values: Any) -> tuple[Any, ...]:
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"{name}: expected a list, got {values!r}")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(values)
    if len(values) != len(kinds):
        raise ValueError(f"{name}: expected {len(kinds)} values, got {len(values)}")
    return tuple(_parsed(name, kind, value) for kind, value in zip(kinds, values))
