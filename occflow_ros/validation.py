"""Strict pydantic models, and readable errors from pydantic's."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class StrictModel(BaseModel):
    """Frozen; unknown keys and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def explain(error: ValidationError) -> str:
    """Each problem as `key.of.the.value: what was expected, what came`, joined by semicolons."""
    return "; ".join(_explain(item) for item in error.errors())


def _explain(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    return f"{where}: {_problem(item)}" if where else _problem(item)


def _problem(item: Any) -> str:
    match item["type"]:
        case "extra_forbidden":
            return "unknown key"
        case "missing":
            return "missing key"
        case "value_error":
            return str(item["ctx"]["error"])
        case _:
            return f"{item['msg']}, got {item['input']!r:.80}"
