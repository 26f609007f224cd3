"""Dense inverse search on a moved texture and on the synthetic world, with its check."""

import cv2
import numpy as np
import pytest

from occflow_ros.cues.cue import FlowCue
from occflow_ros.cues.dis import DisFlow, DisOptions, consistent, dis_flow
from occflow_ros.cues.images import image_pairs
from occflow_ros.cues.sweeps import SweepFlow, compose
from occflow_ros.cues.truth import TruthFiles, TruthFlow
from occflow_ros.data.source import open_drive
from occflow_ros.data.synthetic import write_synthetic
from occflow_ros.errors import DataError

HEIGHT, WIDTH = 96, 128


def texture(seed=0, scale=4):
    """Smooth noise, larger than the image by 32 px on each side."""
    generator = np.random.default_rng(seed)
    noise = generator.uniform(0, 255, ((HEIGHT + 64) // scale, (WIDTH + 64) // scale))
    size = (WIDTH + 64, HEIGHT + 64)
    grey = cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC).clip(0, 255)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def crop(image, x=0, y=0):
    return np.ascontiguousarray(image[32 - y : 32 - y + HEIGHT, 32 - x : 32 - x + WIDTH])


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, -2), (-7, 5)])
def test_a_moved_texture_gives_its_motion(x, y):
    whole = texture()
    forward, backward = dis_flow(crop(whole), crop(whole, x, y), DisOptions())
    inside = (slice(16, -16), slice(16, -16))
    for cue, motion in ((forward, (x, y)), (backward, (-x, -y))):
        assert cue.valid[inside].all()
        assert np.abs(cue.flow_px[inside] - motion).max() < 0.1


def test_what_leaves_the_image_is_not_valid():
    whole = texture()
    forward, _ = dis_flow(crop(whole), crop(whole, 8, 0), DisOptions())
    assert not forward.valid[:, -7:].any()
    assert not forward.flow_px[:, -7:].any()


def test_what_gets_hidden_is_not_valid():
    """A patch moves 8 px to the right over a still background and hides 8 columns of it."""
    background, patch = crop(texture(0)), crop(texture(1))[:48, :40]
    images = [background.copy(), background.copy()]
    images[0][24:72, 40:80] = patch
    images[1][24:72, 48:88] = patch
    forward, backward = dis_flow(*images, DisOptions())
    hidden, shown_again = forward.valid[28:68, 81:87], backward.valid[28:68, 41:47]
    assert max(hidden.mean(), shown_again.mean()) < 0.15
    assert forward.valid[:, :32].mean() > 0.95
    np.testing.assert_allclose(np.median(forward.flow_px[30:66, 46:74], (0, 1)), (8, 0), atol=0.1)


def test_consistency_by_hand():
    forward, backward = np.zeros((2, 1, 6, 2), np.float32)
    forward[0, :, 0] = (1, 1, 1, 0, 0, 1)
    backward[0, :, 0] = (0, -1, -1, 0.5, 0, 0)
    # 0 → 1 → 0; 1 → 2 → 1; 2 → 3 → 3.5; 3 → 3 → 3.5; 4 → 4 → 4; 5 leaves the image
    expected = [[True, True, False, True, True, False]]
    assert consistent(forward, backward, 0.5).tolist() == expected
    assert consistent(forward, backward, 0.4).tolist()[0][3] is False


def test_options_out_of_range():
    with pytest.raises(ValueError, match="preset: expected one of"):
        DisOptions(preset="slow")
    with pytest.raises(ValueError, match="consistency_px: expected above 0"):
        DisOptions(consistency_px=0.0)


def test_images_too_small_for_the_search():
    with pytest.raises(DataError, match="expected images of 12 px or more, got 11x8 px"):
        dis_flow(*np.zeros((2, 8, 11, 3), np.uint8), DisOptions())


def test_accuracy_on_the_synthetic_world(tmp_path, scene):
    """Measured when written: 0.61 px in the mean, 0.22 in the median, 73 % of the pixels valid."""
    options = scene(seed=3, keyframes=2, image_hw_px=(112, 200))
    write_synthetic(tmp_path / "scene", "recording", options)
    drive = open_drive(tmp_path / "scene")
    exact = TruthFlow(TruthFiles(tmp_path / "scene", drive))
    errors_px, valid = [], []
    for pair in image_pairs(drive):
        for cue, truth in zip(DisFlow().estimate(pair), exact.estimate(pair)):
            both = cue.valid & truth.valid
            errors_px.append(np.linalg.norm(cue.flow_px - truth.flow_px, axis=-1)[both])
            valid.append(cue.valid)
    assert np.concatenate(errors_px).mean() < 1.0
    assert np.median(np.concatenate(errors_px)) < 0.4
    assert np.mean(valid) > 0.5


def test_flow_through_the_sweeps(tmp_path, scene):
    """Keyframes of 2 Hz with four sweeps between: measured 0.9 px, where the search itself has 9.

    Exact flow between the keyframes is that of the sweeps, one after the other.
    """
    options = scene(seed=3, keyframes=2, sweeps=3, rate_hz=2.5, image_hw_px=(84, 152))
    write_synthetic(tmp_path / "scene", "nuscenes", options)
    every_set = open_drive(tmp_path / "scene", keyframes_only=False)
    exact = TruthFlow(TruthFiles(tmp_path / "scene", every_set))
    keyframes = open_drive(tmp_path / "scene")
    through, direct = [], []
    for pair in image_pairs(keyframes):
        steps = [
            p for p in image_pairs(every_set) if p.earlier.camera.name == pair.earlier.camera.name
        ]
        truth = compose([exact.estimate(step)[0] for step in steps])
        for estimator, errors_px in ((SweepFlow(every_set), through), (DisFlow(), direct)):
            cue = estimator.estimate(pair)[0]
            both = cue.valid & truth.valid
            errors_px.append(np.linalg.norm(cue.flow_px - truth.flow_px, axis=-1)[both])
    through, direct = np.concatenate(through), np.concatenate(direct)
    print(through.mean(), direct.mean(), through.size, direct.size)
    assert through.mean() < 1.0 and through.mean() < 0.5 * direct.mean()
    assert through.size > 1.3 * direct.size


def test_without_sweeps_flow_through_them_is_the_search_itself(drive):
    pair = next(image_pairs(drive))
    for one, other in zip(SweepFlow(drive).estimate(pair), DisFlow().estimate(pair)):
        np.testing.assert_array_equal(one.valid, other.valid)
        np.testing.assert_array_equal(one.flow_px, other.flow_px)


def test_composed_flow_by_hand():
    """A point goes 1 px, then what is there goes 2 px; where either is not known, neither is."""
    first, second = np.zeros((2, 1, 4, 2), np.float32)
    first[0, :, 0] = (1, 1, 0, 0)
    second[0, :, 0] = (0, 2, 0, 0)
    valid = np.array([[True, True, False, True]])
    composed = compose([FlowCue(first, np.ones((1, 4), bool)), FlowCue(second, valid)])
    assert composed.valid.tolist() == [[True, False, False, True]]
    assert composed.flow_px[0, :, 0].tolist() == [3.0, 0.0, 0.0, 0.0]
