"""The whole demo on one screen."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from occflow_ros.config import Config, dump
from occflow_ros.demo.accounting import account, count_drops, resets, stage_latencies
from occflow_ros.demo.bag import read_bag
from occflow_ros.demo.evaluation import evaluate, total_accuracy
from occflow_ros.demo.pictures import draw_pictures, spread
from occflow_ros.demo.report import write_report
from occflow_ros.demo.run import RunSettings, check_ros, play
from occflow_ros.demo.source import Source, synthetic_source, user_source
from occflow_ros.demo.summary import Summary
from occflow_ros.errors import DataError, OutputError
from occflow_ros.metrics.accuracy import load_truth
from occflow_ros.models.build import build_network, load_mono_network
from occflow_ros.output import check_free, write_text
from occflow_ros.viewer.page import write_page
from occflow_ros.viewer.recorded_run import read_run
from occflow_ros.weights import choose_semantics_weights, choose_weights

REPORT_PICTURES = 6
_RESULTS = (
    "bag",
    "logs",
    "pictures",
    "animation.webp",
    "config.yaml",
    "replay.json",
    "summary.json",
    "report.html",
    "viewer.html",
)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the user asks for.

    Args:
        source: folder of a drive, None for the synthetic one.
        scene: of a nuScenes data set.
        version: of a nuScenes data set.
        out: folder of the results.
        overwrite: replace earlier results in it.
        config: resolved configuration.
        weights: checkpoint, `untrained`, or empty for those that come with the preset.
        semantics_weights: checkpoint of the semantic network, where the configuration asks for
            one, or empty for those that come with the package.
        rate: replay speed over real time.
        max_sets: replay only the beginning of the drive.
        device: torch device of the node.
    """

    source: Path | None
    scene: str | None
    version: str | None
    out: Path
    overwrite: bool
    config: Config
    weights: str
    semantics_weights: str
    rate: float
    max_sets: int | None
    device: str


def run_demo(options: DemoOptions) -> Summary:
    """Replay a drive through the real node over DDS, and write pictures, numbers and a report.

    Raises:
        OccflowError: names the file, folder, process or topic that failed.
        KeyboardInterrupt: after Ctrl-C; the bag written so far is readable.
    """
    check_ros()
    check_free(options.out, options.overwrite)
    with _source(options) as source:
        config = _for_drive(options.config, source)
        weights = choose_weights(options.weights, config.model)
        semantics = _semantics_weights(options, config)
        _check_inputs(source, config, weights, semantics)
        out = _prepare(options.out)
        settings = RunSettings(
            folder=out,
            config=out / "config.yaml",
            weights=weights,
            semantics=semantics,
            device=options.device,
            rate=options.rate,
        )
        write_text(settings.config, dump(config))
        sent = play(source, settings)
        bag = read_bag(settings.bag)
        sent_sets = [source.drive.sets[index] for index in sent.indices]
        outcomes = account(sent_sets, source.drive.cameras, bag, sent.shift_ns)
        evaluated = evaluate(source.drive, outcomes, bag)
        summary = Summary(
            drive=source.drive.name,
            source=source.description,
            licence=source.drive.licence,
            weights=None if weights is None else str(weights),
            semantics=None if semantics is None else str(semantics),
            device=options.device,
            rate=options.rate,
            sent=len(outcomes),
            processed=len(evaluated),
            dropped=count_drops(outcomes),
            resets=resets(outcomes),
            latencies=stage_latencies(outcomes),
            accuracy=total_accuracy(evaluated),
            messages=bag.messages,
        )
        pictures, animation = draw_pictures(
            out, source.drive, evaluated, "" if summary.weights else "untrained weights"
        )
    viewer = out / "viewer.html" if bag.predictions else None
    if viewer is not None:
        write_page(viewer, read_run(settings.bag), source.drive.name)
    chosen = spread(pictures, REPORT_PICTURES)
    write_report(out / "report.html", summary, outcomes, animation, chosen, dump(config), viewer)
    write_text(out / "summary.json", json.dumps(summary.to_json(), indent=2) + "\n")
    return summary


def _semantics_weights(options: DemoOptions, config: Config) -> Path | None:
    if config.semantics == "none":
        return None
    return choose_semantics_weights(options.semantics_weights, config.model)


def _check_inputs(
    source: Source, config: Config, weights: Path | None, semantics: Path | None
) -> None:
    """Read what is needed only in the node or after the run, so that an error comes before it."""
    build_network(config.model, weights)
    if semantics is not None:
        load_mono_network(semantics)
    if not any(camera_set.images for camera_set in source.drive.sets):
        raise DataError(f"{source.description}: expected a camera set with an image, got none")
    for camera_set in source.drive.sets:
        load_truth(camera_set, config.model.grid.voxels)


def _prepare(out: Path) -> Path:
    """The output folder without results of earlier runs; other files in it stay."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path in (out / name for name in _RESULTS):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (out / "config.yaml").touch()
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from None
    return out.resolve()


def _source(options: DemoOptions) -> AbstractContextManager[Source]:
    if options.source is None:
        cache = options.out.resolve().parent / "synthetic"
        return nullcontext(synthetic_source(cache, options.max_sets))
    return user_source(options.source, options.scene, options.version, options.max_sets)


def _for_drive(config: Config, source: Source) -> Config:
    """The configuration with the cameras and frames of the drive, sent as the replay sends them."""
    drive = source.drive
    cameras = config.node.cameras.model_copy(
        update={"names": tuple(drive.cameras), "compressed": (True,), "reliable": (True,)}
    )
    node = config.node.model_copy(
        update={
            "cameras": cameras,
            "fixed_frame": drive.fixed_frame,
            "base_frame": drive.base_frame,
        }
    )
    return config.model_copy(update={"node": node})
