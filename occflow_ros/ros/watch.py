"""Prints the node's diagnostics as JSON lines: each camera set's outcome, and the summaries."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from pydantic import Field

from occflow_ros.ros import process
from occflow_ros.ros.diagnostics import FRAME_STATUS, QUEUE_SIZE, SUMMARY_STATUS
from occflow_ros.ros.parameters import ConfiguredNode, Parameters
from occflow_ros.validation import StrictModel

POLL_S = 0.05


class WatchParameters(StrictModel):
    """What to wait for before the first line."""

    topic: str = Field(
        "occflow/occupancy_flow", description="`ready` is printed once it has both ends"
    )


class Watch(ConfiguredNode):
    """Listens to `/diagnostics`."""

    def __init__(self) -> None:
        super().__init__("watch")
        parameters = Parameters(self)
        self._topic = parameters.read(WatchParameters()).topic
        parameters.check_all_known()
        self.create_subscription(DiagnosticArray, "/diagnostics", self._print, QUEUE_SIZE)

    @property
    def connected(self) -> bool:
        """Whether somebody publishes the topic and somebody else subscribes to it."""
        topic = self.resolve_topic_name(self._topic)
        return self.count_publishers(topic) > 0 and self.count_subscribers(topic) > 0

    def _print(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name.endswith((FRAME_STATUS, SUMMARY_STATUS)):
                print_line(values_of(status))


def main() -> None:
    """The `watch` executable."""
    process.run("watch", _work)


def _work(stop: threading.Event) -> None:
    watch = Watch()
    with process.spinning(watch, stop):
        while not watch.connected and not stop.wait(POLL_S):
            pass
        print_line({"ready": True})
        stop.wait()


def print_line(value: Mapping[str, object]) -> None:
    """In one write: the executor's thread and the main one would mix the pieces of two lines."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    """What a status says, by key."""
    return {item.key: item.value for item in status.values}
