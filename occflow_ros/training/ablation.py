"""The paper's Tables 4 to 6 in small: each part of the method is left out or replaced in turn.

All rows have the same number of optimizer steps and, seed by seed, the same samples in the same
order; rows with the same network begin with the same weights. A row of several tables is trained
once.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occflow_ros.config import Config, override
from occflow_ros.engine import checkpoint
from occflow_ros.engine.inspection import temporal_parameters
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.evaluation.subject import Subject
from occflow_ros.metrics.scene_flow import BASELINE_M
from occflow_ros.models.build import build_network
from occflow_ros.output import write_text
from occflow_ros.table import NOT_KNOWN, Table, number
from occflow_ros.training.dataset import ClipDataset, TrainingDrive
from occflow_ros.training.held_out import score, stream_of
from occflow_ros.training.processes import Process
from occflow_ros.training.trainer import STATE, WEIGHTS, Monitor, Trainer, TrainerOptions

RESULT = "result.json"

COLUMNS = {
    "de_px": "DE",
    "epe_px": "EPE",
    "de_fg_px": "DE_FG",
    "epe_fg_px": "EPE_FG",
    "d1": "D1_5%",
    "f1": "F1_10%",
    "sf1": "SF1_10%",
    "epe_moving_px": "EPE_moving",
}
"""Of the paper's tables, and the error on what really moves; by name in `Scores.numbers`."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One method to train.

    Args:
        name: of its folder.
        settings: `key=value` in which it differs from the preset.
        two_stages: static world first; else all steps are joint, at the rates of the static stage,
            since those of the joint stage are for weights that are trained already.
    """

    name: str
    settings: tuple[str, ...] = ()
    two_stages: bool = True


@dataclass(frozen=True, slots=True)
class Ablation:
    """One table.

    Args:
        title: of it.
        rows: what each is called there; the full method is the last.
        temporal_parameters: whether the size of the temporal module is a column.
    """

    title: str
    rows: Mapping[str, Variant]
    temporal_parameters: bool = False


_CAMERA_ONLY = "train.rendering.lidar_rays=0"
_LIDAR = "train.rendering.lidar_rays=1024"
_NOT_DISENTANGLED = (
    "train.motion.disentanglement=false",
    "train.losses.dynamic_regularization.enabled=false",
    "train.losses.max_dynamic_scale=1.0",
)
"""All that the paper does with the dynamic mask but for static flow supervision."""

FULL = Variant("full", (_CAMERA_ONLY,))
CONCAT_CONV = Variant("concat_conv", (_CAMERA_ONLY, "model.temporal.fusion=concat_conv"))
BEV_FORWARD = Variant("bev_forward", (_CAMERA_ONLY, "model.temporal.fusion=bev_forward"))
FORWARD_ONLY = Variant(
    "forward_static_flow", (_CAMERA_ONLY, "train.motion.backward_static_flow=false")
)
NO_STATIC_FLOW = Variant(
    "no_static_flow", (*FORWARD_ONLY.settings, "train.motion.forward_static_flow=false")
)
FULL_LIDAR = Variant("lidar_full", (_LIDAR,))
TWO_STAGES = Variant("lidar_two_stages", (_LIDAR, *_NOT_DISENTANGLED))
ONE_STAGE = Variant("lidar_one_stage", TWO_STAGES.settings, two_stages=False)

ABLATIONS = {
    "temporal": Ablation(
        "Temporal module (Table 4), cameras only",
        {
            "concatenation and 3D convolution": CONCAT_CONV,
            "BEV pooling and forward attention": BEV_FORWARD,
            "backward-forward attention": FULL,
        },
        temporal_parameters=True,
    ),
    "stages": Ablation(
        "Optimization strategy (Table 5), with LiDAR rays",
        {
            "neither": ONE_STAGE,
            "two stages": TWO_STAGES,
            "two stages, dynamic disentanglement": FULL_LIDAR,
        },
    ),
    "static-flow": Ablation(
        "Static flow supervision (Table 6), cameras only",
        {"none": NO_STATIC_FLOW, "forward": FORWARD_ONLY, "forward and backward": FULL},
    ),
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What every row gets.

    Args:
        steps: optimizer steps of both stages.
        static_share: share of the static stage in them.
        seeds: each row is trained with seeds 0 to `seeds` − 1.

    Raises:
        ConfigError: where one of the two stages has no step.
    """

    steps: int
    static_share: float
    seeds: int

    def __post_init__(self) -> None:
        if not 0 < self.static_steps < self.steps:
            raise ConfigError(
                f"expected steps for both stages, got {self.static_steps} static ones of "
                f"{self.steps}"
            )

    @property
    def static_steps(self) -> int:
        """Of a run with two stages."""
        return round(self.steps * self.static_share)

    @staticmethod
    def share_of(config: Config) -> float:
        """Share of the static stage in the steps of a configuration."""
        return config.train.static_stage.steps / config.train.steps

    def apply(self, config: Config, variant: Variant, seed: int) -> Config:
        """The preset's configuration as one row trains it; raises ConfigError."""
        static = self.static_steps if variant.two_stages else 0
        settings = [
            *variant.settings,
            f"train.static_stage.steps={static}",
            f"train.joint_stage.steps={self.steps - static}",
            f"train.seed={seed}",
        ]
        if not variant.two_stages:
            factors = config.train.static_stage.factors.model_dump_json()
            settings.append(f"train.joint_stage.factors={factors}")
        return override(config, settings)


@dataclass(frozen=True, slots=True)
class Study:
    """What is the same in all runs.

    Args:
        config: of the full method, before any row or budget changes it.
        budget: of each row.
        drives: to train on.
        fingerprint: of them.
        held_out: to compare with, with exact depth and optical flow.
        every: compare each k-th set of them.
        out: folder, with one for each row and seed.
        workers: processes that load samples.
        save_every: steps between two saved states.
        process: that trains.
        monitor: who looks on, made for the folder of a run.
    """

    config: Config
    budget: Budget
    drives: Sequence[TrainingDrive]
    fingerprint: str
    held_out: Sequence[Subject]
    every: int
    out: Path
    workers: int
    save_every: int
    process: Process
    monitor: Callable[[Path], Monitor]

    def __post_init__(self) -> None:
        for one in self.held_out:
            if one.truth_files is None:
                raise DataError(
                    f"{one.drive.name}: expected exact depth and optical flow to compare with: "
                    "occflow synth --truth all"
                )


Numbers = Mapping[str, float]


def variants_of(ablations: Sequence[Ablation]) -> tuple[Variant, ...]:
    """All that is to be trained, each once, in the order of the tables."""
    rows = (variant for ablation in ablations for variant in ablation.rows.values())
    return tuple(dict.fromkeys(rows))


def run_study(
    study: Study, ablations: Sequence[Ablation]
) -> Iterator[tuple[int, Mapping[str, Sequence[Numbers]]]]:
    """Train and compare, one seed after the other, so that there is a whole table early.

    A run that is finished is known by its result; one that was interrupted goes on from its state.

    Yields:
        after each seed, how many are done and the numbers of every variant by name, seed by seed.

    Raises:
        DataError: as the trainer does, or where a folder holds a run of other settings or data.
        OutputError: where a file cannot be written.
    """
    found: dict[str, list[Numbers]] = {}
    for seed in range(study.budget.seeds):
        for variant in variants_of(ablations):
            found.setdefault(variant.name, []).append(_result(study, variant, seed))
        yield seed + 1, found


def _result(study: Study, variant: Variant, seed: int) -> Numbers:
    """What one run is worth, from its result where that is there."""
    config = study.budget.apply(study.config, variant, seed)
    folder = study.out / variant.name / f"seed-{seed}"
    settings = config.model_dump(mode="json", include={"model", "train"})
    trained = {"config": settings, "data": study.fingerprint}
    compared = {
        "held_out": [f"{one.drive.name} {one.sets}" for one in study.held_out],
        "every": study.every,
    }
    saved = _read(folder / RESULT)
    if saved is not None and saved.trained != trained:
        raise DataError(
            f"{folder}: holds a run with other settings, steps or data; give another --out"
        )
    if saved is not None and saved.compared == compared:
        return saved.numbers
    if saved is None:
        _train(study, config, folder)
    numbers = _compare(study, config, folder / WEIGHTS)
    result = {"trained": trained, "compared": compared, "numbers": _with_null(numbers)}
    write_text(folder / RESULT, json.dumps(result, indent=2) + "\n")
    (folder / STATE).unlink(missing_ok=True)  # three times as large as the weights
    return numbers


def _with_null(numbers: Numbers) -> dict[str, float | None]:
    """As JSON has them: null for NaN."""
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}


@dataclass(frozen=True, slots=True)
class _Saved:
    """A finished run: what it was trained and compared with, and its numbers."""

    trained: Any
    compared: Any
    numbers: Numbers


def _read(path: Path) -> _Saved | None:
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        numbers = {
            name: math.nan if value is None else float(value)
            for name, value in values["numbers"].items()
        }
        return _Saved(values["trained"], values["compared"], numbers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: expected the result of a run: {error}") from None


def _train(study: Study, config: Config, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    resume = (folder / STATE).is_file()
    trainer = Trainer(
        network=build_network(config.model, seed=config.train.seed),
        dataset=ClipDataset(study.drives, config),
        config=config,
        options=TrainerOptions(folder, study.workers, study.save_every, resume=resume),
        process=study.process,
        fingerprint=study.fingerprint,
    )
    trainer.run(study.monitor(folder))


def _compare(study: Study, config: Config, weights: Path) -> Numbers:
    network = build_network(config.model, weights)
    sharpness_per_m = checkpoint.load(weights).metadata["sharpness_per_m"]
    with stream_of(network, config, study.process.device) as stream:
        scores = score(stream, study.held_out, config, sharpness_per_m, study.every)
    return scores.numbers()


def table_of(
    ablation: Ablation, found: Mapping[str, Sequence[Numbers]], study: Study, seeds: int
) -> Table:
    """One table, mean ± standard deviation over the seeds.

    Args:
        ablation: which.
        found: numbers of every variant by name, seed by seed.
        study: that found them.
        seeds: how many are done.
    """
    sizes = temporal_parameters(study.config.model) if ablation.temporal_parameters else {}
    rows = []
    for label, variant in ablation.rows.items():
        cells = [_cell([one[name] for one in found[variant.name]]) for name in COLUMNS]
        if sizes:
            fusion = override(study.config, variant.settings).model.temporal.fusion
            cells.append(number(sizes[fusion] / 1e6, 3))
        rows.append((label, *cells))
    header = ("row", *COLUMNS.values(), *(("temporal module (M)",) if sizes else ()))
    return Table(ablation.title, header, tuple(rows), _note(study, seeds), len(header) - 1)


def document(
    ablations: Mapping[str, Ablation], found: Mapping[str, Sequence[Numbers]], study: Study
) -> dict[str, Any]:
    """All numbers, for a JSON file; null where one is not known."""
    budget = study.budget
    return {
        "steps": budget.steps,
        "static_share": budget.static_share,
        "held_out": [one.drive.name for one in study.held_out],
        "every": study.every,
        "tables": {
            key: {"title": ablation.title, "rows": _rows(ablation, found)}
            for key, ablation in ablations.items()
        },
    }


def _rows(ablation: Ablation, found: Mapping[str, Sequence[Numbers]]) -> list[dict[str, Any]]:
    return [
        {
            "row": label,
            "variant": variant.name,
            "seeds": [_with_null(one) for one in found[variant.name]],
        }
        for label, variant in ablation.rows.items()
    ]


def _cell(values: Sequence[float]) -> str:
    """Mean ± standard deviation of the sample; with one value, that value."""
    if any(map(math.isnan, values)):
        return NOT_KNOWN
    mean = number(statistics.fmean(values))
    return mean if len(values) == 1 else f"{mean} ± {number(statistics.stdev(values))}"


def _note(study: Study, seeds: int) -> str:
    budget, (height, width) = study.budget, study.config.model.image_hw_px
    return (
        f"Steps of a run: {budget.steps}, {budget.static_steps} of them static where there are two "
        "stages; "
        f"seeds: {seeds}, mean ± standard deviation; drives to train on: {len(study.drives)}, "
        f"to compare with: {len(study.held_out)}, one set in {study.every}. Errors in px of "
        f"{width}×{height} images, outliers as shares; disparity with KITTI's baseline of "
        f"{BASELINE_M:.4f} m; foreground: movable classes."
    )
