"""Settings of the ROS node: cameras, poses, and what is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from occflow_ros.validation import StrictModel

T = TypeVar("T")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


Each = Annotated[tuple[T, ...], BeforeValidator(_as_tuple)]
"""One value for all cameras, or one for each in the order of their names."""


class CameraTopicConfig(StrictModel):
    """How the images of the cameras arrive, and which of them belong together.

    Settings that say "or each" take one value for all cameras or a list in the order of `names`.
    """

    names: tuple[str, ...] = Field(("cam_front",), min_length=1, description="cameras of the rig")
    image_topic: str = Field("{name}/image_raw", description="topic of a camera's images")
    info_topic: str = Field("{name}/camera_info", description="topic of a camera's CameraInfo")
    compressed: Each[bool] = Field(
        (False,), description="subscribe to image_topic/compressed; of all cameras or each"
    )
    reliable: Each[bool] = Field(
        (False,),
        description="reliable, not best-effort subscriptions; of all cameras or each",
    )
    reference: str = Field("", description="camera whose stamp is the set's; empty: the first")
    synchronizer: Literal["rig", "approximate_time"] = Field(
        "rig", description="rig: ours; approximate_time: that of message_filters, whole sets only"
    )
    queue_size: int = Field(10, ge=1, description="images kept for synchronisation, per camera")
    tolerance_s: Each[Annotated[float, Field(gt=0)]] = Field(
        (0.1,),
        description="largest distance from its time in the set; of all cameras or each",
    )
    offset_s: Each[float] = Field(
        (0.0,), description="time in the set, after the reference camera's; of all cameras or each"
    )
    grid_hz: float = Field(
        0.0, ge=0, description="a set at each multiple of 1/this; 0: at each reference image"
    )
    min_cameras: int = Field(
        0, ge=0, description="a set may lack cameras, down to this many; 0: it needs them all"
    )
    max_wait_s: float = Field(
        0.1, ge=0, description="a set that may lack cameras waits this long for them"
    )

    @field_validator("names")
    @classmethod
    def _names_differ(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("expected each camera once")
        return names

    @field_validator("image_topic", "info_topic")
    @classmethod
    def _topics_differ(cls, topic: str, info: ValidationInfo) -> str:
        if "{name}" not in topic and len(info.data.get("names", ())) > 1:
            raise ValueError("expected {name} in the topic of several cameras")
        return topic

    @field_validator("reference")
    @classmethod
    def _reference_exists(cls, reference: str, info: ValidationInfo) -> str:
        if reference and reference not in info.data.get("names", (reference,)):
            raise ValueError(f"expected one of the cameras {info.data['names']}")
        return reference

    @field_validator("compressed", "reliable", "tolerance_s", "offset_s")
    @classmethod
    def _one_or_each(cls, values: tuple[T, ...], info: ValidationInfo) -> tuple[T, ...]:
        counts = {1, len(info.data.get("names", values))}
        if len(values) not in counts:
            expected = " or ".join(map(str, sorted(counts)))
            raise ValueError(f"expected {expected} values, one for each camera, got {len(values)}")
        return values

    @field_validator("min_cameras")
    @classmethod
    def _not_more_than_there_are(cls, count: int, info: ValidationInfo) -> int:
        if count > (most := len(info.data.get("names", ())) or count):
            raise ValueError(f"expected at most the {most} cameras, got {count}")
        return count

    @property
    def reference_name(self) -> str:
        """Camera whose stamp is the set's."""
        return self.reference or self.names[0]

    @property
    def may_lack_cameras(self) -> bool:
        """Whether a set may be without some of the cameras."""
        return 0 < self.min_cameras < len(self.names)

    def by_name(self, values: tuple[T, ...]) -> Mapping[str, T]:
        """A setting that is of all cameras or each, by camera name."""
        return dict(zip(self.names, values * len(self.names) if len(values) == 1 else values))


class PoseConfig(StrictModel):
    """Where the pose of the base at an image's stamp comes from."""

    source: Literal["tf", "odometry", "pose"] = Field(
        "tf", description="/tf, nav_msgs/Odometry or geometry_msgs/PoseStamped on topic"
    )
    topic: str = Field("odom", description="of odometry or pose; its frame must be fixed_frame")
    wait_s: float = Field(0.2, ge=0, description="wait for a pose before a set is dropped")
    max_gap_s: float = Field(
        0.5, gt=0, description="messages of odometry or pose further apart are not interpolated"
    )


class DisplayConfig(StrictModel):
    """Markers for RViz and Foxglove."""

    color: Literal["height", "probability", "class", "speed"] = Field(
        "height", description="what the colour of a voxel shows"
    )
    max_voxels: int = Field(40_000, ge=0, description="cubes in occupancy/markers at most")
    max_arrows: int = Field(2000, ge=0, description="arrows in flow/markers at most")
    flow_min_mps: float = Field(0.5, ge=0, description="slower voxels get no arrow")
    lifetime_s: float = Field(2.0, ge=0, description="displays forget markers after this")


class CostmapConfig(StrictModel):
    """The 2D costmap."""

    z_m: tuple[float, float] = Field((0.3, 2.5), description="heights that block the way")
    inflation_m: float = Field(
        0.0, ge=0, description="cells up to this far from an occupied one are costly, less with way"
    )
    horizons_s: tuple[float, ...] = Field(
        (), description="also where things will be at these times ahead, each on costmap/ahead_N"
    )

    @field_validator("z_m")
    @classmethod
    def _band_is_not_empty(cls, z_m: tuple[float, float]) -> tuple[float, float]:
        if z_m[0] >= z_m[1]:
            raise ValueError("expected the lower height first")
        return z_m

    @field_validator("horizons_s")
    @classmethod
    def _horizons_are_ahead(cls, horizons_s: tuple[float, ...]) -> tuple[float, ...]:
        if any(horizon_s <= 0 for horizon_s in horizons_s):
            raise ValueError(f"expected times above 0 s, got {list(horizons_s)}")
        return horizons_s


class PlanningConfig(StrictModel):
    """The check of trajectories."""

    max_map_age_s: float = Field(
        1.0, gt=0, description="check_trajectory refuses where the latest result is older"
    )


class NodeConfig(StrictModel):
    """The ROS node."""

    cameras: CameraTopicConfig = CameraTopicConfig()
    pose: PoseConfig = PoseConfig()
    display: DisplayConfig = DisplayConfig()
    costmap: CostmapConfig = CostmapConfig()
    planning: PlanningConfig = PlanningConfig()
    fixed_frame: str = Field("odom", description="frame in which ego motion is measured")
    base_frame: str = Field("base_link", description="ego frame")
    max_ahead_s: float = Field(
        5.0, gt=0, description="sets stamped further ahead of the ROS clock are dropped"
    )
    reliable_outputs: bool = Field(
        True, description="reliable results; false: as sensor data, best effort"
    )
