"""The map of a tiny world: exact, whatever the division, and readable by everybody."""

import errno
import os
import sys
import weakref
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("zarr")
sys.path.insert(0, str(Path(__file__).parent))
from tiny_recording import GRID, WORDS, contents, write_recording

from occflow_ros.cli import main
from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.errors import ConfigError, DataError, OutputError
from occflow_ros.geometry.se3 import from_rotation_translation, inverse, transform_points
from occflow_ros.offboard.city_map.align import aligned, read_transform
from occflow_ros.offboard.city_map.build import MapOptions, begin_map, build_map
from occflow_ros.offboard.city_map.columns import NOWHERE, columns_of
from occflow_ros.offboard.city_map.lattice import Lattice, lattice_around
from occflow_ros.offboard.city_map.nav import NavOptions, write_nav
from occflow_ros.offboard.city_map.octomap import DEPTH, write_octomap
from occflow_ros.offboard.city_map.picture import draw_map
from occflow_ros.offboard.city_map.ply import write_ply
from occflow_ros.offboard.city_map.score import score_map
from occflow_ros.offboard.city_map.store import GROUP, CityMap, MapInfo
from occflow_ros.offboard.city_map.votes import Mapped, Voters, decide, map_region
from occflow_ros.offboard.engines import EngineOptions, OneProcess, open_engine
from occflow_ros.offboard.propagation import PropagationOptions, vote_weights
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo
from occflow_ros.ops.lattice_vote import add_votes
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

CAR, ROAD, FREE = range(3)
EVEN = PropagationOptions(sensor="none", free="all")
PLAIN = MapOptions(region_shape=(8, 8, 8), weights=EVEN)


@dataclass(frozen=True)
class Memory:
    """A `Recording` in memory that counts how many frames are held at once."""

    info: RecordingInfo
    class_id: tuple

    def frames(self, indices):
        for index in indices:
            yield RecordedFrame(self.class_id[index])


def _turned(degrees, x_m=0.0, y_m=0.0, z_m=0.0):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return from_rotation_translation([[c, -s, 0], [s, c, 0], [0, 0, 1]], (x_m, y_m, z_m))


def _recording(poses, class_id, grid=GRID, words=WORDS, name="street"):
    count = len(poses)
    info = RecordingInfo(
        name, grid, words, tuple(map(str, range(count))), tuple(range(count)), np.stack(poses)
    )
    return Memory(info, tuple(class_id))


def _random(count=6, seed=0):
    chance = np.random.default_rng(seed)
    poses = [_turned(*chance.uniform((-180, -5, -5, -1), (180, 5, 5, 1))) for _ in range(count)]
    volumes = [chance.integers(0, 3, GRID.shape).astype(np.uint8) for _ in range(count)]
    return _recording(poses, volumes)


def _map(folder, recordings, options=PLAIN, engine=None):
    city = begin_map([one.info for one in recordings], folder, options)
    build_map(city, recordings, options, engine or OneProcess(), lambda items, *_: items)
    return city


def _whole(city, lower=None, shape=None):
    lattice = city.info.lattice
    return city.read(lattice.lower if lower is None else lower, shape or lattice.shape)


def _by_hand(recordings, weights, lattice):
    """Voxel by voxel: which class has most of the votes of the frames that hold its centre."""
    class_id = np.full(lattice.shape, UNKNOWN_CLASS_ID, np.uint8)
    confidence = np.zeros(lattice.shape, np.uint8)
    for index in np.ndindex(*lattice.shape):
        center_m = lattice.centers_m(np.array(index) + lattice.lower)
        votes = {ROAD: 0, FREE: 0}
        for recording in recordings:
            grid = recording.info.grid
            for pose, volume in zip(recording.info.world_T_base, recording.class_id):
                there_m = transform_points(inverse(pose), center_m)
                at = np.floor((there_m - grid.lower_m) / grid.voxel_size_m).astype(int)
                if ((at >= 0) & (at < grid.shape)).all() and volume[tuple(at)] in votes:
                    votes[volume[tuple(at)]] += int(weights[tuple(at)])
        if any(votes.values()):
            class_id[index] = max(votes, key=votes.get)  # the occupied one of equals
            confidence[index] = max(1, round(255 * max(votes.values()) / sum(votes.values())))
    return Mapped(class_id, confidence)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("sensor", ["none", "lidar"])
def test_votes_are_those_counted_by_hand(backend, sensor):
    recordings = [_random(seed=1), _random(3, seed=2)]
    lattice = lattice_around([one.info for one in recordings], None, (99, 99, 99))
    weights = vote_weights(recordings[0].info, PropagationOptions(sensor=sensor)).numpy()
    voters = [Voters(one, range(len(one.info)), weights) for one in recordings]
    found = map_region(voters, lattice, (0, 0, 0), backend)
    expected = _by_hand(recordings, weights, lattice)
    np.testing.assert_array_equal(found.class_id, expected.class_id)
    np.testing.assert_array_equal(found.confidence, expected.confidence)
    assert {CAR}.isdisjoint(found.class_id.flat) and (found.class_id == FREE).any()


def test_shares_become_bytes_and_equals_go_to_what_is_occupied():
    votes = np.array([[3, 1], [2, 2], [0, 0], [1, 999_999]], np.int32).reshape(4, 1, 1, 2)
    found = decide(votes, (ROAD, FREE))
    assert found.class_id.ravel().tolist() == [ROAD, ROAD, UNKNOWN_CLASS_ID, FREE]
    assert found.confidence.ravel().tolist() == [191, 128, 0, 255]


def test_region_size_and_order_of_drives_change_nothing(tmp_path):
    drives = [_random(seed=1), _random(4, seed=2)]
    first = _map(tmp_path / "a", drives)
    other = _map(tmp_path / "b", drives[::-1], replace(PLAIN, region_shape=(5, 7, 3)))
    assert len(first.finished) != len(other.finished)
    for one, two in zip(vars_of(_whole(first)), vars_of(_whole(other))):
        np.testing.assert_array_equal(one, two)


def vars_of(mapped):
    return mapped.class_id, mapped.confidence


def test_workers_change_no_byte(tmp_path):
    store = write_recording(tmp_path / "drive", count=6)
    _map(tmp_path / "one", [store])
    with open_engine(EngineOptions(workers=2)) as engine:
        _map(tmp_path / "two", [store], engine=engine)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_chunks_without_content_are_not_written(tmp_path):
    poses = [np.eye(4), _turned(0, x_m=400.0)]
    city = _map(tmp_path, [_recording(poses, [np.full(GRID.shape, FREE, np.uint8)] * 2)])
    chunks = [path for path in (tmp_path / GROUP / "class_id" / "c").rglob("*") if path.is_file()]
    assert city.info.lattice.shape[0] == 408
    assert len(city.finished) == len(chunks) == 2


def test_few_frames_are_held_at_a_time(tmp_path):
    store, read, held = write_recording(tmp_path / "drive", count=20), [], []

    class Watched:
        info = store.info

        def frames(self, indices):
            for frame in store.frames(indices):
                read.append(weakref.ref(frame.class_id))
                held.append(sum(one() is not None for one in read))
                yield frame

    _map(tmp_path / "map", [Watched()])
    assert len(read) > 20 and max(held) <= 2


def test_what_moves_leaves_no_trace(tmp_path):
    empty = np.full(GRID.shape, FREE, np.uint8)
    volumes = [empty.copy() for _ in range(3)]
    for place, volume in enumerate(volumes):
        volume[place, 4, 0] = CAR  # drives on
        volume[6, 6, 0] = CAR  # stands all the time
    mapped = _whole(_map(tmp_path, [_recording([np.eye(4)] * 3, volumes)])).class_id
    assert (mapped[:3, 4, 0] == FREE).all()
    assert mapped[6, 6, 0] == UNKNOWN_CLASS_ID
    assert np.count_nonzero(mapped != FREE) == 1


def test_what_is_hidden_is_not_voted_away(tmp_path):
    volumes = [np.full(GRID.shape, FREE, np.uint8) for _ in range(4)]
    volumes[0][6, 4, :] = ROAD  # seen once
    for volume in volumes[1:]:
        volume[5, 3:6, :] = ROAD  # stands before it, the sensor is in the middle of the grid
    recording = _recording([np.eye(4)] * 4, volumes)
    all_vote = _whole(_map(tmp_path / "all", [recording])).class_id
    seen_vote = _whole(
        _map(tmp_path / "seen", [recording], replace(PLAIN, weights=replace(EVEN, free="seen")))
    ).class_id
    assert (all_vote[6, 4] == FREE).all() and (seen_vote[6, 4] == ROAD).all()
    assert (seen_vote[5, 4] == ROAD).all() and (seen_vote[:4] == FREE).all()


def test_flat_ground_stays_one_voxel_thick():
    grid = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 0.6), (10, 10, 4))  # edges at -0.2 and 0.2
    ground = np.full(grid.shape, FREE, np.uint8)
    ground[:, :, 2] = ROAD
    recording = _recording([_turned(30 * i, x_m=0.3 * i) for i in range(5)], [ground] * 5, grid)
    lattice = lattice_around([recording.info], None, (64, 64, 64))
    weights = vote_weights(recording.info, EVEN).numpy()
    mapped = map_region([Voters(recording, range(5), weights)], lattice, (0, 0, 0))
    assert lattice.shape[2] == 4
    assert np.unique(mapped.class_id[:, :, 2]).tolist() == [ROAD, UNKNOWN_CLASS_ID]
    assert ROAD not in mapped.class_id[:, :, [0, 1, 3]]


def test_drives_in_other_frames_are_brought_together(tmp_path):
    volume = np.random.default_rng(0).integers(1, 3, GRID.shape).astype(np.uint8)
    here = _recording([np.eye(4)], [volume])
    away = _recording([_turned(90, 7.0, 2.0)], [volume], name="other")
    (tmp_path / "t.txt").write_text(
        "\n".join(" ".join(map(str, row)) for row in inverse(away.info.world_T_base[0]).tolist())
    )
    moved = aligned([here, away], {"other": read_transform(tmp_path / "t.txt")})
    both, one = _map(tmp_path / "both", moved), _map(tmp_path / "one", [here])
    np.testing.assert_array_equal(_whole(both).class_id, _whole(one).class_id)
    with pytest.raises(ConfigError, match=r"expected names out of .*got \['nobody'\]"):
        aligned([here], {"nobody": np.eye(4)})
    (tmp_path / "t.txt").write_text("1 2 3")
    with pytest.raises(ConfigError, match="12 or 16 numbers"):
        read_transform(tmp_path / "t.txt")


def test_other_voxels_take_what_is_at_their_centres(tmp_path):
    volume = np.random.default_rng(0).integers(1, 3, GRID.shape).astype(np.uint8)
    city = _map(tmp_path, [_recording([np.eye(4)], [volume])], replace(PLAIN, voxel_size_m=0.5))
    fine = volume.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(_whole(city).class_id, fine)


# --- what is there is kept, what is wrong is refused


def test_a_stopped_run_goes_on(tmp_path, monkeypatch):
    store, small = (
        write_recording(tmp_path / "drive", count=2),
        replace(PLAIN, region_shape=(4, 8, 2)),
    )
    _map(tmp_path / "whole", [store], small)
    city = begin_map([store.info], tmp_path / "map", small)
    full = CityMap.write
    done = []

    def stops(self, *args):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(args[0])
        return full(self, *args)

    monkeypatch.setattr(CityMap, "write", stops)
    with pytest.raises(KeyboardInterrupt):
        build_map(city, [store], small, OneProcess(), lambda items, *_: items)
    monkeypatch.setattr(CityMap, "write", full)
    assert city.finished == tuple(done)
    report = build_map(city, [store], small, OneProcess(), lambda items, *_: items)
    assert (report.kept, report.made) == (2, 1)
    assert contents(tmp_path / "map") == contents(tmp_path / "whole")


@pytest.mark.parametrize("at", ["chunk", "counts"])
def test_a_full_disk_leaves_the_region_undone(tmp_path, monkeypatch, at):
    store = write_recording(tmp_path / "drive", count=2)
    city = begin_map([store.info], tmp_path / "map", PLAIN)
    before = contents(tmp_path / "map")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if at == "chunk":
            patch.setattr("zarr.storage._local._put", full)
        else:
            patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="No space left"):
            build_map(city, [store], PLAIN, OneProcess(), lambda items, *_: items)
    assert city.finished == ()
    if at == "chunk":
        assert contents(tmp_path / "map") == before
    _map(tmp_path / "map", [store])
    _map(tmp_path / "whole", [store])
    assert contents(tmp_path / "map") == contents(tmp_path / "whole")


def test_another_map_in_the_folder_is_refused(tmp_path):
    _map(tmp_path, [_random()])
    with pytest.raises(OutputError, match="holds another map"):
        begin_map([_random(seed=5).info], tmp_path, PLAIN)
    with pytest.raises(OutputError, match="holds another map"):
        begin_map([_random().info], tmp_path, replace(PLAIN, voxel_size_m=0.5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": VoxelGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (8, 8, 2))}, "expected the grid of"),
        ({"vocabulary": Vocabulary(("car", "lawn", "free"), 2, (0,))}, "expected the vocabulary"),
    ],
)
def test_drives_that_do_not_fit_together_are_refused(tmp_path, change, message):
    info = _random().info
    with pytest.raises(DataError, match=message):
        begin_map([info, replace(info, name="other", **change)], tmp_path, PLAIN)
    with pytest.raises(DataError, match="at least one recording"):
        begin_map([], tmp_path, PLAIN)
    with pytest.raises(DataError, match="expected cameras to weight"):
        begin_map([info], tmp_path, MapOptions())
    assert not any(tmp_path.iterdir())


def test_a_missing_frame_is_named_and_leaves_no_region(tmp_path):
    store = write_recording(tmp_path / "drive", count=3)
    (tmp_path / "drive" / "frames" / "000001.npz").unlink()
    with pytest.raises(DataError, match=r"000001\.npz: frame is missing"):
        _map(tmp_path / "map", [store])
    assert CityMap(tmp_path / "map").finished == ()


def test_what_is_no_map_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected a map"):
        CityMap(tmp_path)
    _map(tmp_path, [_random()])
    (tmp_path / GROUP / "zarr.json").write_text("{")
    with pytest.raises(DataError, match="expected a map"):
        CityMap(tmp_path)


def test_votes_without_a_place_are_refused():
    votes, volume = np.zeros((2, 2, 2, 2), np.int32), np.zeros((2, 2, 2), np.uint8)
    box, affine = np.array([[0, 0, 0], [2, 2, 2]]), np.eye(3, 4)
    with pytest.raises(ValueError, match="as many int32 weights"):
        add_votes(votes, (0, 0, 0), box, volume, votes[..., 0].astype(np.int64), affine)
    heavy = np.full(GRID.shape, 2**30, np.int32)
    with pytest.raises(ValueError, match="expected votes of at most"):
        recording = _random()
        lattice = lattice_around([recording.info], None, (99, 99, 99))
        map_region([Voters(recording, range(6), heavy)], lattice, (0, 0, 0))


# --- score


def test_perfect_and_other_maps_are_scored(tmp_path):
    volume = np.full(GRID.shape, FREE, np.uint8)
    volume[:4] = ROAD  # 64 of 128 voxels
    half = volume.copy()
    half[:2] = FREE
    true, same, less = (
        _map(tmp_path / name, [_recording([np.eye(4)], [one])])
        for name, one in (("true", volume), ("same", volume), ("less", half))
    )
    assert score_map(same, true).iou["road"] == 1.0
    found = score_map(less, true)
    assert found.iou["road"] == found.completion.iou == found.mean_iou_of_true == 0.5
    elsewhere = _map(tmp_path / "far", [_recording([_turned(0, x_m=100.0)], [volume])])
    assert score_map(elsewhere, true).iou["road"] == 0.0
    other = _map(tmp_path / "o", [_random()], replace(PLAIN, voxel_size_m=0.5))
    with pytest.raises(DataError, match="expected the voxel size"):
        score_map(other, true)


# --- files for others


NAMES = Vocabulary(("car", "driveable_surface", "manmade", "free"), empty=3, movable=(0,))


def _street(tmp_path):
    """Ground at z index 0, a wall of two voxels at x = 2, a parked car at x = 5."""
    grid = VoxelGrid((0.0, 0.0, 0.0), (8.0, 4.0, 4.0), (8, 4, 4))
    class_id = np.full(grid.shape, 3, np.uint8)
    class_id[:, :, 0] = 1
    class_id[2, :, 1:3] = 2
    class_id[5, 1, 0:2] = 0
    return _map(tmp_path, [_recording([np.eye(4)], [class_id], grid, NAMES)])


def test_columns_say_what_is_on_top(tmp_path):
    columns = columns_of(_street(tmp_path))
    assert columns.top[:, 1].tolist() == [0, 0, 2, 0, 0, NOWHERE, 0, 0]
    assert columns.class_id[[2, 5, 7], 1].tolist() == [2, UNKNOWN_CLASS_ID, 1]
    assert columns.ground[2, 1] == 0 and columns.ground[5, 1] == NOWHERE and columns.known.all()


def test_points_come_back(tmp_path):
    city = _street(tmp_path)
    assert write_ply(city, tmp_path / "map.ply") == 39
    head, _, body = (tmp_path / "map.ply").read_bytes().partition(b"end_header\n")
    lines = head.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert "element vertex 39" in lines and "comment class 2 manmade" in lines
    kinds = {"double": "<f8", "uchar": "u1"}
    fields = [line.split()[1:] for line in lines if line.startswith("property")]
    points = np.frombuffer(body, [(name, kinds[kind]) for kind, name in fields])
    assert len(points) == 39
    found = {(*point.tolist()[:3], point["class_id"]) for point in points}
    assert {(2.5, 0.5, 1.5, 2), (0.5, 0.5, 0.5, 1)} <= found
    assert len({point.tolist()[3:6] for point in points}) == 2
    assert set(points["confidence"]) == {255}


def _leaves(path):
    """Free and occupied voxels of a `.bt` file, read strictly: {voxel: state}."""
    head, _, body = path.read_bytes().partition(b"\ndata\n")
    lines = head.decode().splitlines()
    assert lines[0] == "# Octomap OcTree binary file" and "id OcTree" in lines
    found, nodes, at = {}, 0, 0
    half = 2 ** (DEPTH - 1)

    def walk(corner, size):
        nonlocal nodes, at
        nodes += 1
        number = int.from_bytes(body[at : at + 2], "little")
        at += 2
        assert number  # an inner node has a child
        states = [number >> 2 * child & 3 for child in range(8)]
        for child, state in enumerate(states):
            bits = child & 1, child >> 1 & 1, child >> 2
            lower = tuple(a + bit * size // 2 for a, bit in zip(corner, bits))
            if state == 3:
                walk(lower, size // 2)
            elif state:
                nodes += 1
                edge = size // 2
                for offset in np.ndindex(edge, edge, edge):
                    found[tuple(np.add(lower, offset).tolist())] = state

    if body:
        walk((-half,) * 3, 2 * half)
    assert at == len(body) and f"size {nodes}" in lines
    return found, lines


@pytest.mark.parametrize("lower", [(0, 0, 0), (-3, -70, 5), (-70, 60, -2)])
def test_an_octree_comes_back(tmp_path, lower):
    chance = np.random.default_rng(0)
    shape = (20, 16, 12)
    lattice = Lattice((0.5,) * 3, (0.0, 0.0, 0.2), lower, shape, (16, 16, 16))
    city = CityMap.create(tmp_path, MapInfo(lattice, WORDS, (("a", 1),), np.eye(4)[None], {}))
    class_id = chance.choice(np.array([ROAD, FREE, UNKNOWN_CLASS_ID], np.uint8), shape)
    class_id[:8, :8, :8] = FREE  # to be joined
    for number in np.ndindex(2, 1, 1):
        first, part = lattice.region(number)
        at = tuple(slice(a - b, a - b + n) for a, b, n in zip(first, lower, part))
        city.write(number, Mapped(class_id[at], np.zeros(part, np.uint8)), 1)
    np.testing.assert_allclose(write_octomap(city, tmp_path / "map.bt"), (0.0, 0.0, -0.2))
    found, lines = _leaves(tmp_path / "map.bt")
    states = {ROAD: 2, FREE: 1}
    expected = {
        tuple(np.add(index, lower).tolist()): states[class_id[index]]
        for index in np.ndindex(*shape)
        if class_id[index] in states
    }
    assert found == expected and "res 0.5" in lines


def test_octrees_have_limits(tmp_path):
    flat = VoxelGrid((0.0, 0.0, 0.0), (4.0, 4.0, 1.0), (4, 4, 2))
    volume = np.full(flat.shape, ROAD, np.uint8)
    city = _map(tmp_path / "flat", [_recording([np.eye(4)], [volume], flat)])
    with pytest.raises(ConfigError, match="expected cubic voxels"):
        write_octomap(city, tmp_path / "map.bt")
    far = _map(
        tmp_path / "far",
        [_recording([_turned(0, x_m=40_000.0)], [np.full(GRID.shape, ROAD, np.uint8)])],
    )
    with pytest.raises(ConfigError, match="32767 from the origin"):
        write_octomap(far, tmp_path / "map.bt")
    assert not (tmp_path / "map.bt").exists()


def test_the_2d_map_is_that_of_the_street(tmp_path):
    city = _street(tmp_path)
    known = write_nav(city, columns_of(city), tmp_path, NavOptions((0.5, 2.5)))
    values = yaml.safe_load((tmp_path / "nav.yaml").read_text())
    assert values["resolution"] == 1.0 and values["origin"] == [0.0, 0.0, 0.0]
    kind, size, depth, body = (tmp_path / values["image"]).read_bytes().split(b"\n", 3)
    image = np.frombuffer(body, np.uint8).reshape(4, 8)  # row 0 at the largest y
    assert (kind, size, depth) == (b"P5", b"8 4", b"255")
    assert (image[:, 2] == 0).all()
    assert image[2, 5] == 205 and image[1, 5] == 254  # y = 1: where a car stood is not known
    assert np.count_nonzero(image == 254) == 27 and known == 31 / 32
    occupied = (255.0 - image) / 255.0
    assert ((occupied > values["occupied_thresh"]) == (image == 0)).all()
    assert ((occupied < values["free_thresh"]) == (image == 254)).all()
    with pytest.raises(ConfigError, match="a band that voxels of"):
        write_nav(city, columns_of(city), tmp_path, NavOptions((0.2, 0.4)))
    with pytest.raises(ConfigError, match="0 < lowest < highest"):
        NavOptions((2.0, 1.0))


def test_without_classes_of_ground_heights_count_from_the_vehicle(tmp_path):
    grid = VoxelGrid((0.0, 0.0, 0.0), (2.0, 2.0, 3.0), (2, 2, 3))
    volume = np.full(grid.shape, 1, np.uint8)
    volume[0, 0, 1] = 0  # 1 m over the voxel of the base
    volume[1, 1, 2] = volume[1, 0, 0] = 0  # over and below the band
    words = Vocabulary(("occupied", "free"), 1, ())
    city = _map(tmp_path, [_recording([_turned(0, z_m=5.0)], [volume], grid, words)])
    write_nav(city, columns_of(city), tmp_path, NavOptions((0.5, 1.5)))
    image = np.frombuffer((tmp_path / "nav.pgm").read_bytes().split(b"\n", 3)[3], np.uint8)
    assert image.tolist() == [254, 254, 0, 254]


def test_the_picture_shows_classes_and_the_way(tmp_path):
    city = _street(tmp_path)
    picture = draw_map(city, columns_of(city), "A street")
    for color in ((255, 0, 255), (255, 255, 255)):  # road, and where the vehicle went
        assert (picture == color).all(axis=-1).any()
    assert picture.shape[1] > 2000 and picture.shape[0] > 1000


# --- the command


def test_the_command_maps_and_exports(tmp_path, capsys):
    write_recording(tmp_path / "drive", count=4)
    arguments = ["map", "--input", str(tmp_path / "drive"), "--out", str(tmp_path / "map")]
    assert main([*arguments, "--export", "ply", "bt", "nav"]) == 0
    out = capsys.readouterr().out
    assert "1, 4 frames" in out and "frames per s" in out
    made = {path.name for path in (tmp_path / "map").iterdir()}
    assert made == {GROUP, "regions", "map.png", "map.ply", "map.bt", "nav.pgm", "nav.yaml"}
    assert main(arguments) == 0
    assert "frames per s" not in capsys.readouterr().out
    assert main([*arguments, "--sensor", "none"]) == 1
    assert "holds another map" in capsys.readouterr().err


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "map")]
    assert main(["map", "--input", str(tmp_path / "empty"), *out]) == 1
    write_recording(tmp_path / "lidar", cameras=False)
    assert main(["map", "--input", str(tmp_path / "lidar"), *out]) == 1
    assert "give the sensor lidar or none" in capsys.readouterr().err
    assert not (tmp_path / "map").exists()


def test_jumping_poses_are_said(tmp_path, capsys):
    write_recording(tmp_path / "drive", count=4, jumps=(2,))
    arguments = ["map", "--input", str(tmp_path / "drive"), "--out", str(tmp_path / "map")]
    assert main(arguments) == 0
    assert "street: 1 jumps of the pose or gaps" in capsys.readouterr().err
