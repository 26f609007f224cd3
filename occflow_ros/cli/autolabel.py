"""Label drives that nobody labelled, train on these labels and compare: docs/offboard.md.

Predictions of the onboard model are refined and written as labels to learn from. With --train-on,
the onboard model is trained on the labels of those drives alone and on pseudo-labels beside them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import torch
from tqdm import tqdm

from occflow_ros.cli.arguments import (
    add_data_argument,
    add_selection_arguments,
    count,
    positive_int,
    selection_of,
)
from occflow_ros.cli.engine_options import add_engine_arguments, engine_options
from occflow_ros.cli.train_mono import depth_files, mono_config, mono_drives, mono_fingerprint
from occflow_ros.data.selection import Selection
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.evaluation.semantic_files import Progress, without_prediction, write_semantics
from occflow_ros.evaluation.semantic_source import SemanticSource
from occflow_ros.evaluation.subject import Subject
from occflow_ros.mono_config import MONO_PRESETS
from occflow_ros.offboard.autolabel import LabelPart
from occflow_ros.offboard.engines import Engine, open_engine
from occflow_ros.offboard.frame_store import INFO, FrameStore
from occflow_ros.offboard.importer import import_recording
from occflow_ros.offboard.label_folder import LabelFolder, Layout, begin_folder, layout_for
from occflow_ros.offboard.propagation import PropagationOptions
from occflow_ros.offboard.pseudo_labels import PseudoLabelOptions
from occflow_ros.offboard.readers import open_recordings
from occflow_ros.offboard.refine import RefineOptions, Stages, refine
from occflow_ros.offboard.work_folder import digest_of
from occflow_ros.output import write_text
from occflow_ros.table import as_markdown, as_text
from occflow_ros.training.monitor import ProgressMonitor
from occflow_ros.training.mono.ablation import MonoStudy
from occflow_ros.training.mono.autolabel import (
    ALONE,
    ONBOARD,
    REFINED,
    TRUE,
    AutolabelStudy,
    LabelRow,
    label_worth,
)
from occflow_ros.training.mono.dataset import MonoDrive
from occflow_ros.training.mono.relabel import relabelled
from occflow_ros.training.processes import Process
from occflow_ros.training.study import Runner, document, run_study, table_of

_DEFAULTS = PseudoLabelOptions()
_ALL_SETS = range(2**31)
_OF_TRAINING = ("validate", "depth", "steps")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow autolabel`."""
    add_data_argument(parser)
    add_selection_arguments(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="labels come into DIR/labels; what is finished in it is not made again",
    )
    onboard = parser.add_mutually_exclusive_group(required=True)
    onboard.add_argument(
        "--input", type=Path, metavar="PATH", help="predictions of --data, as of occflow refine"
    )
    onboard.add_argument(
        "--weights", type=Path, metavar="FILE", help="checkpoint of MonoOcc that predicts them"
    )
    parser.add_argument(
        "--depth",
        type=Path,
        metavar="DIR",
        help="of the images, as `occflow depth` makes it; for --weights and --train-on",
    )
    add_engine_arguments(parser.add_argument_group("where it is computed"))
    parser.add_argument(
        "--refine-weights",
        type=Path,
        metavar="FILE",
        help="checkpoint of stage 1 of the refinement (default: stage 2 alone)",
    )
    _add_labelling(parser.add_argument_group("labels"))
    _add_training(parser.add_argument_group("training, to compare labels"))


def _add_labelling(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--layout",
        choices=get_args(Layout),
        help="of the labels (default: semantic_kitti or occ3d, by the classes)",
    )
    group.add_argument(
        "--label-radius",
        type=count,
        default=_DEFAULTS.radius,
        metavar="N",
        help="frames before and after that may have seen a voxel (default: %(default)s)",
    )
    group.add_argument(
        "--min-agreement",
        type=float,
        default=_DEFAULTS.min_agreement,
        metavar="S",
        help="share of the frames that saw a voxel that must have it of the same class, else it is"
        " not learned from (default: %(default)s)",
    )


def _add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--train-on", type=Path, nargs="+", default=[], metavar="DIR", help="labelled drives"
    )
    group.add_argument(
        "--validate", type=Path, nargs="+", default=[], metavar="DIR", help="held-out drives"
    )
    group.add_argument(
        "--validate-each",
        type=positive_int,
        default=1,
        metavar="K",
        help="compare every K-th of their sets (default: %(default)s)",
    )
    group.add_argument("--steps", type=positive_int, metavar="N", help="of each run")
    group.add_argument(
        "--seeds",
        type=positive_int,
        default=1,
        metavar="N",
        help="each row is trained with seeds 0 to N-1 (default: %(default)s)",
    )
    group.add_argument(
        "--upper-bound",
        action="store_true",
        help="also train on the true labels of --data, where they have any",
    )
    group.add_argument(
        "--preset",
        metavar="PRESET|FILE",
        help=f"of the onboard model ({', '.join(MONO_PRESETS)}, or a YAML file; default: the"
        " first)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting that differs, for example train.samples_per_step=2; may be repeated",
    )
    group.add_argument(
        "--init",
        type=Path,
        metavar="FILE",
        help="checkpoint that all rows begin with, as far as it fits",
    )
    group.add_argument(
        "--loaders",
        type=count,
        default=1,
        metavar="N",
        help="processes that load samples (default: %(default)s)",
    )
    group.add_argument("--save-every", type=positive_int, default=100, metavar="N")
    group.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write the table here as Markdown"
    )


def run(args: argparse.Namespace) -> None:
    """Make what is missing; raises ConfigError, DataError and OutputError."""
    options = _label_options(args)
    _check_training(args)
    drives = list(mono_drives(args.data, selection_of(args), _ALL_SETS))
    _check_names(drives)
    predictions = args.input or _predict(args, drives)
    onboard = _import(args.out / "onboard", predictions, drives)
    layout = args.layout or layout_for(onboard[0].info.vocabulary)
    with open_engine(engine_options(args)) as engine:
        refined = _refine(args, onboard, engine)
        folder = LabelFolder(args.out / "labels", layout)
        pseudo = _label(folder, drives, refined, options, engine)
        if args.train_on:
            straight = replace(options, radius=0)
            folder = LabelFolder(args.out / "labels_onboard", layout)
            beside = _label(folder, drives, onboard, straight, engine)
    print(f"the labels are in {pseudo.path}")
    if args.train_on:
        _compare(args, drives, {ONBOARD: beside.path, REFINED: pseudo.path})


def _label_options(args: argparse.Namespace) -> PseudoLabelOptions:
    try:
        return PseudoLabelOptions(args.label_radius, args.min_agreement)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _check_training(args: argparse.Namespace) -> None:
    """All that training needs is there, before anything takes long."""
    if args.weights is not None and args.depth is None:
        raise ConfigError("--depth: expected the folder that `occflow depth` filled, got none")
    for name in _OF_TRAINING:
        if args.train_on and not getattr(args, name):
            raise ConfigError(f"--{name}: expected it with --train-on, got none")


def _check_names(drives: Sequence[MonoDrive]) -> None:
    """Raise DataError where drives share a name, by which their files go."""
    times = Counter(one.drive.name for one in drives)
    if twice := sorted(name for name, found in times.items() if found > 1):
        raise DataError(f"--data: expected drives of different names, got several {twice}")


def _predict(args: argparse.Namespace, drives: Sequence[MonoDrive]) -> Path:
    """Folder of what the onboard model says of all sets; those that are there are kept."""
    source = SemanticSource(args.weights, depth_files(args), args.device)
    out: Path = args.out / "predictions"
    begin_folder(out, {"model": source.name})
    for one in drives:
        subject = Subject(one.folder, one.drive, range(len(one.drive.sets)))
        if left := without_prediction(out, one.drive, subject.sets):
            write_semantics(subject, source, left, out, 0, _bar(one.drive.name), knows_motion=False)
    return out


def _import(out: Path, predictions: Path, drives: Sequence[MonoDrive]) -> list[FrameStore]:
    """The predictions of each drive as frames; raises DataError where a drive has none."""
    begin_folder(out, {"predictions": str(predictions.resolve())})
    stores = []
    for one in drives:
        name = one.drive.name
        (recording,) = open_recordings(predictions, (one.folder,), (name,))
        imported = import_recording(recording, out / name)
        for note in imported.notes:
            _warn(f"{name}: {note}")
        stores.append(imported.store)
    return stores


def _refine(
    args: argparse.Namespace, onboard: Sequence[FrameStore], engine: Engine
) -> list[FrameStore]:
    """Stores of the same drives, refined; those of a finished run are taken as they are."""
    out: Path = args.out / "refined"
    names = [store.info.name for store in onboard]
    options = _refine_options(args, onboard)
    begin_folder(args.out, {"drives": names, "refined": _settings(options)})
    folders = [out / name for name in names]
    if not all((folder / INFO).is_file() for folder in folders):
        inputs = [args.out / "onboard" / name for name in names]
        report = refine(inputs, (), out, options, engine, _stage_bar)
        if report.skipped:
            raise DataError("; ".join(f"{one.name}: {one.reason}" for one in report.skipped))
    return [FrameStore(folder) for folder in folders]


def _refine_options(args: argparse.Namespace, onboard: Sequence[FrameStore]) -> RefineOptions:
    """Both stages where stage 1 has weights; votes weighted as the sensor of the model wants it."""
    looks = all(store.info.cameras for store in onboard)
    propagation = PropagationOptions(sensor="camera" if looks else "lidar")
    stages: Stages = "global" if args.refine_weights is None else "both"
    return RefineOptions(stages, args.refine_weights, propagation, args.device)


def _settings(options: RefineOptions) -> dict[str, Any]:
    """All that the refined frames depend on but the predictions, for JSON."""
    weights = None if options.weights is None else digest_of(options.weights)
    return {"weights": weights, "propagation": asdict(options.propagation)}


def _label(
    folder: LabelFolder,
    drives: Sequence[MonoDrive],
    stores: Sequence[FrameStore],
    options: PseudoLabelOptions,
    engine: Engine,
) -> LabelFolder:
    """Labels of all drives that are missing."""
    folder.begin({"options": asdict(options)})
    parts = [
        LabelPart(store.folder, one.drive, folder, options) for store, one in zip(stores, drives)
    ]
    for place, done in tqdm(engine.run(parts), total=len(parts), desc=str(folder.path.name)):
        name = drives[place].drive.name
        share = f", {done.known:.0%} of the voxels count" if done.made else ""
        tqdm.write(f"{name}: labels of {done.made} sets made, {done.kept} kept{share}")
    return folder


def _compare(
    args: argparse.Namespace, drives: Sequence[MonoDrive], labels: Mapping[LabelRow, Path]
) -> None:
    """Train all rows and print Table 6."""
    study = _study(args, drives, labels)
    table = study.table()
    print(f"{len(table.rows) * args.seeds} runs of {args.steps} steps in {study.out}")
    for seeds, found in run_study(study, [table]):
        shown = table_of(table, found, study, seeds)
        numbers = document({"autolabel": table}, found, study)
        write_text(args.out / "autolabel.json", json.dumps(numbers, indent=2) + "\n")
        write_text(args.markdown or args.out / "autolabel.md", as_markdown(shown) + "\n")
    print(as_text(shown))


def _study(
    args: argparse.Namespace, drives: Sequence[MonoDrive], labels: Mapping[LabelRow, Path]
) -> AutolabelStudy:
    config = mono_config(args)
    labelled = list(mono_drives(args.train_on, Selection(), _ALL_SETS))
    added = {ALONE: [], **{row: relabelled(drives, folder) for row, folder in labels.items()}}
    worth = {row: label_worth(added[row], drives, config) for row in labels}
    if args.upper_bound:
        added[TRUE] = list(drives)
    process = Process(0, 1, torch.device(args.device))
    fingerprint = mono_fingerprint(labelled, None, None)
    base = MonoStudy(
        config=config,
        steps=args.steps,
        num_seeds=args.seeds,
        drives=labelled,
        held_out=list(mono_drives(args.validate, Selection(), _ALL_SETS)),
        depth=depth_files(args),
        every=args.validate_each,
        pretrained=args.init,
        teacher=None,
        out=args.out / "training",
        runner=Runner(fingerprint, args.loaders, args.save_every, process, _monitor),
    )
    return AutolabelStudy(base, base.out, added, worth)


def _stage_bar(items: Iterable[Any], total: int, stage: str, unit: str) -> Iterable[Any]:
    return tqdm(items, total=total, desc=stage, unit=unit)


def _bar(description: str) -> Progress:
    def wrapped(predictions: Iterable[Any], total: int) -> Iterable[Any]:
        return tqdm(predictions, total=total, desc=description, unit="set")

    return wrapped


def _monitor(folder: Path) -> ProgressMonitor:
    print(f"\n{folder}")
    return ProgressMonitor(folder)


def _warn(message: str) -> None:
    print(f"occflow: warning: {message}", file=sys.stderr)
