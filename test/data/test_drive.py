"""What a camera may be called: topics begin with its name."""

import numpy as np
import pytest

from occflow_ros.data.drive import Camera


def named(name):
    return Camera(name, 4, 3, np.diag([2.0, 2.0, 1.0]), np.eye(4))


@pytest.mark.parametrize("name", ["front", "cam_2", "head/left_eye"])
def test_relative_ros_names_are_taken(name):
    assert named(name).name == name


@pytest.mark.parametrize("name", ["", "2nd", "cam front!", "/front", "head/", "a//b"])
def test_what_no_topic_can_be_called_is_refused(name):
    with pytest.raises(ValueError, match="expected a camera's name"):
        named(name)
