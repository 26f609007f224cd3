"""The service that says whether a trajectory is free, by the node's latest result."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Point, Vector3
from rclpy.node import Node

from occflow_ros.geometry.se3 import Array
from occflow_ros.messages.voxel_arrays import VoxelArrays
from occflow_ros.node_config import NodeConfig
from occflow_ros.planning import (
    Collision,
    Footprint,
    OccupancyFlowMap,
    Trajectory,
    first_collision,
)
from occflow_ros.ros.stamps import NS_PER_S, stamp_ns, time_message
from occflow_ros.srv import CheckTrajectory

if TYPE_CHECKING:
    from occflow_ros.ros.outputs import Result

WANTED_FOR_S = 10.0
"""After a request, results are wanted this long although nobody subscribes to them."""

Request, Response = CheckTrajectory.Request, CheckTrajectory.Response


class RefusedError(Exception):
    """A trajectory that was not checked: the response's status, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TrajectoryService:
    """Answers `~/check_trajectory`; a result becomes a map when it is first asked about.

    `update` may be called from any thread, the rest belongs to the node's executor.

    Args:
        node: that offers the service.
        settings: frames, and the age from which on a result is too old.
    """

    def __init__(self, node: Node, settings: NodeConfig) -> None:
        self._node = node
        self._settings = settings
        self._latest: Result | None = None
        self._made: tuple[Result, OccupancyFlowMap] | None = None
        self._asked_s = -math.inf
        self._service = node.create_service(CheckTrajectory, "~/check_trajectory", self._answer)

    @property
    def wanted(self) -> bool:
        """Whether somebody asked of late."""
        return time.monotonic() - self._asked_s < WANTED_FOR_S

    def update(self, result: Result) -> None:
        """Keep the latest result."""
        self._latest = result

    def close(self) -> None:
        """End the service and forget the result."""
        self._node.destroy_service(self._service)
        self._latest = self._made = None

    def _answer(self, request: Request, response: Response) -> Response:
        self._asked_s = time.monotonic()
        response.time_to_collision = response.map_age = response.probability = math.nan
        response.point = Point(x=math.nan, y=math.nan, z=math.nan)
        response.velocity = Vector3(x=math.nan, y=math.nan, z=math.nan)
        try:
            self._check(request, response, self._current(response))
        except RefusedError as refusal:
            response.status, response.message = refusal.status, str(refusal)
        return response

    def _current(self, response: Response) -> Result:
        """The latest result, with its stamp and age in the response; raises RefusedError."""
        result = self._latest
        if result is None:
            raise RefusedError(
                Response.STATUS_NO_MAP,
                "there is no result yet: do images arrive? Ask again, or see /diagnostics",
            )
        stamp = result.prediction.stamp_ns
        response.map_stamp = time_message(stamp)
        response.map_age = (self._node.get_clock().now().nanoseconds - stamp) / NS_PER_S
        limit_s = self._settings.planning.max_map_age_s
        if abs(response.map_age) > limit_s:  # after a jump of the clock back, it lies ahead
            raise RefusedError(
                Response.STATUS_MAP_TOO_OLD,
                f"the latest result is {response.map_age:.3f} s old, not within"
                f" node.planning.max_map_age_s = {limit_s} s of now",
            )
        return result

    def _check(self, request: Request, response: Response, result: Result) -> None:
        flow_map = self._map_of(result)
        frame_T_base = self._pose_in_frame(request, result)
        delay_s = (stamp_ns(request.header) or flow_map.stamp_ns) - flow_map.stamp_ns
        delay_s /= NS_PER_S
        try:
            trajectory = _trajectory(request, frame_T_base).shifted(delay_s).starting_at(0.0)
            collision = first_collision(flow_map, trajectory, _footprint(request))
        except ValueError as error:
            raise RefusedError(Response.STATUS_BAD_REQUEST, str(error)) from None
        if collision is None:
            response.status, response.clear = Response.STATUS_CLEAR, True
            response.message = f"nothing is met up to {request.time[-1]:.3f} s"
        else:
            _describe(collision, delay_s, frame_T_base, response)

    def _map_of(self, result: Result) -> OccupancyFlowMap:
        if self._made is None or self._made[0] is not result:
            self._made = result, map_of(result.voxels)
        return self._made[1]

    def _pose_in_frame(self, request: Request, result: Result) -> Array:
        """Pose (4, 4) of the base in the request's frame at the result's stamp."""
        fixed, base = self._settings.fixed_frame, self._settings.base_frame
        header = request.header
        if header.frame_id == fixed:
            return result.frame.odom_T_base.cpu().numpy()
        if header.frame_id != base:
            raise RefusedError(
                Response.STATUS_WRONG_FRAME,
                f"expected poses in {fixed} or {base}, got {header.frame_id!r}",
            )
        if stamp_ns(header) not in (0, result.prediction.stamp_ns):
            raise RefusedError(
                Response.STATUS_WRONG_FRAME,
                f"{base} has moved between the result's stamp and the request's:"
                f" give poses in {fixed}, or the result's stamp",
            )
        return np.eye(4)


def map_of(voxels: VoxelArrays) -> OccupancyFlowMap:
    """The map that a subscriber would make of the message, without its rounding."""
    return OccupancyFlowMap(
        stamp_ns=stamp_ns(voxels.header),
        frame_id=voxels.header.frame_id,
        origin_m=voxels.grid.lower_m,
        voxel_size_m=voxels.grid.voxel_size_m,
        shape=voxels.grid.shape,
        index=voxels.index.astype(np.int64),
        probability=voxels.probability,
        velocity_mps=voxels.velocity_mps,
        interval_s=voxels.interval_s,
    )


def _trajectory(request: Request, frame_T_base: Array) -> Trajectory:
    """In the base frame; only x, y and yaw of its pose count. Raises ValueError."""
    counts = {len(values) for values in (request.time, request.x, request.y, request.yaw)}
    if len(counts) > 1:
        raise ValueError(f"time, x, y, yaw: expected as many of each, got {sorted(counts)}")
    xy_m = np.stack((request.x, request.y), axis=1)
    trajectory = Trajectory(np.array(request.time), xy_m, np.array(request.yaw))
    yaw_rad = math.atan2(frame_T_base[1, 0], frame_T_base[0, 0])
    return trajectory.in_frame_at(frame_T_base[0, 3], frame_T_base[1, 3], yaw_rad)


def _footprint(request: Request) -> Footprint:
    return Footprint(
        length_m=request.length,
        width_m=request.width,
        z_m=(request.z_min, request.z_max),
        center_x_m=request.center_x,
        margin_m=request.margin,
    )


def _describe(
    collision: Collision, delay_s: float, frame_T_base: Array, response: Response
) -> None:
    """Put the contact into the response, in the request's frame and on its clock."""
    x_m, y_m, z_m = frame_T_base[:3, :3] @ collision.position_m + frame_T_base[:3, 3]
    vx_mps, vy_mps, _ = frame_T_base[:3, :3] @ (*collision.velocity_mps, 0.0)
    response.status = Response.STATUS_COLLISION
    response.time_to_collision = collision.time_s - delay_s
    response.point = Point(x=x_m, y=y_m, z=z_m)
    response.velocity = Vector3(x=vx_mps, y=vy_mps, z=0.0)
    response.probability = collision.probability
    response.message = (
        f"meets something at ({x_m:.2f}, {y_m:.2f}, {z_m:.2f}) m"
        f" after {response.time_to_collision:.3f} s"
    )
