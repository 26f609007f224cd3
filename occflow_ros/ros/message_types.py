"""Definitions of message types for bags, from rosbags or from the installed packages."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from occflow_ros.errors import DataError


class MessageTypes:
    """A type store that learns types from the `.msg` files of installed packages."""

    def __init__(self) -> None:
        self.store: Typestore = get_typestore(Stores.ROS2_JAZZY)

    def ensure(self, name: str) -> None:
        """Make a type such as `occflow_ros/msg/OccupancyFlow` and all within it known.

        Raises:
            DataError: where no installed package defines it.
        """
        if name in self.store.types:
            return
        definitions = get_types_from_msg(_definition(name), name)
        self.store.register(definitions)
        for _, fields in definitions.values():
            for _, kind in fields:
                for nested in _names_in(kind):
                    self.ensure(nested)


def _definition(name: str) -> str:
    package, _, message = name.split("/")
    try:
        path = Path(get_package_share_directory(package)) / "msg" / f"{message}.msg"
        return path.read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError) as error:
        raise DataError(f"{name}: expected an installed message definition: {error}") from None


def _names_in(kind: object) -> list[str]:
    """Message types that a field's description mentions."""
    if isinstance(kind, str):
        return [kind] if kind.count("/") == 2 else []
    if isinstance(kind, tuple | list):
        return [name for part in kind for name in _names_in(part)]
    return []
