"""The topics the node publishes; nothing is built for one that nobody subscribes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property

from nav_msgs.msg import OccupancyGrid
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from occflow_ros.config import RunConfig
from occflow_ros.messages.markers import VoxelMarkers
from occflow_ros.messages.voxel_arrays import VoxelArrays
from occflow_ros.msg import OccupancyFlow as OccupancyFlowMessage
from occflow_ros.ros import conversions
from occflow_ros.ros.class_legend import publish_legend
from occflow_ros.ros.costmap import CostmapConverter
from occflow_ros.ros.qos import unserved_subscriptions
from occflow_ros.ros.trajectory_service import TrajectoryService
from occflow_ros.structures import Frame, OccupancyFlow

QUEUE_SIZE = 5
FLUSH_S = 1.0
COSTMAP = "~/costmap"


class Result:
    """One prediction in the forms that several messages share, each made when first asked for.

    Args:
        prediction: of the network.
        frame: it was made from.
        frame_id: name of the ego frame.
    """

    def __init__(self, prediction: OccupancyFlow, frame: Frame, frame_id: str) -> None:
        self.prediction = prediction
        self.frame = frame
        self.frame_id = frame_id

    @cached_property
    def voxels(self) -> VoxelArrays:
        """The occupied voxels on the host."""
        return conversions.voxel_arrays(self.prediction, self.frame_id)


class Outputs:
    """Publishers of the node's results.

    Args:
        node: that publishes.
        config: of the run.
        class_names: of the network that estimates classes; empty where none does.
    """

    def __init__(self, node: Node, config: RunConfig, class_names: Sequence[str] = ()) -> None:
        settings = config.node
        costmap = CostmapConverter(config.model.grid.voxels, settings.costmap)
        markers = VoxelMarkers(config.model.grid.voxels, settings.display, class_names)
        qos = output_qos(settings.reliable_outputs)
        self._node = node
        self._base_frame = settings.base_frame
        self._topics: dict[str, tuple[Publisher, Callable[[Result], object]]] = {}
        self._trajectories = TrajectoryService(node, settings)
        self._legend = publish_legend(node, class_names) if class_names else None

        def add(kind: type, topic: str, build: Callable[[Result], object]) -> None:
            self._topics[topic.removeprefix("~/")] = node.create_publisher(kind, topic, qos), build

        add(
            OccupancyFlowMessage,
            "~/occupancy_flow",
            lambda result: conversions.occupancy_flow_message(result.voxels),
        )
        add(
            PointCloud2,
            "~/occupancy/points",
            lambda result: conversions.points_message(result.voxels),
        )
        add(
            MarkerArray,
            "~/occupancy/markers",
            lambda result: markers.occupancy(result.voxels),
        )
        add(
            MarkerArray,
            "~/flow/markers",
            lambda result: markers.flow(result.voxels),
        )
        add(
            OccupancyGrid,
            COSTMAP,
            lambda result: costmap(result.prediction, result.frame, result.frame_id),
        )
        for number, horizon_s in enumerate(settings.costmap.horizons_s):
            add(
                OccupancyGrid,
                f"{COSTMAP}/ahead_{number}",
                lambda result, horizon_s=horizon_s: costmap.ahead(
                    result.voxels, result.frame, horizon_s
                ),
            )

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes to any of the topics, or asked about a trajectory of late."""
        subscribed = any(
            publisher.get_subscription_count() for publisher, _ in self._topics.values()
        )
        return subscribed or self._trajectories.wanted

    def problems(self) -> list[str]:
        """Subscriptions that get nothing, in words."""
        return [
            problem
            for publisher, _ in self._topics.values()
            for problem in unserved_subscriptions(self._node, publisher)
        ]

    def publish(self, prediction: OccupancyFlow, frame: Frame) -> dict[str, float]:
        """Send the prediction on every topic that has a subscriber.

        Returns:
            When each was sent, in seconds of `time.monotonic`, by the topic's name in the node.
        """
        result = Result(prediction, frame, self._base_frame)
        self._trajectories.update(result)
        sent_s = {}
        for topic, (publisher, build) in self._topics.items():
            if publisher.get_subscription_count():
                publisher.publish(build(result))
                sent_s[topic] = time.monotonic()
        return sent_s

    def close(self) -> None:
        """Destroy the publishers, once what they sent has arrived; nothing may be published now."""
        deadline_s = time.monotonic() + FLUSH_S
        publishers = [publisher for publisher, _ in self._topics.values()]
        for publisher in filter(None, (*publishers, self._legend)):
            left_s = max(0.0, deadline_s - time.monotonic())
            publisher.wait_for_all_acked(Duration(seconds=left_s))
            self._node.destroy_publisher(publisher)
        self._topics.clear()
        self._legend = None
        self._trajectories.close()


def output_qos(reliable: bool) -> QoSProfile:
    """The newest results, reliable or as sensor data: best effort."""
    policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=QUEUE_SIZE, reliability=policy)
