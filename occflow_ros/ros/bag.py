"""A rosbag2 MCAP that is being written: topics as they were offered, and messages."""

from __future__ import annotations

from pathlib import Path

from rclpy.qos import QoSProfile
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from occflow_ros.errors import OutputError
from occflow_ros.ros.message_types import MessageTypes
from occflow_ros.ros.stamps import NS_PER_S

BAG_VERSION = 9


class Bag:
    """A rosbag2 MCAP that is being written, from one thread.

    The file is written in chunks of 1 MiB; `close` adds the index and `metadata.yaml`. Of a process
    that is killed (SIGKILL), all but the last chunk is in the file, and `mcap recover` reads it.

    Args:
        folder: must not exist; the file in it has its name.

    Raises:
        OutputError: where the folder is occupied or cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._types = MessageTypes()
        try:
            self._writer = Writer(folder, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except WriterError:
            raise OutputError(f"output: expected a new folder, but {folder} exists") from None
        except OSError as error:
            raise OutputError(f"output: cannot make {folder}: {error.strerror}") from None

    def add_topic(self, topic: str, kind: str, offered: list[QoSProfile]) -> Connection:
        """Announce a topic.

        Args:
            topic: full name.
            kind: message type, such as `sensor_msgs/msg/Image`.
            offered: quality of service of each of its publishers.

        Raises:
            DataError: where the type has no definition here.
        """
        self._types.ensure(kind)
        return self._writer.add_connection(
            topic,
            kind,
            typestore=self._types.store,
            offered_qos_profiles=[_bag_qos(qos) for qos in offered],
        )

    def write(self, connection: Connection, received_ns: int, data: bytes) -> None:
        """Add a serialised message; raises OutputError where the disk does not take it."""
        try:
            self._writer.write(connection, received_ns, data)
        except OSError as error:
            raise OutputError(f"output: cannot write {self._folder}: {error.strerror}") from None

    def close(self) -> None:
        """Finish the file; only then is it a whole bag."""
        try:
            self._writer.close()
        except OSError as error:
            raise OutputError(f"output: cannot write {self._folder}: {error.strerror}") from None


def _bag_qos(qos: QoSProfile) -> Qos:
    """rclpy and rosbags number the policies alike, after rmw."""
    return Qos(
        history=QosHistory(qos.history.value),
        depth=qos.depth,
        reliability=QosReliability(qos.reliability.value),
        durability=QosDurability(qos.durability.value),
        deadline=_bag_time(qos.deadline.nanoseconds),
        lifespan=_bag_time(qos.lifespan.nanoseconds),
        liveliness=QosLiveliness(qos.liveliness.value),
        liveliness_lease_duration=_bag_time(qos.liveliness_lease_duration.nanoseconds),
        avoid_ros_namespace_conventions=qos.avoid_ros_namespace_conventions,
    )


def _bag_time(nanoseconds: int) -> QosTime:
    return QosTime(*divmod(nanoseconds, NS_PER_S))
