"""The synchroniser of `message_filters` behind the face of ours."""

from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("message_filters")

from message_filters import SimpleFilter

from occflow_ros.ros.approximate_time import ApproximateTime
from occflow_ros.ros.stamps import header_message, stamp_ns

MS = 1_000_000


@dataclass(frozen=True, eq=False)
class Message:
    """What a subscription hands on."""

    header: Any


@pytest.fixture
def rig():
    return Rig()


class Rig:
    """Two cameras; remembers the sets."""

    def __init__(self):
        self.inputs = {name: SimpleFilter() for name in ("left", "right")}
        self.synchronizer = ApproximateTime(
            self.inputs, reference="right", tolerance_s=0.02, queue_size=4
        )
        self.sets = []
        self.synchronizer.registerCallback(self.sets.append)

    def send(self, *arrivals):
        for name, ms in arrivals:
            self.inputs[name].signalMessage(Message(header_message(ms * MS, "camera")))


def test_a_set_has_the_stamp_of_the_reference_camera(rig):
    rig.send(("left", 1000), ("right", 1010))
    (found,) = rig.sets
    assert found.stamp_ns == 1010 * MS
    assert [stamp_ns(message.header) // MS for message in found.messages] == [1000, 1010]


def test_every_image_is_counted_once(rig):
    rig.send(("left", 1000), ("right", 1010), ("left", 1100), ("left", 1200))
    left = rig.synchronizer.counts["left"]
    assert (left.received, left.used, left.waiting) == (3, 1, 2)
    assert rig.synchronizer.dropped_sets == rig.synchronizer.time_jumps == 0


def test_time_that_goes_back_forgets_the_future(rig):
    rig.send(("left", 5000), ("left", 5100))
    rig.send(("left", 1000), ("right", 1005))
    assert len(rig.sets) == 1
    assert rig.synchronizer.time_jumps == 1
    assert rig.synchronizer.counts["left"].waiting == 0
