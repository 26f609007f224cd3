"""Strict reading of text files and of the JSON and YAML values in them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from occflow_ros.errors import DataError
from occflow_ros.validation import explain

T = TypeVar("T")

Size = Annotated[int, Field(ge=1)]
Length = Annotated[float, Field(gt=0)]


def read_text(path: Path) -> str:
    """Content of a text file; raises DataError where it is missing or no text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a text file: {error}") from None


def parse_json(text: str, where: str) -> Any:
    """Value of a JSON text; raises DataError naming `where`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: expected JSON: {error}") from None


def parse(kind: type[T], values: Any, where: str) -> T:
    """Plain values to a record; raises DataError naming `where` and each wrong key."""
    try:
        adapter: TypeAdapter[T] = _adapter(kind)  # type: ignore[arg-type]
        return adapter.validate_python(values)
    except ValidationError as error:
        raise DataError(f"{where}: {explain(error)}") from None


@cache  # tables have a million rows of one kind, and making an adapter takes longer than a row
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
