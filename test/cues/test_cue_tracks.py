"""Tracks: chained flow, flow between two of their images, and their files."""

import numpy as np
import pytest

from occflow_ros.cues.cue import FlowCue
from occflow_ros.cues.images import image_pairs
from occflow_ros.cues.tracks import (
    TrackFlow,
    Tracks,
    flow_between,
    follow,
    read_tracks,
    write_tracks,
)
from occflow_ros.cues.truth import TruthFlow
from occflow_ros.errors import DataError


@pytest.fixture
def tracks():
    """One point moves (2, 1) px an image, one is lost in the second image."""
    pixels = np.array([[[1, 1], [3, 2], [5, 3]], [[4, 4], [0, 0], [4, 4]]], np.float32)
    visible = np.array([[True, True, True], [True, False, True]])
    return Tracks(np.array([10, 20, 30]), pixels, visible)


def test_flow_between_images(tracks):
    long = flow_between(tracks, 10, 30, (6, 8))
    assert np.argwhere(long.valid).tolist() == [[1, 1], [4, 4]]
    assert long.flow_px[1, 1].tolist() == [4.0, 2.0] and long.flow_px[4, 4].tolist() == [0.0, 0.0]
    back = flow_between(tracks, 20, 10, (6, 8))
    assert np.argwhere(back.valid).tolist() == [[2, 3]]
    assert back.flow_px[2, 3].tolist() == [-2.0, -1.0]
    with pytest.raises(ValueError, match="through the image at 15 ns, found none"):
        flow_between(tracks, 10, 15, (6, 8))


def test_following_flow():
    """A flow that grows with u: from 1 to 2 to 4; the point at the edge leaves."""
    flow_px = np.zeros((4, 8, 2), np.float32)
    flow_px[..., 0] = np.arange(8)
    cue = FlowCue(flow_px, np.ones((4, 8), bool))
    tracks = follow([cue, cue], np.array([[1.0, 2.0], [0.5, 0.0], [5.0, 1.0]]), [0, 1, 2])
    assert tracks.pixels[0].tolist() == [[1.0, 2.0], [2.0, 2.0], [4.0, 2.0]]
    assert tracks.pixels[1, :, 0].tolist() == [0.5, 1.0, 2.0]
    assert tracks.visible.tolist() == [[True] * 3, [True] * 3, [True, True, False]]


def test_files_round_trip(tracks, tmp_path):
    write_tracks(tmp_path / "cam.npz", tracks)
    read = read_tracks(tmp_path / "cam.npz")
    for name in ("stamps_ns", "pixels", "visible"):
        np.testing.assert_array_equal(getattr(read, name), getattr(tracks, name))
    (tmp_path / "cam.npz").write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match="expected an npz of tracks"):
        read_tracks(tmp_path / "cam.npz")


def test_tracks_of_the_synthetic_world_become_its_flow(drive, truth_files, tmp_path):
    """Points followed through exact flow are, from one image to the next, that flow."""
    exact = TruthFlow(truth_files)
    pairs = [pair for pair in image_pairs(drive) if pair.earlier.camera.name == "cam_front"]
    flows = [exact.estimate(pair)[0] for pair in pairs]
    start = np.argwhere(flows[0].valid)[:, ::-1]
    stamps_ns = [pairs[0].earlier.file.stamp_ns, *(pair.later.file.stamp_ns for pair in pairs)]
    tracks = follow(flows, start, stamps_ns)
    (tmp_path / "tracks").mkdir()
    write_tracks(tmp_path / "tracks" / "cam_front.npz", tracks)
    forward, backward = TrackFlow(tmp_path).estimate(pairs[0])
    np.testing.assert_array_equal(forward.valid, flows[0].valid)
    np.testing.assert_allclose(forward.flow_px, flows[0].flow_px, atol=1e-5)
    assert backward.valid.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visible": np.ones((2, 3))}, "visible: expected"),
        ({"pixels": np.zeros((2, 3, 2))}, "pixels: expected"),
        ({"stamps_ns": np.array([1, 2])}, "stamps_ns: expected"),
        ({"stamps_ns": np.array([1, 3, 2])}, "increasing"),
        ({"pixels": np.full((2, 3, 2), np.nan, np.float32)}, "finite"),
    ],
)
def test_tracks_check_themselves(changes, message, tracks):
    values = {name: getattr(tracks, name) for name in ("stamps_ns", "pixels", "visible")}
    with pytest.raises(ValueError, match=message):
        Tracks(**{**values, **changes})
