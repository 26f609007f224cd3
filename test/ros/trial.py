"""A node in threads of this process, the vehicle it serves, and exact accounts of both."""

import threading
from contextlib import contextmanager

from diagnostic_msgs.msg import DiagnosticStatus
from occflow_ros.msg import OccupancyFlow
from two_cameras import CAMERAS
from vehicle import Vehicle, start_ros

from occflow_ros.ros import process
from occflow_ros.ros.node import OccflowNode
from occflow_ros.ros.stamps import stamp_ns

TOPIC = "/occflow/occupancy_flow"
PERIOD_NS = 100_000_000
BETWEEN_TRIALS_NS = 100_000_000_000
"""Longer than history and transforms are kept."""


@contextmanager
def running_trial(preset, compressed=(), **parameters):
    """A node that runs, with a vehicle of which these cameras send JPEG."""
    flags = ",".join(str(name in compressed).lower() for name in CAMERAS)
    start_ros(preset, **{"node__cameras__compressed": f"[{flags}]", **parameters})
    vehicle = Vehicle(compressed)
    node = OccflowNode()
    node.start()
    with process.spinning(node, threading.Event()):
        yield Trial(node, vehicle)
    vehicle.close()


class Trial:
    """Sends sets, good and bad, and knows which outcomes and results there must be.

    `before_step(frame)` is called in the node's thread before the network is.
    """

    def __init__(self, node, vehicle):
        self.node, self.vehicle = node, vehicle
        self.now_ns = 0
        self._published_ns = []
        self.watch_steps()
        vehicle.node.create_subscription(
            OccupancyFlow, TOPIC, lambda m: self._published_ns.append(stamp_ns(m.header)), 100
        )
        vehicle.wait_for_node()
        vehicle.wait_until(lambda: vehicle.node.count_publishers(TOPIC), TOPIC)
        self.wait_until_wanted()
        vehicle.send_mounts()

    def watch_steps(self):
        """See the frames that the network gets."""
        step = self.node._stream.step

        def watched(frame):
            self.before_step(frame)
            self.frames[frame.stamp_ns] = frame
            return step(frame)

        self.node._stream.step = watched

    def wait_until_wanted(self):
        self.vehicle.wait_until(lambda: self.node._outputs.wanted, "the node to see its subscriber")

    def begin(self):
        """A time of its own, in which the first good set is processed."""
        self.before_step = lambda frame: None
        self.now_ns += BETWEEN_TRIALS_NS
        self._begun_ns = self.now_ns
        self.good_ns, self.bad_ns, self.frames = [], [], {}
        self.vehicle.outcomes.clear()
        self.send_infos()
        self.good()
        return self

    def next_ns(self):
        self.now_ns += PERIOD_NS
        return self.now_ns

    def send_infos(self, **changes):
        stamp = self.next_ns()
        self.vehicle.send_infos(stamp, **changes)
        infos = self.node._session.cameras.infos

        def arrived(name):
            info = infos.get(name, deadline_s=0.0)
            return info is not None and stamp_ns(info.header) == stamp

        self.vehicle.wait_until(lambda: all(map(arrived, CAMERAS)), "the CameraInfo")

    def send(self, x_m=0.0, **images):
        """A set and its pose; returns its stamp."""
        stamp = self.next_ns()
        self.vehicle.send_pose(stamp, x_m)
        self.vehicle.send_images(stamp, **images)
        return stamp

    def processed(self, stamp):
        """Values of the outcome of a set that must become a result."""
        _, values = self.vehicle.outcome_of(stamp)
        assert (values["outcome"], values["reason"]) == ("processed", "")
        self.good_ns.append(stamp)
        return values

    def good(self, x_m=0.0, **images):
        """Send a set that must become a result; values of its outcome."""
        return self.processed(self.send(x_m, **images))

    def dropped(self, stamp, reason, *mentions):
        """Values of the outcome of a set that must be dropped for this reason."""
        status, values = self.vehicle.outcome_of(stamp)
        assert (values["outcome"], values["reason"]) == ("dropped", reason)
        assert status.level == DiagnosticStatus.WARN
        for mention in mentions:
            assert mention in status.message
        self.bad_ns.append(stamp)
        return values

    def wait_for_summary(self, condition, what, meanwhile=lambda: None):
        """Until the node's summary fulfils `condition(status)`, doing something meanwhile."""

        def fulfilled():
            meanwhile()
            return condition(self.vehicle.summary_status)

        try:
            self.vehicle.wait_until(fulfilled, what)
        except AssertionError as error:
            raise AssertionError(f"{error}, got {self.vehicle.summary_status}") from None

    @property
    def published_ns(self):
        return [stamp for stamp in self._published_ns if stamp >= self._begun_ns]

    def assert_recovered(self):
        """A good set is processed, and nothing else than good sets was published."""
        self.good()
        self.assert_exact()

    def assert_exact(self):
        """Each set has its one outcome, and each good one its one message, in order."""
        last = self.good_ns[-1]
        self.vehicle.wait_until(lambda: last in self.published_ns, "the last result")
        assert self.published_ns == self.good_ns
        assert sorted(self.vehicle.outcomes) == sorted({*self.good_ns, *self.bad_ns})
