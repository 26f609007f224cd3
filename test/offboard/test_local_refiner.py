"""Stage 1 over recordings: whatever part is asked for, short segments, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_recording import GRID, WORDS, write_recording
from tiny_refine import tiny_refine, tiny_refine_config

from occflow_ros.config import GridConfig
from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.engine import checkpoint
from occflow_ros.errors import DataError
from occflow_ros.models.refine.coordinates import relative_coordinates, relative_poses
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.local_refiner import LocalRefiner, kept_velocities
from occflow_ros.offboard.recording import RecordedFrame
from occflow_ros.offboard.window_refiner import window_sizes
from occflow_ros.offboard.windows import aligned_windows
from occflow_ros.refine_config import RefineClassesConfig, RefineConfig

MODEL = tiny_refine_config(
    grid=GridConfig(lower_m=GRID.lower_m, upper_m=GRID.upper_m, shape=GRID.shape),
    classes=RefineClassesConfig.of(WORDS),
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "refine.safetensors"
    network = tiny_refine(grid=MODEL.grid, classes=MODEL.classes)
    checkpoint.save(path, network, RefineConfig(model=MODEL))
    return path


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    return write_recording(tmp_path_factory.mktemp("street"), count=11)


def refined(weights, recording, places, segment):
    found = list(LocalRefiner(weights).refine(recording, places, segment))
    assert [place for place, _ in found] == list(places)
    return [frame for _, frame in found]


def classes(frames):
    return np.stack([frame.class_id for frame in frames])


def test_it_refines_as_the_network_does(weights, street):
    segment = range(0, 11)
    window, answers = list(aligned_windows(segment, window_sizes(MODEL)))[1]
    assert (answers, len(window.references)) == (range(3, 6), 2)
    onboard = torch.from_numpy(classes(street.frames(window.places))).long()
    poses = relative_poses(street.info.world_T_base[list(window.places)], window.pivot, GRID)
    network = tiny_refine(grid=MODEL.grid, classes=MODEL.classes)
    with torch.no_grad():
        logits = network(onboard[None], relative_coordinates(poses, GRID.shape)[None], 3)
    expected = logits[0].argmax(dim=1).numpy()
    assert (expected != onboard[:3].numpy()).any()
    assert np.array_equal(classes(refined(weights, street, answers, segment)), expected)


def test_frames_are_the_same_whichever_are_asked_for(weights, street):
    segment = range(1, 11)
    whole = classes(refined(weights, street, segment, segment))
    for places in (range(1, 6), range(6, 11), range(4, 5), range(9, 11)):
        part = classes(refined(weights, street, places, segment))
        assert np.array_equal(part, whole[places.start - 1 : places.stop - 1])


def test_nothing_outside_of_the_segment_is_looked_at(weights, street, tmp_path):
    alone = FrameStore.create(tmp_path / "alone", street.info)
    for place in range(2, 7):
        alone.write(place, street.load(place))
    segment = range(2, 7)
    found = refined(weights, alone, segment, segment)
    assert np.array_equal(classes(found), classes(refined(weights, street, segment, segment)))


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_segments_shorter_than_a_window(weights, street, length):
    segment = range(5, 5 + length)
    assert classes(refined(weights, street, segment, segment)).shape == (length, *GRID.shape)


def test_a_drive_is_refined_alike_wherever_it_is(weights, street, tmp_path):
    """Only relative poses count, so a drive somewhere else is refined alike."""
    info = street.info
    turn = np.eye(4)
    turn[:2, :2], turn[:3, 3] = ((0.0, -1.0), (1.0, 0.0)), (900.0, -80.0, 7.0)
    moved = FrameStore.create(tmp_path, replace(info, world_T_base=turn @ info.world_T_base))
    for place in range(len(info)):
        moved.write(place, street.load(place))
    segment = range(0, 11)
    found = classes(refined(weights, moved, segment, segment))
    same = found == classes(refined(weights, street, segment, segment))
    assert same.mean() > 0.999  # but for rounding


def test_velocities_stay_with_what_is_movable_and_was_there():
    onboard = np.array([[[0, 0, 2, 1]]], np.uint8)  # car, car, free, road
    velocity_mps = np.full((1, 1, 4, 2), 3.0, np.float32)
    after = np.array([[[0, 1, 0, 0]]], np.uint8)
    kept = kept_velocities(RecordedFrame(onboard, velocity_mps), after, WORDS)
    assert kept.dtype == np.float32
    assert kept[0, 0, :, 0].tolist() == [3.0, 0.0, 0.0, 3.0]
    assert kept_velocities(RecordedFrame(onboard), after, WORDS) is None


def test_velocities_of_a_recording(weights, street):
    segment = range(0, 11)
    for place, frame in enumerate(refined(weights, street, segment, segment)):
        moving = frame.velocity_mps[..., 0] == 2.0
        assert np.array_equal(moving, (frame.class_id == 0) & (street.load(place).class_id == 0))


def test_another_grid_is_refused(weights, street, tmp_path):
    grid = replace(GRID, upper_m=(4.0, 4.0, 2.0))
    other = FrameStore.create(tmp_path, replace(street.info, grid=grid))
    with pytest.raises(DataError, match=r"street: expected voxels on .*1\.0\).*, got .*2\.0\)"):
        next(LocalRefiner(weights).refine(other, range(1), range(1)))


@pytest.mark.parametrize(
    "words",
    [
        Vocabulary(("truck", "road", "free"), 2, (0,)),
        Vocabulary(("road", "car", "free"), 2, (1,)),
        Vocabulary(WORDS.names, 1, (0,)),
    ],
)
def test_other_classes_are_refused(weights, street, tmp_path, words):
    other = FrameStore.create(tmp_path, replace(street.info, vocabulary=words))
    with pytest.raises(DataError, match="expected the classes of the network, car, road, free"):
        next(LocalRefiner(weights).refine(other, range(1), range(1)))


def test_places_outside_of_the_segment_are_refused(weights, street):
    with pytest.raises(ValueError, match="expected some of"):
        next(LocalRefiner(weights).refine(street, range(3, 6), range(0, 5)))


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    checkpoint.save(path, torch.nn.Linear(1, 1), checkpoint.Config())
    with pytest.raises(DataError, match="expected weights of OccFiner, got those of OccFlow"):
        LocalRefiner(path)


def test_a_missing_frame_is_named(weights, street, tmp_path):
    empty = FrameStore.create(tmp_path, street.info)
    with pytest.raises(DataError, match=r"000000\.npz: frame is missing"):
        next(LocalRefiner(weights).refine(empty, range(1), range(1)))
