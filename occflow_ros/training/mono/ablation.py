"""MonoOcc's Tables II and III in small: parts of the method on and off, backbones, teachers.

Every run has the same number of steps, that of a teacher too. The paper's large backbone has 350 M
parameters and its pre-training 200 K images; here the large one is some blocks deeper, and
pre-trained means that backbone and neck begin with those of an OccFlow checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from occflow_ros.config import override
from occflow_ros.depth.frame_depth import FrameDepth
from occflow_ros.engine import checkpoint
from occflow_ros.engine.semantics import SemanticEngine
from occflow_ros.models.build import build_mono_network, load_mono_network
from occflow_ros.mono_config import MonoConfig
from occflow_ros.table import number
from occflow_ros.training.mono.dataset import MonoDataset, MonoDrive
from occflow_ros.training.mono.held_out import score
from occflow_ros.training.mono.learner import MonoLearner, frames_of
from occflow_ros.training.mono.prior import PRIOR, ClassPrior, cached_prior
from occflow_ros.training.study import Ablation, Numbers, Runner, Study

COLUMNS = {"miou": "mIoU", "completion_iou": "IoU of occupied", "prior_miou": "mIoU of the prior"}
PARAMETERS = "backbone (M)"


@dataclass(frozen=True, slots=True)
class MonoVariant:
    """One network to train.

    Args:
        name: of its folder.
        settings: that differ from the configuration, as `override` takes them.
        teacher: that is trained before it; None: it learns alone.
        pretrained: backbone and neck begin with those of a checkpoint, where one is given.
    """

    name: str
    settings: tuple[str, ...]
    teacher: MonoVariant | None = None
    pretrained: bool = True


_NO_AUXILIARY = "train.losses.semantic_2d.enabled=false"
_NO_CONDITIONING = "model.conditioning.enabled=false"
_TEACHER = ("model.frames=3", "model.cross_view.enabled=true")
_LARGE = "model.backbone.depths=[3,3,9,3]"
_SMALL = "model.backbone.widths=[16,32,64,128]"

TEACHER_S = MonoVariant("teacher_s", _TEACHER)
TEACHER_L = MonoVariant("teacher_l", (*_TEACHER, _LARGE))

NEITHER = MonoVariant("neither", (_NO_AUXILIARY, _NO_CONDITIONING))
AUXILIARY = MonoVariant("auxiliary", (_NO_CONDITIONING,))
DISTILLED = MonoVariant("distilled", NEITHER.settings, TEACHER_L)
CONDITIONED = MonoVariant("conditioned", (_NO_AUXILIARY,))
AUXILIARY_DISTILLED = MonoVariant("auxiliary_distilled", AUXILIARY.settings, TEACHER_L)
AUXILIARY_CONDITIONED = MonoVariant("auxiliary_conditioned", ())
CONDITIONED_DISTILLED = MonoVariant("conditioned_distilled", CONDITIONED.settings, TEACHER_L)
FULL_S = MonoVariant("full_s", (), TEACHER_S)
FULL_L = MonoVariant("full_l", (), TEACHER_L)

SMALL_BACKBONE = MonoVariant("small_backbone", (*NEITHER.settings, _SMALL), pretrained=False)
NOT_PRETRAINED = MonoVariant("not_pretrained", NEITHER.settings, pretrained=False)

MONO_ABLATIONS = {
    "components": Ablation(
        "Auxiliary loss, distillation and image-conditioned attention (Table II)",
        {
            "neither": NEITHER,
            "auxiliary loss": AUXILIARY,
            "distillation (L)": DISTILLED,
            "conditioned attention": CONDITIONED,
            "auxiliary, distillation (L)": AUXILIARY_DISTILLED,
            "auxiliary, conditioned": AUXILIARY_CONDITIONED,
            "distillation (L), conditioned": CONDITIONED_DISTILLED,
            "all, distillation (S)": FULL_S,
            "all, distillation (L)": FULL_L,
        },
        COLUMNS,
    ),
    "scaling": Ablation(
        "Scaling up and pre-training (Table III), single frame",
        {
            "half as wide": SMALL_BACKBONE,
            "scaled up": NOT_PRETRAINED,
            "scaled up, pre-trained": NEITHER,
        },
        COLUMNS,
        more=(PARAMETERS,),
    ),
}


def with_one_teacher() -> dict[str, Ablation[MonoVariant]]:
    """The same tables where all teaching is by one given network: no row has a smaller teacher."""
    return {
        name: replace(
            ablation,
            rows={
                label.replace(" (L)", ""): variant
                for label, variant in ablation.rows.items()
                if variant.teacher != TEACHER_S
            },
        )
        for name, ablation in MONO_ABLATIONS.items()
    }


@dataclass(frozen=True, slots=True)
class MonoStudy(Study[MonoVariant]):
    """What is the same in all runs.

    Args:
        config: of the full method, before any row changes it.
        steps: of each run.
        num_seeds: each row is trained with seeds 0 to `num_seeds` − 1.
        drives: to train on.
        held_out: to compare with.
        depth: of all images.
        every: compare each k-th labelled set.
        pretrained: checkpoint that the pre-trained rows begin with; None: all begin at random.
        teacher: checkpoint that teaches; None: each row's own teacher is trained before it.
        out: folder, with one for each row and seed.
        runner: of all runs.
    """

    config: MonoConfig
    steps: int
    num_seeds: int
    drives: Sequence[MonoDrive]
    held_out: Sequence[MonoDrive]
    depth: FrameDepth
    every: int
    pretrained: Path | None
    teacher: Path | None
    out: Path
    runner: Runner

    @property
    def seeds(self) -> int:
        """As in the arguments."""
        return self.num_seeds

    def needs(self, variant: MonoVariant) -> MonoVariant | None:
        """The teacher, where none is given."""
        return variant.teacher if self.teacher is None else None

    def trained(self, variant: MonoVariant, seed: int) -> dict[str, Any]:
        """Settings, data and what the run begins with."""
        begins = self.pretrained if variant.pretrained else None
        return {
            "config": self._config(variant, seed).model_dump(mode="json"),
            "data": self.runner.fingerprint,
            "pretrained": None if begins is None else begins.name,
            "teacher": None if variant.teacher is None else str(self.teacher),
        }

    def compared(self) -> dict[str, Any]:
        """The sets that are held out."""
        held_out = [f"{one.drive.name} {one.indices}" for one in self.held_out]
        return {"held_out": held_out, "every": self.every}

    def train(self, variant: MonoVariant, seed: int, folder: Path, needed: Path | None) -> None:
        """Alone, or with a teacher: the one given, or that of the variant with `needed` weights."""
        config = self._config(variant, seed)
        teacher = None
        if variant.teacher is not None:
            taught_by = self.teacher or needed
            assert taught_by is not None  # `needs` names one where none is given
            teacher = load_mono_network(taught_by)
        dataset = MonoDataset(self.drives, config, self.depth, frames_of(config, teacher))
        network = build_mono_network(config.model, seed=seed)
        if variant.pretrained and self.pretrained is not None:
            checkpoint.begin_with(network, self.pretrained)
        counts = torch.from_numpy(self._prior(dataset).class_counts)
        self.runner.train(MonoLearner(network, config, counts, teacher), dataset, config, folder)

    def score(self, variant: MonoVariant, seed: int, weights: Path) -> Numbers:
        """As `occflow train` validates."""
        config = self._config(variant, seed)
        dataset = MonoDataset(self.held_out, config, self.depth, config.model.frames)
        prior = self._prior(MonoDataset(self.drives, config, self.depth, 1))
        engine = SemanticEngine(load_mono_network(weights), self.runner.process.device)
        places = dataset.places[self.every - 1 :: self.every]
        return score(engine, config, self.depth, prior, places).numbers()

    def about(self) -> dict[str, Any]:
        """Budget and what is compared with."""
        return {"steps": self.steps, **self.compared()}

    def note(self, seeds: int) -> str:
        """Budget and data."""
        train = self.config.train
        teachers = ", a teacher's too" if self.teacher is None else ""
        return (
            f"Steps of a run{teachers}: {self.steps}, each of {train.samples_per_step} "
            f"samples of {train.cameras_per_sample or 'all'} camera(s); seeds: {seeds}, mean ± "
            f"standard deviation; drives to train on: {len(self.drives)}, to compare with: "
            f"{len(self.held_out)}, one set in {self.every}. IoU as shares, over the voxels that a "
            "camera sees; mIoU over the classes that occur."
        )

    def cell(self, column: str, variant: MonoVariant) -> str:
        """Size of the backbone, in millions of parameters."""
        assert column == PARAMETERS, column
        with torch.device("meta"):
            backbone = build_mono_network(self._config(variant, 0).model).backbone
        return number(sum(value.numel() for value in backbone.parameters()) / 1e6, 2)

    def _config(self, variant: MonoVariant, seed: int) -> MonoConfig:
        settings = (*variant.settings, f"train.steps={self.steps}", f"train.seed={seed}")
        return override(self.config, settings)

    def _prior(self, dataset: MonoDataset) -> ClassPrior:
        return cached_prior(dataset, self.out / PRIOR)
