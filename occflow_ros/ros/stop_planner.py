"""An example planner: drives a straight or a curve, and stops for what is or will be in its way."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from geometry_msgs.msg import TwistStamped
from pydantic import Field, model_validator
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import String

from occflow_ros.msg import OccupancyFlow
from occflow_ros.planning import Footprint, OccupancyFlowMap, constant_curvature, first_collision
from occflow_ros.ros import process
from occflow_ros.ros.parameters import ConfiguredNode, Parameters
from occflow_ros.ros.stamps import NS_PER_S
from occflow_ros.validation import StrictModel

QUEUE_SIZE = 5
STEP_S = 0.1


class StopPlannerParameters(StrictModel):
    """How to drive, and the vehicle."""

    speed_mps: float = Field(5.0, gt=0, description="to drive at where the way is free")
    curvature_per_m: float = Field(0.0, description="of the way, positive to the left")
    acceleration_mps2: float = Field(1.0, gt=0, description="when going")
    braking_mps2: float = Field(3.0, gt=0, description="when stopping")
    horizon_s: float = Field(4.0, gt=0, description="stop for what is met within this time")
    max_map_age_s: float = Field(0.5, gt=0, description="stop where the last map is older")
    rate_hz: float = Field(20.0, gt=0, description="decisions a second")
    length_m: float = Field(4.6, gt=0, description="of the vehicle")
    width_m: float = Field(1.9, gt=0, description="of the vehicle")
    center_x_m: float = Field(1.4, description="middle of the length, ahead of the base frame")
    z_m: tuple[float, float] = Field((0.3, 2.0), description="heights that block the way")
    margin_m: float = Field(0.3, ge=0, description="to keep on all sides")

    @model_validator(mode="after")
    def _it_can_stop(self) -> StopPlannerParameters:
        if self.horizon_s < (needed_s := self.speed_mps / (2.0 * self.braking_mps2)):
            raise ValueError(
                f"horizon_s: expected speed_mps / (2 braking_mps2) = {needed_s:.2f} s or more,"
                f" got {self.horizon_s}"
            )
        _ = self.footprint
        return self

    @property
    def footprint(self) -> Footprint:
        """The vehicle; raises ValueError where its heights make none."""
        return Footprint(self.length_m, self.width_m, self.z_m, self.center_x_m, self.margin_m)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to go on, and why.

    Args:
        go: drive at the set speed; otherwise brake to a stop.
        reason: in words.
        time_to_collision_s: from now, at the set speed; None where nothing is met in time.
    """

    go: bool
    reason: str
    time_to_collision_s: float | None


def decide(
    flow_map: OccupancyFlowMap | None, age_s: float, settings: StopPlannerParameters
) -> Decision:
    """Stop where the way is unknown, or something is met at the set speed within the horizon.

    The way begins where the vehicle was at the map's stamp, and the vehicle is taken to have driven
    at the set speed since.

    Args:
        flow_map: the latest.
        age_s: of its stamp.
        settings: of the planner.
    """
    if flow_map is None:
        return Decision(False, "no map has come", None)
    if abs(age_s) > settings.max_map_age_s:  # after a jump of the clock back, it lies ahead
        return Decision(False, f"the map is {age_s:.2f} s old", None)
    duration_s = max(age_s, 0.0) + settings.horizon_s
    way = constant_curvature(settings.speed_mps, settings.curvature_per_m, duration_s, STEP_S)
    collision = first_collision(flow_map, way, settings.footprint)
    if collision is None:
        return Decision(True, f"nothing is met within {settings.horizon_s} s", None)
    left_s = max(collision.time_s - age_s, 0.0)
    x_m, y_m, _ = collision.position_m
    vx_mps, vy_mps = collision.velocity_mps
    reason = (
        f"in {left_s:.2f} s it would meet what will be at ({x_m:.1f}, {y_m:.1f}) m"
        f" and moves at ({vx_mps:.1f}, {vy_mps:.1f}) m/s"
    )
    return Decision(False, reason, left_s)


def next_speed(speed_mps: float, go: bool, step_s: float, settings: StopPlannerParameters) -> float:
    """The speed to command a step later."""
    if go:
        return min(speed_mps + settings.acceleration_mps2 * step_s, settings.speed_mps)
    return max(speed_mps - settings.braking_mps2 * step_s, 0.0)


class StopPlanner(ConfiguredNode):
    """Maps in, a speed and the reason for it out.

    Raises:
        ConfigError: names a parameter with a wrong value.
    """

    def __init__(self) -> None:
        super().__init__("stop_planner")
        parameters = Parameters(self)
        self._settings = parameters.read(StopPlannerParameters())
        parameters.check_all_known()
        self._map: OccupancyFlowMap | None = None
        self._going: bool | None = None
        self._speed_mps = 0.0
        self._command = self.create_publisher(TwistStamped, "~/cmd_vel", QUEUE_SIZE)
        self._decision = self.create_publisher(String, "~/decision", QUEUE_SIZE)
        self.create_subscription(
            OccupancyFlow, "occflow/occupancy_flow", self._on_map, qos_profile_sensor_data
        )
        self.create_timer(1.0 / self._settings.rate_hz, self._step)

    def _on_map(self, message: OccupancyFlow) -> None:
        self._map = OccupancyFlowMap.from_message(message)

    def _step(self) -> None:
        now = self.get_clock().now()
        age_s = 0.0 if self._map is None else (now.nanoseconds - self._map.stamp_ns) / NS_PER_S
        decision = decide(self._map, age_s, self._settings)
        step_s = 1.0 / self._settings.rate_hz
        self._speed_mps = next_speed(self._speed_mps, decision.go, step_s, self._settings)
        command = TwistStamped()
        command.header.stamp = now.to_msg()
        command.header.frame_id = "" if self._map is None else self._map.frame_id
        command.twist.linear.x = self._speed_mps
        command.twist.angular.z = self._speed_mps * self._settings.curvature_per_m
        self._command.publish(command)
        text = f"{'go' if decision.go else 'stop'}: {decision.reason}"
        self._decision.publish(String(data=text))
        if decision.go is not self._going:
            self.get_logger().info(text)
        self._going = decision.go


def main() -> None:
    """The `stop_planner` executable."""
    process.run("stop_planner", _work)


def _work(stop: threading.Event) -> None:
    node = StopPlanner()
    with process.spinning(node, stop):
        stop.wait()
