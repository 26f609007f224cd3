"""OccFiner's Table 5: parts of both stages left out, scored by range on drives that are held out.

Rows with a network are trained, those of stage 2 on top of the full stage 1 of the same seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import torch

from occflow_ros.config import override
from occflow_ros.engine.prediction import Prediction
from occflow_ros.evaluation.protocols.offboard import OffboardProtocol, OffboardScores
from occflow_ros.evaluation.subject import Subject
from occflow_ros.models.build import build_refine_network
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.local_refiner import LocalRefiner
from occflow_ros.offboard.propagation import PropagationOptions, propagate
from occflow_ros.offboard.recording import RecordedFrame
from occflow_ros.offboard.scene import recorded_scene
from occflow_ros.offboard.segments import segments
from occflow_ros.refine_config import RefineConfig
from occflow_ros.table import NOT_KNOWN, number
from occflow_ros.training.refine.dataset import RefineDataset, RefineDrive
from occflow_ros.training.refine.learner import RefineLearner
from occflow_ros.training.study import Ablation, Numbers, Runner, Study
from occflow_ros.training.trainer import WEIGHTS

COLUMNS = {
    "miou_12.8m": "mIoU near",
    "miou_25.6m": "mIoU middle",
    "miou_51.2m": "mIoU far",
    "iou_12.8m": "IoU near",
    "iou_25.6m": "IoU middle",
    "iou_51.2m": "IoU far",
    "mover_iou": "IoU of movers",
}
PARAMETERS = "parameters (M)"

_LOCAL = "local"
_PROTOCOL = OffboardProtocol()


@dataclass(frozen=True, slots=True)
class RefineVariant:
    """One row.

    Args:
        name: of its folder.
        network: settings of stage 1 that differ from the configuration, as `override` takes them;
            None: there is no stage 1.
        vote: of stage 2; None: there is no stage 2. With a network, that is the full one.
    """

    name: str
    network: tuple[str, ...] | None = None
    vote: PropagationOptions | None = None


AVERAGE = PropagationOptions(sensor="none", free="all", carry_moving=False)
RADII = (5, 10, 15, 20, 25, 30)

ONBOARD = RefineVariant("onboard")
LOCAL = RefineVariant("local", ())
FULL = RefineVariant("full", (), PropagationOptions())

_STAGE_1 = {
    "onboard model": ONBOARD,
    "without transformer": RefineVariant("no_transformer", ("model.propagation.blocks=0",)),
    "with temporal embedding": RefineVariant("temporal", ("model.temporal_embedding=true",)),
    "without positional embedding": RefineVariant(
        "no_positional", ("model.positional_embedding=false",)
    ),
    "without reference frames": RefineVariant("no_reference", ("model.reference_frames=0",)),
    "stage 1": LOCAL,
}

_STAGE_2 = {
    "onboard, average fusion": RefineVariant("average_onboard", None, AVERAGE),
    "stage 1, average fusion": RefineVariant("average_local", (), AVERAGE),
    "without learning (stage 2 alone)": RefineVariant("vote_onboard", None, PropagationOptions()),
    "without frustum weighting": RefineVariant("no_frustum", (), PropagationOptions(frustum=False)),
    "without distance weighting": RefineVariant(
        "no_near_box", (), PropagationOptions(near_box=False)
    ),
    "with the votes of all empty voxels": RefineVariant(
        "all_free", (), PropagationOptions(free="all")
    ),
    "without carrying what moves": RefineVariant(
        "no_carrying", (), PropagationOptions(carry_moving=False)
    ),
    "both stages": FULL,
}

_RADIUS = {
    f"(-{radius}, {radius})": FULL
    if FULL.vote == PropagationOptions(radius=radius)
    else RefineVariant(f"radius_{radius}", (), PropagationOptions(radius=radius))
    for radius in RADII
}

REFINE_ABLATIONS = {
    "stage_1": Ablation("Stage 1 (Table 5)", _STAGE_1, COLUMNS, more=(PARAMETERS,)),
    "stage_2": Ablation("Both stages (Table 5)", _STAGE_2, COLUMNS, more=(PARAMETERS,)),
    "radius": Ablation("Temporal radius of stage 2 (Table 5)", _RADIUS, COLUMNS),
}


@dataclass(frozen=True, slots=True)
class RefineStudy(Study[RefineVariant]):
    """What is the same in all runs.

    Args:
        config: of the full method, before any row changes it.
        steps: of each run.
        num_seeds: each row is trained with seeds 0 to `num_seeds` − 1.
        drives: to train on.
        held_out: to compare with.
        every: compare each k-th labelled frame.
        out: folder, with one for each row and seed.
        runner: of all runs.
    """

    config: RefineConfig
    steps: int
    num_seeds: int
    drives: Sequence[RefineDrive]
    held_out: Sequence[RefineDrive]
    every: int
    out: Path
    runner: Runner

    @property
    def seeds(self) -> int:
        """As in the arguments."""
        return self.num_seeds

    def needs(self, variant: RefineVariant) -> RefineVariant | None:
        """Stage 1 below stage 2."""
        return LOCAL if variant.vote is not None and variant.network is not None else None

    def trained(self, variant: RefineVariant, seed: int) -> dict[str, Any]:
        """Settings and data of a network; of stage 2, the settings."""
        if variant.vote is not None:
            return {"vote": asdict(variant.vote)}
        if variant.network is None:
            return {}
        config = self._config(variant, seed).model_dump(mode="json")
        return {"config": config, "data": self.runner.fingerprint}

    def compared(self) -> dict[str, Any]:
        """The recordings that are held out."""
        held_out = [f"{one.recording.info}" for one in self.held_out]
        return {"held_out": held_out, "every": self.every}

    def train(self, variant: RefineVariant, seed: int, folder: Path, needed: Path | None) -> None:
        """Of rows that have a network of their own."""
        folder.mkdir(parents=True, exist_ok=True)
        if variant.network is None or needed is not None:
            return
        config = self._config(variant, seed)
        network = build_refine_network(config.model, seed=seed)
        dataset = RefineDataset(self.drives, config)
        self.runner.train(RefineLearner(network, config), dataset, config, folder)

    def score(self, variant: RefineVariant, seed: int, weights: Path) -> Numbers:
        """IoU in percent, over all that the cameras see in any set of a drive."""
        if variant.vote is not None:
            weights = self.out / LOCAL.name / f"seed-{seed}" / WEIGHTS
        scores = (self._score(one, variant, weights) for one in self.held_out)
        total = reduce(add, (each for drive in scores for each in drive), _PROTOCOL.nothing)
        numbers = _PROTOCOL.numbers(total)
        return {name: 100.0 * numbers[name] for name in COLUMNS}

    def about(self) -> dict[str, Any]:
        """Budget and what is compared with."""
        return {"steps": self.steps, **self.compared()}

    def note(self, seeds: int) -> str:
        """Budget and data."""
        frames = sum(len(_compared(one, self.every)) for one in self.held_out)
        return (
            f"Steps of a run: {self.steps}, each of {self.config.train.samples_per_step} windows; "
            f"seeds: {seeds}, mean ± standard deviation; drives to train on: {len(self.drives)}, "
            f"to compare with: {len(self.held_out)}, {frames} frames. Percent, within 12.8, 25.6 "
            "and 51.2 m, over the voxels that cameras see in any set of a drive; mIoU over the "
            "classes that are truly there."
        )

    def cell(self, column: str, variant: RefineVariant) -> str:
        """Size of stage 1, in millions of parameters."""
        assert column == PARAMETERS, column
        if variant.network is None:
            return NOT_KNOWN
        with torch.device("meta"):
            network = build_refine_network(self._config(variant, 0).model)
        return number(sum(value.numel() for value in network.parameters()) / 1e6, 2)

    def _config(self, variant: RefineVariant, seed: int) -> RefineConfig:
        settings = *(variant.network or ()), f"train.steps={self.steps}", f"train.seed={seed}"
        return override(self.config, settings)

    def _score(
        self, one: RefineDrive, variant: RefineVariant, weights: Path
    ) -> Iterator[OffboardScores]:
        info, subject = one.recording.info, _subject(one)
        for place, frame in self._frames(one, variant, weights):
            index = one.set_of[place]
            assert index is not None  # it is one of those compared
            pose = one.drive.sets[index].odom_T_base
            prediction = Prediction.of_voxels(recorded_scene(frame, info), pose)
            yield _PROTOCOL.score(subject, index, prediction)

    def _frames(
        self, one: RefineDrive, variant: RefineVariant, weights: Path
    ) -> Iterable[tuple[int, RecordedFrame]]:
        """Those compared, as a row has them."""
        recording, places = one.recording, _compared(one, self.every)
        device = self.runner.process.device
        if variant.network is not None:
            recording = _refined(recording, weights, str(device))
        if variant.vote is None:
            return zip(places, recording.frames(places))
        runs = segments(recording.info)
        return propagate(recording, places, variant.vote, str(device), runs)


def _compared(one: RefineDrive, every: int) -> list[int]:
    labelled = [place for place, index in enumerate(one.set_of) if index is not None]
    return labelled[every - 1 :: every]


def _subject(one: RefineDrive) -> Subject:
    return Subject(folder=one.folder, drive=one.drive, sets=range(len(one.drive.sets)))


def _refined(recording: FrameStore, weights: Path, device: str) -> FrameStore:
    """What stage 1 makes of a recording, kept beside its weights."""
    info = recording.info
    store = FrameStore.create(weights.parent / _LOCAL / info.name, info)
    if store.missing:
        refiner = LocalRefiner(weights, device)
        for segment in segments(info):
            for place, frame in refiner.refine(recording, segment, segment):
                store.write(place, frame)
    return store
