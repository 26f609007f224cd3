"""Classes of voxels: the network by itself, trivial answers, tables, and what does not fit."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_mono
import tiny_network
from evaluation_drives import (
    GRID,
    as_written,
    drive_of,
    empty,
    job,
    numbers_of,
    quietly,
    write_kitti_predictions,
    write_labels,
)

from occflow_ros import cli, config
from occflow_ros.config import GridConfig
from occflow_ros.data import classes, semantic_kitti
from occflow_ros.data.truth import read_truth
from occflow_ros.depth.folder import DepthFolder
from occflow_ros.depth.frame_depth import DepthFiles, RenderedDepth
from occflow_ros.engine import checkpoint
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocols import PROTOCOLS
from occflow_ros.evaluation.published import SEMANTIC_KITTI, SEMANTIC_KITTI_CLASSES
from occflow_ros.evaluation.report import as_console
from occflow_ros.evaluation.run import Evaluator, Semantics, evaluate
from occflow_ros.evaluation.semantic_source import SemanticSource
from occflow_ros.evaluation.trivial import trivial_source, trivial_table
from occflow_ros.metrics.semantic_iou import ClassCounts
from occflow_ros.models.build import build_mono_network
from occflow_ros.mono_config import ClassesConfig, MonoConfig
from occflow_ros.structures import VoxelGrid
from occflow_ros.training.mono.prior import ClassPrior

FIRST_SET = range(1)
NUSCENES = ClassesConfig(names=classes.NAMES, empty="free")
KITTI = ClassesConfig()
OTHER = ClassesConfig(names=("wall", "sky"), empty="sky")
COARSE = VoxelGrid(GRID.lower_m, GRID.upper_m, (16, 12, 4))
DEPTH_HW_PX = (8, 16)


@pytest.fixture(scope="session")
def mono_weights(tmp_path_factory):
    """A checkpoint with these classes, whose network looks at two images of a camera."""
    folder = tmp_path_factory.mktemp("mono")

    def saved(named, stem):
        path = folder / f"{stem}.safetensors"
        if not path.is_file():
            grid = GridConfig(lower_m=COARSE.lower_m, upper_m=COARSE.upper_m, shape=COARSE.shape)
            model = tiny_mono.tiny_mono_config(classes=named, grid=grid, frames=2)
            network = tiny_network.as_trained(build_mono_network(model))
            checkpoint.save(path, network, MonoConfig(model=model))
        return path

    return saved


@pytest.fixture
def depth_files(written, tmp_path):
    """Depth of all images of a data set: 5 m everywhere."""

    def made(kind):
        drive = drive_of(written(kind))
        folder = DepthFolder(tmp_path / "depth")
        for camera_set in drive.sets:
            for name, file in camera_set.images.items():
                folder.write(drive.name, name, file.stamp_ns, np.full(DEPTH_HW_PX, 5.0))
        return tmp_path / "depth"

    return made


def prior_of(class_id, named=NUSCENES, times=1):
    """Counts of what is true, so often at each place."""
    counts = np.zeros((*class_id.shape, len(named.names)), np.uint16)
    np.put_along_axis(counts, class_id[..., None].astype(int), np.uint16(times), axis=-1)
    return counts


def write_prior(path, counts, named=NUSCENES, grid=GRID):
    ClassPrior(counts, named.names, named.empty, grid, "by hand").save(path)
    return path


def voxels_of(source, subject, sets):
    return {index: one.scene.class_id for index, one in source.predictions(subject, sets)}


def test_published_rows_are_those_of_the_paper():
    """The mean of the 19 classes is the mIoU, but for what the paper rounds."""
    assert sorted(SEMANTIC_KITTI_CLASSES) == sorted(semantic_kitti.NAMES[1:])
    assert len(SEMANTIC_KITTI) == 12
    for name, mean_iou, *ious in SEMANTIC_KITTI:
        assert len(ious) == 19, name
        assert np.mean(ious) == pytest.approx(mean_iou, abs=0.02), name


@pytest.mark.parametrize(
    ("change", "occurring", "completion"),
    [(lambda truth: truth, 1.0, 1.0), (empty, 0.0, 0.0)],
)
def test_the_truth_and_nothing_in_the_synthetic_protocol(
    written, tmp_path, change, occurring, completion
):
    data = written("recording")
    folder = write_labels(drive_of(data), tmp_path / "predictions", change)
    asked = job("synthetic", data, predictions=folder, sets=FIRST_SET)
    numbers = numbers_of(asked, tmp_path / "out")
    assert numbers["occurring_miou"] == occurring
    assert numbers["completion_iou"] == completion
    there = numbers["miou"] * (len(classes.NAMES) - 1)
    assert there == pytest.approx(round(there))
    assert 3 <= there < 17 if occurring else there == 0


def test_occupied_by_other_things(written, tmp_path):
    """Every occupied voxel is a car: completion is perfect, only cars have an IoU."""
    data = written("recording")

    def all_cars(truth):
        car = np.uint8(classes.NAMES.index("car"))
        semantics = np.where(truth.semantics == classes.FREE, truth.semantics, car)
        return replace(truth, semantics=semantics)

    folder = write_labels(drive_of(data), tmp_path / "predictions", all_cars)
    asked = job("synthetic", data, predictions=folder, sets=FIRST_SET)
    outcome = evaluate(asked, tmp_path / "out", 1, quietly)
    counts = PROTOCOLS["synthetic"].classes(outcome.total)
    assert counts.completion.iou == 1.0
    assert {name for name, iou in counts.iou.items() if iou > 0} <= {"car"}
    assert "IoU by class" in as_console(PROTOCOLS["synthetic"], outcome)


def test_table_i_stands_beside_a_prediction_with_classes_alone(written, tmp_path):
    data = written("semantickitti")
    folder = write_kitti_predictions(data, tmp_path / "predictions")
    outcome = evaluate(job("semantickitti", data, predictions=folder), tmp_path / "a", 1, quietly)
    tables = {table.title: table for table in PROTOCOLS["semantickitti"].tables(outcome.total)}
    ours, *published = tables["Semantic scene completion"].rows
    assert ours[0] == "this prediction" and {"100.00", "-"} == set(ours[2:])
    assert published[-1] == ("MonoOcc-L", "15.63", "59.10", *published[-1][3:])
    protocol = PROTOCOLS["semantickitti"]
    titles = [table.title for table in protocol.tables(protocol.nothing)]
    assert "By class" in titles and "Semantic scene completion" not in titles


def test_trivial_answers_by_hand(tmp_path):
    """Of 10 samples one voxel is a car thrice, the ground a road twice and a sidewalk 8 times."""
    car, road, sidewalk = (classes.NAMES.index(n) for n in ("car", "driveable_surface", "sidewalk"))
    counts = np.zeros((*GRID.shape, len(classes.NAMES)), np.uint16)
    counts[..., classes.FREE] = 10
    counts[..., 2, :] = 0
    counts[..., 2, sidewalk], counts[..., 2, road] = 8, 2
    counts[3, 4, 5, car], counts[3, 4, 5, classes.FREE] = 3, 7
    counts[0, 0, 0] = 0  # never known
    path = write_prior(tmp_path / "prior.npz", counts)
    found = {kind: trivial_source(kind, path, 0.1).scene for kind in ("prior", "filled", "flat")}
    for kind, scene in found.items():
        expected = np.zeros(GRID.shape, bool)
        expected[..., 2] = True
        expected[3, 4, 5] = kind == "filled"
        np.testing.assert_array_equal(scene.occupied, expected, err_msg=kind)
        assert (scene.class_id[..., 2] == sidewalk).all()
    assert found["filled"].class_id[3, 4, 5] == car


def test_the_ratio_of_mean_ious_by_hand():
    names = ("car", "road", "free")
    good = ClassCounts(names, "free", ((3, 0, 0), (0, 3, 3), (0, 0, 1)))  # 1 and 1/2
    bad = ClassCounts(names, "free", ((0, 0, 3), (0, 3, 3), (0, 0, 1)))  # 0 and 1/2
    nothing = ClassCounts(names, "free", ((0, 0, 3), (0, 0, 6), (0, 0, 1)))
    rows = trivial_table([("a", good), ("b", bad), ("c", nothing)]).rows
    assert rows[0] == ("a", "75.00", "75.00", "66.67", "1.00")
    assert rows[1] == ("b", "25.00", "25.00", "33.33", "3.00")
    assert rows[2] == ("c", "0.00", "0.00", "0.00", "-")


def test_the_prior_of_a_set_is_perfect_for_it(written, tmp_path, capsys):
    """Beside an empty prediction, through the command; the folder holds all three."""
    data = written("recording")
    drive = drive_of(data)
    truth = read_truth(drive.sets[0].occupancy)
    prior = write_prior(tmp_path / "prior.npz", prior_of(truth.semantics))
    predictions = write_labels(drive, tmp_path / "predictions", empty)
    arguments = ["evaluate", "--protocol", "synthetic", "--data", str(data), "--sets", "0:1"]
    arguments += ["--worst", "0", "--out", str(tmp_path / "out"), "--prior", str(prior)]
    assert cli.main([*arguments, "--predictions", str(predictions)]) == 0
    trivial = as_written(tmp_path / "out")["trivial_answers"]
    by_label = {name.split()[0]: numbers for name, numbers in trivial.items()}
    assert len(trivial) == 3
    assert trivial["most frequent class of each voxel"]["occurring_miou"] == 1.0
    assert 0.0 < by_label["flat"]["miou"] < 1.0
    assert as_written(tmp_path / "out")["numbers"]["miou"] == 0.0
    assert "Beside trivial answers" in capsys.readouterr().out
    asked = job("synthetic", data, predictions=prior, sets=FIRST_SET)
    assert numbers_of(asked, tmp_path / "alone")["occurring_miou"] == 1.0


def test_the_network_by_itself_is_the_same_however_it_is_asked(
    written, mono_weights, depth_files, tmp_path
):
    """With depth from files; history is read again where sets are asked for one by one."""
    data = written("recording")
    (subject,) = Evaluator(job("nuscenes", data)).subjects.values()
    source = SemanticSource(
        mono_weights(NUSCENES, "nuscenes"), DepthFiles(depth_files("recording"))
    )
    every = voxels_of(source, subject, range(4))
    assert list(every) == [0, 1, 2, 3]
    assert not np.array_equal(every[0], every[3])
    for index, class_id in voxels_of(source, subject, [1, 3]).items():
        np.testing.assert_array_equal(class_id, every[index])
    drive = subject.drive
    blind = replace(drive.sets[1], images={})
    sets = (drive.sets[0], blind, *drive.sets[2:])
    found = dict(source.predictions(replace(subject, drive=replace(drive, sets=sets)), range(3)))
    assert found[1] is None and found[2] is not None


def test_depth_of_frames_is_rendered_or_read(written, depth_files):
    drive = drive_of(written("recording"))
    (of_files,) = DepthFiles(depth_files("recording")).depths(drive, [2], (32, 64))
    assert of_files.shape == (len(drive.cameras), 8, 16) and (of_files == 5.0).all()
    rendered = RenderedDepth(tiny_network.tiny_config(), None)
    first, second = rendered.depths(drive, [1, 3], (64, 128))
    assert first.shape == (len(drive.cameras), 16, 32)
    assert not first.equal(second)


def test_classes_beside_occupancy_leave_it_as_it_is(
    written, tiny_preset, tiny_weights, mono_weights, tmp_path
):
    settings = config.resolve(str(tiny_preset))
    data = written("recording")
    plain = job("nuscenes", data, config=settings, weights=tiny_weights, sets=FIRST_SET)
    semantics = Semantics(mono_weights(NUSCENES, "nuscenes"), alone=False)
    without = numbers_of(plain, tmp_path / "without")
    numbers = numbers_of(replace(plain, semantics=semantics), tmp_path / "with")
    assert np.isnan(without["camera_miou"]) and np.isfinite(numbers["camera_miou"])
    for name in ("agnostic_ray_iou", "camera_iou", "agnostic_mave_mps"):
        assert numbers[name] == pytest.approx(without[name], nan_ok=True), name


def test_files_for_the_benchmark_score_as_the_network_does(
    written, mono_weights, depth_files, tmp_path, capsys
):
    """SemanticKITTI's classes on a coarser grid; only frames with voxels are written."""
    data, weights = written("semantickitti"), mono_weights(KITTI, "kitti")
    depth, out = depth_files("semantickitti"), tmp_path / "files"
    arguments = ["semantics", "--data", str(data), "--weights", str(weights), "--out", str(out)]
    assert cli.main([*arguments, "--depth", str(depth), "--pictures", "1"]) == 0
    assert "1 predictions" in capsys.readouterr().out
    assert [path.name for path in (out / "sequences/08/predictions").iterdir()] == ["000000.label"]
    assert [path.suffix for path in (out / "pictures").iterdir()] == [".jpg"]
    alone = Semantics(weights, alone=True, depth=depth)
    direct = numbers_of(job("semantickitti", data, semantics=alone), tmp_path / "direct")
    from_files = numbers_of(job("semantickitti", data, predictions=out), tmp_path / "from files")
    for name in ("iou_51.2m", "miou_51.2m", "miou_12.8m"):
        assert from_files[name] == direct[name], name
    assert direct["miou_51.2m"] >= 0


def test_files_in_the_layout_of_occ3d(written, mono_weights, depth_files, tmp_path):
    data, weights = written("recording"), mono_weights(NUSCENES, "nuscenes")
    depth, out = depth_files("recording"), tmp_path / "files"
    arguments = ["semantics", "--data", str(data), "--weights", str(weights), "--out", str(out)]
    arguments += ["--depth", str(depth), "--pictures", "0", "--sets", "1:4", "--each", "2"]
    assert cli.main(arguments) == 0
    found = sorted(out.rglob("labels.npz"))
    assert len(found) == 2 and not (out / "pictures").exists()
    truth = read_truth(found[0])
    assert truth.grid == COARSE
    assert np.isnan(truth.velocity_mps).all()  # one set alone says nothing of motion


def test_with_motion_files_hold_what_the_node_says(
    written, tiny_preset, tiny_weights, mono_weights, tmp_path, capsys
):
    data, weights = written("recording"), mono_weights(NUSCENES, "nuscenes")
    arguments = ["semantics", "--data", str(data), "--weights", str(weights), "--pictures", "0"]
    arguments += ["--preset", str(tiny_preset), "--sets", "0:2", "--with-motion"]
    occupancy = ["--occupancy-weights", str(tiny_weights)]
    assert cli.main([*arguments, *occupancy, "--out", str(tmp_path / "files")]) == 0
    found = [read_truth(path) for path in (tmp_path / "files").rglob("labels.npz")]
    assert len(found) == 2 and all(np.isfinite(one.velocity_mps).all() for one in found)
    refused = [*arguments, "--depth", str(tmp_path), "--out", str(tmp_path / "none")]
    assert cli.main(refused) == 1
    assert "--depth: expected rendered with --with-motion" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "mention"),
    [
        (
            ["--weights", "MONO", "--semantics", "mono"],
            "--semantics: expected --weights of OccFlow",
        ),
        (["--weights", "MONO", "--depth", "/nowhere"], "/nowhere: expected a folder that"),
        (["--weights", "MONO"], "--depth: expected --occupancy-weights to render it with"),
        (["--weights", "MONO", "--occupancy-weights", "MONO"], "expected weights of OccFlow"),
        (["--weights", "untrained", "--depth", "/nowhere"], "--depth: expected --weights of Mono"),
        (
            ["--weights", "untrained", "--semantics", "mono", "--semantics-weights", "OCC"],
            "expected weights of MonoOcc, got those of OccFlow",
        ),
        (["--weights", "untrained", "--semantics-weights", "MONO"], "expected --semantics mono"),
        (["--weights", "untrained", "--prior", "PRIOR"], "expected a prior of classes out of"),
        (["--predictions", "PRIOR", "--semantics", "mono"], "got --predictions"),
    ],
)
def test_what_does_not_belong_together_is_said_in_one_line(
    written, mono_weights, tiny_preset, tiny_weights, tmp_path, capsys, more, mention
):
    counts = prior_of(np.zeros(COARSE.shape, np.uint8), OTHER)
    files = {
        "MONO": mono_weights(NUSCENES, "nuscenes"),
        "OCC": tiny_weights,
        "PRIOR": write_prior(tmp_path / "prior.npz", counts, OTHER, COARSE),
    }
    arguments = ["evaluate", "--protocol", "synthetic", "--data", str(written("recording"))]
    arguments += ["--preset", str(tiny_preset), "--out", str(tmp_path / "out")]
    assert cli.main([*arguments, *(str(files.get(word, word)) for word in more)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and mention in error


def test_missing_depth_and_classes_of_no_benchmark(
    written, mono_weights, tmp_path, depth_files, capsys
):
    data = str(written("recording"))
    arguments = ["semantics", "--data", data, "--out", str(tmp_path / "out")]
    (tmp_path / "empty").mkdir()
    weights = str(mono_weights(NUSCENES, "nuscenes"))
    command = [*arguments, "--weights", weights, "--depth", str(tmp_path / "empty")]
    assert cli.main(command) == 1
    assert "occflow depth" in capsys.readouterr().err.splitlines()[-1]
    other = str(mono_weights(OTHER, "other"))
    assert cli.main([*arguments, "--weights", other, "--depth", str(depth_files("recording"))]) == 1
    assert "expected those of SemanticKITTI" in capsys.readouterr().err


def test_a_prior_needs_a_protocol_with_classes(written, tmp_path):
    counts = prior_of(np.zeros(COARSE.shape, np.uint8))
    prior = write_prior(tmp_path / "prior.npz", counts, grid=COARSE)
    asked = job("depth", written("recording"), prior=prior)
    with pytest.raises(DataError, match="expected a protocol with classes of voxels, got depth"):
        evaluate(asked, tmp_path / "out", 1, quietly)
