"""The topics the node publishes; nothing is built for one that nobody subscribes to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from occflow_ros.config import RunConfig
from occflow_ros.msg import OccupancyFlow as OccupancyFlowMessage
from occflow_ros.ros import conversions, markers
from occflow_ros.ros.conversions import VoxelArrays
from occflow_ros.ros.costmap import CostmapConverter
from occflow_ros.structures import Frame, OccupancyFlow

QUEUE_SIZE = 5


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
    """

    def __init__(self, node: Node, config: RunConfig) -> None:
        settings = config.node
        costmap = CostmapConverter(config.model.grid.voxels, settings.costmap.z_m)
        display = settings.display
        self._base_frame = settings.base_frame
        self._topics: list[tuple[Publisher, Callable[[Result], object]]] = []

        def add(kind: type, topic: str, build: Callable[[Result], object]) -> None:
            self._topics.append((node.create_publisher(kind, topic, QUEUE_SIZE), build))

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
            lambda result: markers.occupancy_markers(result.voxels, display.lifetime_s),
        )
        add(
            MarkerArray,
            "~/flow/markers",
            lambda result: markers.flow_markers(
                result.voxels, display.lifetime_s, display.flow_min_mps, display.max_arrows
            ),
        )
        add(
            OccupancyGrid,
            "~/costmap",
            lambda result: costmap(result.prediction, result.frame, result.frame_id),
        )

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes to any of the topics."""
        return any(publisher.get_subscription_count() for publisher, _ in self._topics)

    def publish(self, prediction: OccupancyFlow, frame: Frame) -> None:
        """Send the prediction on every topic that has a subscriber."""
        result = Result(prediction, frame, self._base_frame)
        for publisher, build in self._topics:
            if publisher.get_subscription_count():
                publisher.publish(build(result))
