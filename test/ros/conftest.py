"""A small drive, a small network, and a vehicle with two cameras.

ROS is imported where it is used, so that without it the tests are skipped, not broken.
"""

import contextlib
import functools

import numpy as np
import pytest
from tiny_network import tiny_config
from two_cameras import CAMERAS, camera, pose

from occflow_ros import config
from occflow_ros.data.drive import CameraSet, Drive, SensorFile
from occflow_ros.data.sensors import write_image


@pytest.fixture(scope="session", autouse=True)
def on_this_machine(tmp_path_factory):
    """Discovery and log files stay here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        yield


@pytest.fixture(scope="session")
def tiny_preset(tmp_path_factory):
    """A configuration file whose network steps in some milliseconds."""
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    tiny = tiny_config()
    square = config.GridConfig(lower_m=(-8, -6, -1), upper_m=(8, 6, 3), shape=(16, 12, 4))
    model = tiny.model.model_copy(update={"grid": square})
    path.write_text(config.dump(tiny.model_copy(update={"model": model})))
    return path


@pytest.fixture
def drive(tmp_path):
    """Four sets from stamp 0 on, 0.4 s apart, the right image 30 ms after the left one."""
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    sets = []
    for index in range(4):
        files = {}
        for name, late_ns in zip(CAMERAS, (0, 30_000_000)):
            path = images / f"{name}_{index}.jpg"
            write_image(path, rng.integers(0, 255, (80, 120, 3), dtype=np.uint8))
            stamp_ns = index * 400_000_000 + late_ns
            files[name] = SensorFile(path, stamp_ns, pose(stamp_ns * 1e-9))
        sets.append(CameraSet(index * 400_000_000, pose(index * 0.4), files))
    return Drive("tiny", {name: camera(name) for name in CAMERAS}, tuple(sets))


@pytest.fixture
def ros_with(tiny_preset):
    """Starts rclpy with the parameters of a node on the two cameras, and those given."""
    import rclpy
    from vehicle import start_ros

    yield functools.partial(start_ros, tiny_preset)
    rclpy.try_shutdown()


def trials(tiny_preset):
    """Starts a node with parameters, and the vehicle it serves."""
    import rclpy
    from trial import running_trial

    with contextlib.ExitStack() as stack:
        stack.callback(rclpy.try_shutdown)
        yield lambda **options: stack.enter_context(running_trial(tiny_preset, **options))


shared_trial_of = pytest.fixture(trials, name="shared_trial_of", scope="module")


@pytest.fixture
def ros(ros_with):
    """rclpy with the parameters of a node on the two cameras."""
    ros_with()


@pytest.fixture
def vehicle_of():
    """Makes the other side of the node under test; rclpy must have been started."""
    from vehicle import Vehicle

    made = []

    def make(**options):
        made.append(Vehicle(**options))
        return made[-1]

    yield make
    for vehicle in made:
        vehicle.close()


@pytest.fixture
def vehicle(ros, vehicle_of):
    """The other side of the node under test."""
    return vehicle_of()


@pytest.fixture
def start(tmp_path):
    """Starts executables; whatever still runs at the end is killed."""
    from executables import starting

    with starting(tmp_path) as run:
        yield run
