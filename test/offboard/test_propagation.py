"""Stage 2: equal to the equations voxel by voxel; what moves neither smears nor vanishes."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from occflow_ros.data.drive import Camera
from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.geometry.se3 import from_rotation_translation
from occflow_ros.offboard.propagation import PropagationOptions, propagate, vote_weights
from occflow_ros.offboard.propagation_reference import propagate_slowly, weights_slowly
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo
from occflow_ros.structures import VoxelGrid

CAR, BUS, ROAD, FREE = range(4)
WORDS = Vocabulary(("car", "bus", "road", "free"), empty=FREE, movable=(CAR, BUS))
NOTHING_MOVABLE = replace(WORDS, movable=())
PERIOD_NS = 100_000_000
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


class Listed:
    """Frames in a list, and which of them were read."""

    def __init__(self, info, frames):
        self.info, self.listed, self.read = info, frames, []

    def frames(self, indices):
        for index in indices:
            self.read.append(index)
            yield self.listed[index]


def _camera(yaw_deg=0.0):
    ahead = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # optical axes in the ego frame
    rotation = Rotation.from_euler("z", yaw_deg, degrees=True).as_matrix() @ ahead
    pose = from_rotation_translation(rotation, (0.1, 0.05, 0.4))
    K = np.array([[30.0, 0, 18.5], [0, 30, 9.5], [0, 0, 1]])
    return Camera(f"at_{int(yaw_deg % 360)}", 40, 20, K, pose)


AHEAD = (_camera(),)


def _info(grid, poses, words=WORDS, cameras=AHEAD):
    count = len(poses)
    return RecordingInfo(
        name="street",
        grid=grid,
        vocabulary=words,
        frame_names=tuple(map(str, range(count))),
        stamps_ns=tuple(5 + i * PERIOD_NS for i in range(count)),
        world_T_base=np.stack(poses),
        cameras=tuple(cameras),
    )


def _shifted(*translation_m):
    return from_rotation_translation(np.eye(3), translation_m)


def _random_recording(seed, words=WORDS, cameras=AHEAD, velocity=True, count=5):
    """Cars, buses and road by chance in voxels that are not cubes, seen from anywhere."""
    rng = np.random.default_rng(seed)
    grid = VoxelGrid((-0.7, -1.5, -0.5), (2.0, 1.5, 1.1), (9, 8, 4))
    poses = [
        from_rotation_translation(
            Rotation.from_rotvec(rng.normal((0, 0, 0.4 * i), 0.1)).as_matrix(),
            rng.normal((100, 0, 0), 0.4),
        )
        for i in range(count)
    ]
    frames = []
    for _ in range(count):
        class_id = rng.choice(4, grid.shape, p=(0.2, 0.1, 0.2, 0.5)).astype(np.uint8)
        velocity_mps = rng.choice((0.0, 0.4, 2.0, -3.5), (*grid.shape, 2)).astype(np.float32)
        velocity_mps[class_id == FREE] = 0.0
        frames.append(RecordedFrame(class_id, velocity_mps if velocity else None))
    return Listed(_info(grid, poses, words, cameras), frames)


def _same(found, expected):
    np.testing.assert_array_equal(found.class_id, expected.class_id)
    if expected.velocity_mps is None:
        assert found.velocity_mps is None
    else:
        np.testing.assert_array_equal(found.velocity_mps, expected.velocity_mps)


def _one(recording, place, options, **keywords):
    ((found_place, frame),) = propagate(recording, [place], options, **keywords)
    assert found_place == place
    return frame


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("carry_moving", [True, False])
@pytest.mark.parametrize("sensor", ["camera", "lidar", "none"])
def test_equal_to_the_equations(sensor, carry_moving, backend, device):
    if (backend, device) == ("numba", "cuda"):
        pytest.skip("the kernel runs on a CPU")
    recording = _random_recording(seed=3)
    options = PropagationOptions(radius=2, sensor=sensor, carry_moving=carry_moving, carry_s=0.15)
    for place, found in propagate(recording, range(5), options, device, backend=backend):
        _same(found, _expected(place, options))


@functools.cache
def _expected(place, options):
    return propagate_slowly(_random_recording(seed=3), place, options)


@pytest.mark.parametrize(
    ("changes", "radius"),
    [({"velocity": False}, 1), ({"words": NOTHING_MOVABLE}, 9), ({}, 0), ({"cameras": ()}, 3)],
)
def test_equal_to_the_equations_without_some_of_it(changes, radius):
    recording = _random_recording(seed=4, **changes)
    sensor = "camera" if recording.info.cameras else "lidar"
    options = PropagationOptions(radius=radius, sensor=sensor)
    for place, found in propagate(recording, (4, 1), options):
        _same(found, propagate_slowly(recording, place, options))


@pytest.mark.parametrize("cameras", [AHEAD, (*AHEAD, _camera(120), _camera(240))])
@pytest.mark.parametrize("frustum", [True, False])
@pytest.mark.parametrize("near_box", [True, False])
def test_weights_equal_the_equations(cameras, frustum, near_box):
    info = _random_recording(seed=0, cameras=cameras).info
    options = PropagationOptions(frustum=frustum, near_box=near_box, near_box_m=(2.8, 1.2, 0.9))
    found = vote_weights(info, options)
    assert found.dtype == torch.int32
    expected = weights_slowly(info, options)
    assert {voxel: int(found[voxel]) for voxel in expected} == expected
    assert set(expected.values()) <= {1000, 100, 10}
    assert len(set(expected.values())) == 1 + frustum + near_box


def test_a_still_world_comes_back_as_it_was():
    rng = np.random.default_rng(0)
    grid = VoxelGrid((0.0, 0.0, 0.0), (4.0, 4.0, 2.0), (8, 8, 4))
    world = rng.integers(0, 4, (16, 16, 4)).astype(np.uint8)
    ways = [(0, 0), (1, 2), (3, 3), (8, 5)]  # in voxels of 0.5 m
    frames = [RecordedFrame(world[x : x + 8, y : y + 8].copy()) for x, y in ways]
    info = _info(grid, [_shifted(0.5 * x, 0.5 * y, 0.0) for x, y in ways])
    options = PropagationOptions(radius=3, sensor="none")
    for place, found in propagate(Listed(info, frames), range(4), options):
        _same(found, frames[place])


def test_what_few_frames_say_is_outvoted_by_weight():
    grid = VoxelGrid((0.0, -1.0, 0.0), (20.0, 1.0, 1.0), (20, 2, 1))
    volumes = np.full((5, *grid.shape), FREE, np.uint8)
    volumes[:3, 19] = ROAD  # 3 of 5 at equal weights
    volumes[3:, 2] = ROAD
    frames = [RecordedFrame(volume) for volume in volumes]
    recording = Listed(_info(grid, [_shifted(float(i), 0, 0) for i in (0, 0, 0, 17, 17)]), frames)
    equal = _one(recording, 0, PropagationOptions(radius=4, sensor="none"))
    lidar = _one(recording, 0, PropagationOptions(radius=4, sensor="lidar"))
    assert (equal.class_id[19] == ROAD).all()  # all five say so
    assert (lidar.class_id[19] == ROAD).all()
    volumes[3:, 2] = FREE
    equal = _one(recording, 0, PropagationOptions(radius=4, sensor="none"))
    lidar = _one(recording, 0, PropagationOptions(radius=4, sensor="lidar"))
    assert (equal.class_id[19] == ROAD).all()  # three of five
    assert (lidar.class_id[19] == FREE).all()  # but two of them saw it from near


def _drive_behind_a_car(speed_mps=10.0, count=11, words=WORDS):
    """The ego at 5 m/s on a road; a car of 4 x 2 x 2 voxels goes past it, 2 m to the left."""
    grid = VoxelGrid((-10.0, -4.0, 0.0), (20.0, 4.0, 2.0), (60, 16, 4))
    frames, poses = [], []
    for i in range(count):
        time_s = (i - count // 2) * PERIOD_NS * 1e-9
        class_id = np.full(grid.shape, FREE, np.uint8)
        class_id[:, :, 0] = ROAD
        velocity_mps = np.zeros((*grid.shape, 2), np.float32)
        first = 20 + round((speed_mps - 5.0) * time_s / 0.5)
        car = slice(first, first + 4), slice(11, 13), slice(1, 3)
        class_id[car], velocity_mps[car] = CAR, (speed_mps, 0.0)
        frames.append(RecordedFrame(class_id, velocity_mps))
        poses.append(_shifted(5.0 * time_s, 0.0, 0.0))
    return Listed(_info(grid, poses, words), frames)


EVERYWHERE = PropagationOptions(radius=10, sensor="none", free="all")


@pytest.mark.parametrize("place", [0, 3, 5, 10])
def test_a_moving_car_is_where_it_is_and_nowhere_else(place):
    recording = _drive_behind_a_car()
    found = _one(recording, place, EVERYWHERE)
    _same(found, recording.listed[place])
    assert (found.class_id == CAR).sum() == 16
    _same(_one(recording, place, replace(EVERYWHERE, free="seen")), found)
    still = _one(recording, place, replace(EVERYWHERE, carry_moving=False))
    assert (still.class_id == CAR).sum() == 0  # each place was free most of the time


def test_a_slow_car_is_left_where_it_was_unless_it_is_carried():
    recording = _drive_behind_a_car(speed_mps=5.0)  # a voxel per frame over ground
    options = replace(EVERYWHERE, radius=2)
    own = recording.listed[0].class_id == CAR
    still = _one(recording, 0, replace(options, carry_moving=False)).class_id == CAR
    assert (still & ~own).sum() == (own & ~still).sum() == 4  # where frame 1 has it
    np.testing.assert_array_equal(_one(recording, 0, options).class_id == CAR, own)


def test_a_car_that_the_target_missed_comes_back():
    recording = _drive_behind_a_car()
    truth = recording.listed[5]
    class_id = np.where(truth.class_id == CAR, FREE, truth.class_id).astype(np.uint8)
    recording.listed[5] = RecordedFrame(class_id, np.zeros_like(truth.velocity_mps))
    _same(_one(recording, 5, PropagationOptions(radius=10, sensor="none")), truth)


def test_a_mover_that_one_frame_claims_is_not_believed():
    recording = _drive_behind_a_car()
    truth = recording.listed[5]
    class_id, velocity_mps = truth.class_id.copy(), truth.velocity_mps.copy()
    class_id[40, 3, 1], velocity_mps[40, 3, 1] = BUS, (0.0, 3.0)
    recording.listed[3] = RecordedFrame(class_id, velocity_mps)
    for place in (3, 5):
        found = _one(recording, place, EVERYWHERE)
        assert not (found.class_id == BUS).any()
        assert (found.class_id == CAR).sum() == 16


def test_where_no_motion_is_known_what_can_move_is_not_voted_away():
    moving = _drive_behind_a_car()
    recording = Listed(moving.info, [RecordedFrame(frame.class_id) for frame in moving.listed])
    found = _one(recording, 5, EVERYWHERE)
    _same(found, recording.listed[5])
    still = _one(recording, 5, replace(EVERYWHERE, carry_moving=False))
    assert not (still.class_id == CAR).any()


def test_what_a_frame_cannot_see_it_does_not_call_empty():
    """Two walls, the far one hidden from all frames but the last, in which the near one is gone."""
    grid = VoxelGrid((0.0, -2.0, 0.0), (8.0, 2.0, 1.0), (8, 4, 1))
    both = np.full(grid.shape, FREE, np.uint8)
    both[3] = both[6] = ROAD
    near, far = (np.where(np.arange(8)[:, None, None] == x, ROAD, FREE) for x in (3, 6))
    frames = [RecordedFrame(one.astype(np.uint8)) for one in (near * np.ones_like(both),) * 4]
    frames.append(RecordedFrame((far * np.ones_like(both)).astype(np.uint8)))
    recording = Listed(_info(grid, [_shifted(0, 0, 0)] * 5, NOTHING_MOVABLE, ()), frames)
    seen = _one(recording, 0, replace(EVERYWHERE, free="seen")).class_id
    np.testing.assert_array_equal(seen, both)
    np.testing.assert_array_equal(_one(recording, 0, EVERYWHERE).class_id, frames[0].class_id)


def test_without_movable_classes_what_is_fast_moves():
    recording = _drive_behind_a_car(words=NOTHING_MOVABLE)
    _same(_one(recording, 5, PropagationOptions(sensor="none")), recording.listed[5])


def test_frames_far_in_time_do_not_say_where_a_car_is():
    recording = _drive_behind_a_car()
    truth = recording.listed[5]
    for place in (0, 1, 9, 10):  # turned away since: what they say of its way is wrong
        frame = recording.listed[place]
        recording.listed[place] = RecordedFrame(frame.class_id, frame.velocity_mps[..., ::-1])
    _same(_one(recording, 5, PropagationOptions(sensor="none", carry_s=0.3)), truth)


def test_no_vote_crosses_segments():
    recording = _random_recording(seed=6)
    options = PropagationOptions(radius=4, sensor="none")
    parts = [range(0, 2), range(2, 5)]
    for place, found in propagate(recording, range(5), options, segments=parts):
        segment = next(part for part in parts if place in part)
        _same(found, propagate_slowly(recording, place, options, segment))
        assert set(recording.read) <= set(range(segment.stop))
    with pytest.raises(ValueError, match="place 4: expected one of the segments"):
        list(propagate(recording, [4], options, segments=[range(2)]))


def test_frames_are_read_once_and_few_are_held(monkeypatch):
    recording = _random_recording(seed=7, count=30)
    held, taken = [], torch.empty

    def empty(*shape, **keywords):
        held.append(shape[0])
        return taken(*shape, **keywords)

    monkeypatch.setattr(torch, "empty", empty)
    list(propagate(recording, range(30), PropagationOptions(radius=2, sensor="none")))
    assert held[0] == (5, *recording.info.grid.shape)
    assert recording.read == list(range(30))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"radius": -1}, "radius: expected 0 or more frames, got -1"),
        ({"sensor": "radar"}, "sensor: expected one of"),
        ({"lidar_weights": (1e4, 0.1)}, "lidar_weights: expected 0 to 1000"),
        ({"near_box_m": (1.0, 0.0, 1.0)}, "near_box_m: expected positive"),
        ({"moving_mps": 0.0}, "moving_mps: expected a positive"),
        ({"carry_s": float("nan")}, "carry_s: expected 0 or more"),
    ],
)
def test_wrong_options_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        PropagationOptions(**changes)


def test_cameras_are_needed_for_weights_by_camera():
    recording = _random_recording(seed=0, cameras=())
    with pytest.raises(ValueError, match="expected the cameras of the recording, got none"):
        list(propagate(recording, [0], PropagationOptions()))


def test_windows_whose_votes_do_not_fit_are_refused():
    recording = _random_recording(seed=0)
    options = PropagationOptions(sensor="lidar", lidar_weights=(1000.0, 1000.0), radius=10**6)
    with pytest.raises(ValueError, match="expected at most 268 frames with these weights"):
        list(propagate(recording, [], options, segments=[range(300)]))
