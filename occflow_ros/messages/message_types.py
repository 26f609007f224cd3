"""Definitions of all messages of the package and of ROS 2 Jazzy, where no ROS is installed."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore


@cache
def message_types() -> Typestore:
    """A type store that knows them; `definitions` are those of the package's `msg` folder."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for file in (files(__package__) / "definitions").iterdir():
        name = f"occflow_ros/msg/{file.name.removesuffix('.msg')}"
        store.register(get_types_from_msg(file.read_text(encoding="utf-8"), name))
    return store
