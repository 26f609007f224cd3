"""The semantic network at work: views of frames, classes on another grid, beside the stream."""

from dataclasses import replace

import pytest
import torch
from tiny_mono import NAMES, tiny_mono, tiny_mono_config
from tiny_network import frame, pose, tiny_config

from occflow_ros.engine import checkpoint
from occflow_ros.engine.load_semantics import with_semantics
from occflow_ros.engine.semantics import (
    SemanticEngine,
    SemanticStream,
    SemanticVoxels,
    views_of,
    with_classes,
)
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.errors import DataError
from occflow_ros.models.build import build_network
from occflow_ros.mono_config import MonoConfig
from occflow_ros.structures import UNKNOWN_CLASS_ID, OccupancyFlow, VoxelGrid

CPU = torch.device("cpu")
EMPTY = NAMES.index("empty")


def plain_stream():
    config = tiny_config()
    return OccupancyStream(build_network(config.model), config)


def constant_depth(flow, item):
    """4 m everywhere; remembers what it was asked."""
    constant_depth.asked.append((flow.stamp_ns, item.stamp_ns))
    return torch.full((len(item.rig.names), 8, 16), 4.0)


@pytest.fixture
def stream():
    constant_depth.asked = []
    return SemanticStream(plain_stream(), SemanticEngine(tiny_mono()), constant_depth)


def test_a_point_that_stands_still_is_seen_at_the_same_place_by_all_views():
    """The ego's motion between the frames is in the matrices of the past ones."""
    items = [frame(index, cameras=2) for index in (3, 2)]
    views = views_of(items, CPU)
    at_odom = torch.tensor([5003.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    in_current = torch.linalg.inv(items[0].odom_T_base) @ at_odom
    for time, item in enumerate(items):
        in_own = torch.linalg.inv(item.odom_T_base) @ at_odom
        for camera in range(2):
            expected = torch.linalg.inv(item.rig.base_T_camera[camera].double()) @ in_own
            camera_T_current = torch.linalg.inv(views.current_T_camera[0, time, camera].double())
            torch.testing.assert_close(camera_T_current @ in_current, expected, atol=1e-4, rtol=0)


def test_frames_of_different_rigs_are_refused():
    with pytest.raises(ValueError, match="frames: expected some of one rig and image size"):
        views_of([frame(1, cameras=2), frame(0, cameras=3)], CPU)
    with pytest.raises(ValueError, match="frames"):
        views_of([], CPU)


def test_the_engine_names_what_is_there_and_what_would_fill_each_voxel():
    network = tiny_mono()
    with torch.no_grad():  # empty wins everywhere, cars are next
        network.head.project.weight.zero_()
        network.head.project.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
    found = SemanticEngine(network).predict([frame(0)], torch.full((3, 8, 16), 4.0))
    assert found.grid == network.grid
    assert (found.class_id == EMPTY).all()
    assert (found.fill_id == NAMES.index("car")).all()
    assert found.class_names == NAMES


def flow_on(grid):
    return OccupancyFlow(
        stamp_ns=1,
        grid=grid,
        sdf_m=torch.zeros(grid.shape),
        flow_m=torch.zeros(*grid.shape, 2),
        interval_s=0.5,
        sharpness_per_m=10.0,
        level_m=0.1,
    )


def test_a_voxel_takes_the_class_around_its_centre_on_a_grid_of_any_size():
    coarse = VoxelGrid((0.0, 0.0, 0.0), (4.0, 2.0, 2.0), (2, 1, 1))
    fine = VoxelGrid((0.0, 0.0, 0.0), (6.0, 2.0, 2.0), (6, 2, 1))
    fill_id = torch.tensor([0, 1], dtype=torch.uint8).view(2, 1, 1)
    named = with_classes(flow_on(fine), SemanticVoxels(coarse, fill_id, fill_id, NAMES, EMPTY))
    expected = [0, 0, 1, 1, UNKNOWN_CLASS_ID, UNKNOWN_CLASS_ID]
    assert named.class_id[:, 0, 0].tolist() == expected
    assert named.class_id.dtype == torch.uint8
    assert named.class_names == NAMES


def test_occupancy_and_flow_stay_as_they_are(stream):
    plain = plain_stream()
    for index in range(3):
        expected, got = plain.step(frame(index)), stream.step(frame(index))
        assert torch.equal(got.sdf_m, expected.sdf_m)
        assert torch.equal(got.flow_m, expected.flow_m)
        assert got.class_names == stream.class_names == NAMES
        assert got.class_id.shape == got.grid.shape
        assert (got.class_id != EMPTY).all()  # what fills it if something does
    stamps = [frame(index).stamp_ns for index in range(3)]
    assert constant_depth.asked == list(zip(stamps, stamps))
    assert {"depth", "semantics", "lift"} <= set(stream.timings_ms)


def test_a_network_of_several_frames_forgets_with_the_stream():
    network = tiny_mono(frames=2)
    seen = []
    network.register_forward_pre_hook(
        lambda _, arguments: seen.append(arguments[0].images.shape[1])
    )
    stream = SemanticStream(
        plain_stream(), SemanticEngine(network), lambda flow, item: torch.ones(3, 8, 16)
    )
    for index in range(3):
        stream.step(frame(index))
    assert stream.history_bytes > 0
    far = frame(3, odom_T_base=pose(9000.0))  # a jump
    stream.step(far)
    assert stream.last_reset is not None
    stream.reset("asked for")
    stream.step(replace(frame(4), odom_T_base=pose(9001.0)))
    assert seen == [1, 2, 2, 1, 1]


def test_warming_up_leaves_no_past(stream):
    stream.warm_up(cameras=3)
    assert stream.history_bytes == 0


def saved(tmp_path, network, config):
    path = tmp_path / "weights.safetensors"
    checkpoint.save(path, network, config)
    return path


def test_a_checkpoint_of_the_other_kind_is_refused(tmp_path):
    config = tiny_config()
    path = saved(tmp_path, build_network(config.model), config)
    with pytest.raises(DataError, match="expected weights of MonoOcc, got those of OccFlow"):
        with_semantics(plain_stream(), path, 10.0)


def test_a_checkpoint_brings_its_network_and_classes(tmp_path):
    path = saved(tmp_path, tiny_mono(), MonoConfig(model=tiny_mono_config()))
    found = with_semantics(plain_stream(), path, 10.0).step(frame(0))
    assert found.class_names == NAMES
    assert found.class_id.unique().max() < EMPTY
