"""Small data sets in the official layouts, predictions for them, and jobs that compare the two."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from tiny_network import HW_PX, tiny_config

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.kitti_odometry import voxel_files
from occflow_ros.data.recorded_predictions import PREDICTION_TYPE
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.data.semantic_kitti import EMPTY
from occflow_ros.data.semantic_kitti_voxels import (
    prediction_path,
    read_voxel_truth,
    write_prediction,
)
from occflow_ros.data.synthetic import SceneOptions, write_synthetic
from occflow_ros.data.truth import read_truth, write_truth
from occflow_ros.evaluation.protocols import PROTOCOLS
from occflow_ros.evaluation.run import Job, evaluate
from occflow_ros.labels.store import label_path
from occflow_ros.structures import VoxelGrid

REPOSITORY = Path(__file__).resolve().parents[2]
GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), (32, 24, 8))  # the tiny network's box
ROAD, CAR = NAMES.index("driveable_surface"), NAMES.index("car")
WRITTEN = {
    "nuscenes": {"keyframes": 2, "rate_hz": 2.0},
    "semantickitti": {"keyframes": 3, "rate_hz": 10.0},  # the first one has voxels
    "recording": {"keyframes": 4, "rate_hz": 10.0, "grid": GRID},
}


def write(kind, folder):
    """A data set of a synthetic drive with the truth of its images."""
    options = SceneOptions(seed=1, image_hw_px=HW_PX, truth="all", **WRITTEN[kind])
    write_synthetic(folder, kind, options)
    return folder


def drive_of(folder):
    (drive,) = open_drives(folder, Selection())
    return drive


def job(protocol, data, **changes):
    """All sets of a data set; random weights of the tiny network without `predictions`."""
    plain = Job(
        protocol=protocol,
        data=(data,),
        selection=Selection(),
        sets=range(2**31),
        every=1,
        config=tiny_config(),
    )
    return replace(plain, **changes)


def quietly(records, _total):
    """Shows no progress."""
    return records


def numbers_of(job_, out, workers=1):
    """All numbers of an evaluation by name."""
    return PROTOCOLS[job_.protocol].numbers(evaluate(job_, out, workers, quietly).total)


def write_labels(drive, folder, change=lambda truth: truth):
    """Predictions in files: the truth of each set that has one, changed."""
    for camera_set in drive.sets:
        if camera_set.occupancy is not None:
            path = label_path(folder, drive, camera_set)
            path.parent.mkdir(parents=True)
            write_truth(path, change(read_truth(camera_set.occupancy)))
    return folder


def write_kitti_predictions(dataroot, folder, change=lambda classes: classes):
    """Predictions in SemanticKITTI's files: what counts of the truth of each frame, changed."""
    for frame, files in voxel_files(dataroot, "08").items():
        truth = read_voxel_truth(files)
        classes = np.where(truth.counted, truth.classes, np.uint8(EMPTY))
        write_prediction(prediction_path(folder, "08", frame), change(classes))
    return folder


def empty(truth):
    return replace(truth, semantics=np.full_like(truth.semantics, FREE))


def standing(truth):
    return replace(truth, velocity_mps=np.zeros_like(truth.velocity_mps))


def shifted(truth):
    """Everything one voxel to the left."""
    semantics = np.full_like(truth.semantics, FREE)
    semantics[:, 1:] = truth.semantics[:, :-1]
    velocity_mps = np.zeros_like(truth.velocity_mps)
    velocity_mps[:, 1:] = truth.velocity_mps[:, :-1]
    return replace(truth, semantics=semantics, velocity_mps=velocity_mps)


def flat(truth):
    """A road in the layer of the ego's origin, and nothing else."""
    _, _, lower_m = truth.grid.lower_m
    _, _, size_m = truth.grid.voxel_size_m
    semantics = np.full_like(truth.semantics, FREE)
    semantics[..., math.floor(-lower_m / size_m)] = ROAD
    return replace(standing(truth), semantics=semantics)


def as_written(out):
    """What `evaluation.json` holds; Python's own NaN and Infinity are no JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} in evaluation.json")

    return json.loads((out / "evaluation.json").read_text(), parse_constant=refuse)


def write_bag(path, scenes):
    """What a node records of scenes by their stamp: an MCAP with the message's definition.

    Args:
        scenes: `VoxelScene` by reference time in nanoseconds.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    definition = (REPOSITORY / "msg/OccupancyFlow.msg").read_text()
    store.register(get_types_from_msg(definition, PREDICTION_TYPE))
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection("/occflow/occupancy_flow", PREDICTION_TYPE, typestore=store)
        for stamp_ns, scene in scenes.items():
            message = _message(store.types, stamp_ns, scene)
            data = store.serialize_cdr(message, PREDICTION_TYPE)
            writer.write(topic, stamp_ns, data)
    return path


def _message(types, stamp_ns, scene):
    index = np.flatnonzero(scene.occupied).astype(np.uint32)
    velocity = np.rint(scene.velocity_mps.reshape(-1, 2)[index] / 0.01).astype(np.int16)
    time = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    return types[PREDICTION_TYPE](
        header=types["std_msgs/msg/Header"](time, "base_link"),
        origin=types["geometry_msgs/msg/Point"](*scene.grid.lower_m),
        voxel_size=types["geometry_msgs/msg/Vector3"](*scene.grid.voxel_size_m),
        shape=np.array(scene.grid.shape, np.uint32),
        index=index,
        probability=np.full(len(index), 255, np.uint8),
        velocity_x=velocity[:, 0].copy(),
        velocity_y=velocity[:, 1].copy(),
        interval=0.5,
        class_id=np.zeros(0, np.uint8),
    )
