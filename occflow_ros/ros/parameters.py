"""ROS parameters derived from the configuration types: one default, one description, one check."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterException, ParameterException
from rclpy.node import Node

from occflow_ros.config import ModelT, validate
from occflow_ros.errors import ConfigError

DECLARED_BY_RCLPY = ("use_sim_time", "start_type_description_service", "qos_overrides.")
INTEGER_LIMIT = 2**63 - 1


class ConfiguredNode(Node):
    """A node that declares every override it is given, so that `Parameters` sees misspelt ones.

    Raises:
        ConfigError: where rclpy cannot make a parameter of an override, such as an empty list.
    """

    def __init__(self, name: str, namespace: str = "") -> None:
        try:
            Node.__init__(
                self,
                name,
                namespace=namespace,
                automatically_declare_parameters_from_overrides=True,
            )
        except ValueError as error:
            raise ConfigError(f"parameters: {error}") from None


class Parameters:
    """Declares settings as read-only parameters of a node and reads them back."""

    def __init__(self, node: ConfiguredNode) -> None:
        self._node = node
        self._known: set[str] = set()

    def read(self, defaults: ModelT) -> ModelT:
        """The settings with what the user overrides, under their dotted names.

        Raises:
            ConfigError: names each parameter that is out of range or of another type.
        """
        values: dict[str, Any] = {}
        for name, field, default in leaves(defaults):
            self._declare(name, field, default)
            _set_nested(values, name, self._node.get_parameter(name).value)
        return validate(type(defaults), values)

    def check_all_known(self) -> None:
        """Raise ConfigError where the user set a parameter that was never read."""
        given = self._node.get_parameters_by_prefix("")
        unknown = sorted(
            name for name in set(given) - self._known if not name.startswith(DECLARED_BY_RCLPY)
        )
        if unknown:
            raise ConfigError(f"{', '.join(unknown)}: unknown parameter")

    def _declare(self, name: str, field: FieldInfo, default: object) -> None:
        self._known.add(name)
        descriptor = _descriptor(field, default)
        try:
            if self._node.has_parameter(name):
                self._node.set_descriptor(name, descriptor)
            else:
                self._node.declare_parameter(name, _as_ros(default), descriptor)
        except (ParameterException, InvalidParameterException) as error:
            raise ConfigError(f"{name}: {error}") from None


def leaves(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, FieldInfo, Any]]:
    """Dotted name, field and value of every setting that is not itself a section."""
    for key, field in type(settings).model_fields.items():
        value = getattr(settings, key)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, field, value


def _descriptor(field: FieldInfo, value: object) -> ParameterDescriptor:
    """What `ros2 param describe` shows; the configuration types stay the judge of the values."""
    descriptor = ParameterDescriptor(
        description=field.description or "", read_only=True, dynamic_typing=True
    )
    lower, upper = _bounds(field)
    if lower is upper is None:
        return descriptor
    if isinstance(value, int):
        descriptor.integer_range = [
            IntegerRange(
                from_value=-INTEGER_LIMIT if lower is None else int(lower),
                to_value=INTEGER_LIMIT if upper is None else int(upper),
            )
        ]
    elif isinstance(value, float):
        descriptor.floating_point_range = [
            FloatingPointRange(
                from_value=-sys.float_info.max if lower is None else float(lower),
                to_value=sys.float_info.max if upper is None else float(upper),
            )
        ]
    return descriptor


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    found: dict[str, float] = {
        kind: bound
        for rule in field.metadata
        for kind in ("ge", "gt", "le", "lt")
        if (bound := getattr(rule, kind, None)) is not None
    }
    return found.get("ge", found.get("gt")), found.get("le", found.get("lt"))


def _as_ros(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _set_nested(values: dict[str, Any], name: str, value: Any) -> None:
    *sections, key = name.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[key] = value.tolist() if hasattr(value, "tolist") else value
