"""A rosbag2 MCAP that is written by `rosbags` alone, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rosbags.highlevel import AnyReader
from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinitionFormat,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from occflow_ros.errors import OutputError
from occflow_ros.messages.message_types import message_types
from occflow_ros.output import output_folder

_DEPTH = 10
_FOREVER = QosTime(0, 0)  # none is asked for


@contextmanager
def new_bag(out: Path, overwrite: bool = False) -> Iterator[BagFile]:
    """A bag to write; its folder appears when the block ends well.

    Raises:
        OutputError: where `out` is occupied or cannot be written.
    """
    out = out.absolute()
    with output_folder(out, overwrite) as partial:
        folder = partial / out.name  # the file has the name of its folder
        with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            yield BagFile(writer, out)
        for path in folder.iterdir():
            path.rename(partial / path.name)
        folder.rmdir()


class BagFile:
    """Topics and messages of a bag that is being written.

    Args:
        writer: of the bag.
        path: where it will be, for errors.
    """

    def __init__(self, writer: Writer, path: Path) -> None:
        self._writer, self._path = writer, path
        self._topics: dict[tuple[str, str], Connection] = {}

    def add(self, topic: str, kind: str, kept: bool = False) -> None:
        """Announce a topic of a type that `message_types` knows.

        Args:
            topic: full name.
            kind: such as `sensor_msgs/msg/Image`.
            kept: for whoever subscribes late.
        """
        self._topics[topic, kind] = self._writer.add_connection(
            topic, kind, typestore=message_types(), offered_qos_profiles=[_qos(kept)]
        )

    def add_like(self, source: Connection, reader: AnyReader) -> None:
        """Announce a topic as another bag has it; publishers of one topic become one."""
        if (source.topic, source.msgtype) in self._topics:
            return
        assert isinstance(source.ext, ConnectionExtRosbag2)
        plain = source.msgdef.format == MessageDefinitionFormat.NONE or not source.digest
        definition = (
            {"typestore": reader.typestore}
            if plain
            else {"msgdef": source.msgdef.data, "rihs01": source.digest}
        )
        self._topics[source.topic, source.msgtype] = self._writer.add_connection(
            source.topic,
            source.msgtype,
            offered_qos_profiles=source.ext.offered_qos_profiles,
            **definition,
        )

    def write(self, topic: str, kind: str, received_ns: int, data: bytes) -> None:
        """Add a serialised message; raises OutputError where the disk does not take it."""
        try:
            self._writer.write(self._topics[topic, kind], received_ns, data)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from None


def _qos(kept: bool) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if kept else _DEPTH,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if kept else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )
