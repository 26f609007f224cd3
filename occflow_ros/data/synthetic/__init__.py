"""A procedural driving world with exact truth, rendered by closed-form ray intersection."""

from occflow_ros.data.synthetic.frames import SyntheticSet, frames, render_rig, rendering_workers
from occflow_ros.data.synthetic.lidar import lidar_sweep
from occflow_ros.data.synthetic.occupancy import occupancy_truth
from occflow_ros.data.synthetic.optical_flow import OpticalFlow, optical_flow
from occflow_ros.data.synthetic.render import Rendering, render
from occflow_ros.data.synthetic.rig import Rig, nuscenes_rig
from occflow_ros.data.synthetic.street import make_world
from occflow_ros.data.synthetic.world import World
from occflow_ros.data.synthetic.write import SceneOptions, write_synthetic

__all__ = [
    "OpticalFlow",
    "Rendering",
    "Rig",
    "SceneOptions",
    "SyntheticSet",
    "World",
    "frames",
    "lidar_sweep",
    "make_world",
    "nuscenes_rig",
    "occupancy_truth",
    "optical_flow",
    "render",
    "render_rig",
    "rendering_workers",
    "write_synthetic",
]
