"""The package's own definitions are those of its `msg` folder, and so are its constants."""

from pathlib import Path

import numpy as np

from occflow_ros.data.recorded_predictions import PREDICTION_TYPE
from occflow_ros.messages import voxel_arrays
from occflow_ros.messages.message_types import message_types
from occflow_ros.structures import UNKNOWN_CLASS_ID

REPOSITORY = Path(__file__).resolve().parents[2]
DEFINITIONS = REPOSITORY / "occflow_ros" / "messages" / "definitions"


def test_definitions_are_those_that_ros_builds():
    built = {path.name: path.read_text() for path in (REPOSITORY / "msg").iterdir()}
    assert {path.name: path.read_text() for path in DEFINITIONS.iterdir()} == built


def test_constants_are_those_of_the_message():
    kind = message_types().types[PREDICTION_TYPE]
    assert np.float32(kind.PROBABILITY_SCALE) == np.float32(voxel_arrays.PROBABILITY_SCALE)
    assert kind.VELOCITY_SCALE == voxel_arrays.VELOCITY_SCALE_MPS
    assert kind.VELOCITY_UNKNOWN == voxel_arrays.VELOCITY_UNKNOWN
    assert kind.CLASS_UNKNOWN == UNKNOWN_CLASS_ID
