"""Bytes written field by field decode to the message, whatever the lengths of its sequences."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from hand_made_voxels import through_the_wire
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from occflow_ros.messages.cdr import CdrWriter


@pytest.mark.parametrize("names", [[], ["a"], ["ab", "", "abcdefg"]])
@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("frame", ["", "x", "map"])
def test_every_field_is_aligned_to_its_size(names, count, frame):
    values = np.arange(count) + 0.5
    message = JointState(header=Header(frame_id=frame), name=names, position=values, effort=values)
    cdr = CdrWriter()
    cdr.scalars("i", 0)
    cdr.scalars("I", 0)
    cdr.string(frame)
    cdr.scalars("I", len(names))
    for name in names:
        cdr.string(name)
    for sequence in (values, np.empty(0), values):
        cdr.sequence(sequence)
    assert deserialize_message(cdr.tobytes(), JointState) == through_the_wire(message)


def test_rows_of_any_layout_and_byte_order_are_written_in_order():
    values = np.arange(6, dtype=">f8").reshape(2, 3).T  # (3, 2), neither packed nor little-endian
    cdr = CdrWriter()
    cdr.sequence(values)
    expected = np.array([0.0, 3.0, 1.0, 4.0, 2.0, 5.0], "<f8").tobytes()
    assert cdr.tobytes()[4:] == b"\3\0\0\0" + bytes(4) + expected
