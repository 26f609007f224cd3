"""OccFiner's Table 6: the onboard model trained on labels alone, and on pseudo-labels beside them.

Every row has the same steps, seeds and labelled drives, and differs in what is added to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from occflow_ros.metrics.accumulator import share
from occflow_ros.metrics.semantic_iou import count_classes, no_counts
from occflow_ros.mono_config import MonoConfig
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.table import NOT_KNOWN, number
from occflow_ros.training.mono.ablation import AUXILIARY_CONDITIONED as FULL
from occflow_ros.training.mono.ablation import COLUMNS, MonoStudy
from occflow_ros.training.mono.dataset import MonoDrive
from occflow_ros.training.mono.relabel import label_digest
from occflow_ros.training.mono.truth import class_truth, labelled_sets
from occflow_ros.training.study import Ablation, Numbers, Study

SETS = "sets"
WORTH = {"miou": "added: mIoU", "completion_iou": "added: IoU", "known": "added: known"}
"""Columns that say what added labels are worth, by the name of a number of `LabelWorth`."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One mixture of labels.

    Args:
        name: of its folder.
    """

    name: str


ALONE = LabelRow("labels")
ONBOARD = LabelRow("onboard")
REFINED = LabelRow("refined")
TRUE = LabelRow("true")


@dataclass(frozen=True, slots=True)
class LabelWorth:
    """Labels against the true ones; NaN where nothing is there to compare.

    Args:
        miou: over the voxels that both know.
        completion_iou: of what is occupied, over the same.
        known: share of the truly known voxels that the labels know.
    """

    miou: float
    completion_iou: float
    known: float


_LABELS = {
    ALONE: "labels alone",
    ONBOARD: "labels + pseudo-labels, onboard model",
    TRUE: "labels + true labels of the same sequences",
    REFINED: "labels + pseudo-labels, refined",
}
"""What each row is called; the full method is the last."""


@dataclass(frozen=True, slots=True)
class AutolabelStudy(Study[LabelRow]):
    """What is the same in all rows, and what each adds.

    Args:
        base: settings, labelled and held-out drives.
        out: folder, with one for each row and seed.
        added: drives beside the labelled ones by row, of `ALONE` none.
        worth: of what is added by row, where its truth is known.
    """

    base: MonoStudy
    out: Path
    added: Mapping[LabelRow, Sequence[MonoDrive]]
    worth: Mapping[LabelRow, LabelWorth]

    @property
    def seeds(self) -> int:
        """Each row is trained with seeds 0 to `seeds` − 1."""
        return self.base.seeds

    def table(self) -> Ablation[LabelRow]:
        """Table 6 of the rows that there are."""
        rows = {label: row for row, label in _LABELS.items() if row in self.added}
        more = (SETS, *(WORTH.values() if self.worth else ()))
        return Ablation("Labels by people and pseudo-labels (Table 6)", rows, COLUMNS, more)

    def trained(self, variant: LabelRow, seed: int) -> dict[str, Any]:
        """Settings, data and the labels themselves."""
        drives = self._study(variant).drives
        labels = {"drives": _names(drives), "labels": label_digest(drives)}
        return {**self.base.trained(FULL, seed), **labels}

    def compared(self) -> dict[str, Any]:
        """The sets that are held out."""
        return self.base.compared()

    def train(self, variant: LabelRow, seed: int, folder: Path, needed: Path | None) -> None:
        """The onboard model on the labelled drives and what the row adds."""
        study = self._study(variant)
        study.out.mkdir(parents=True, exist_ok=True)
        study.train(FULL, seed, folder, needed)

    def score(self, variant: LabelRow, seed: int, weights: Path) -> Numbers:
        """As `occflow train` validates."""
        return self._study(variant).score(FULL, seed, weights)

    def about(self) -> dict[str, Any]:
        """Budget, and which drives are labelled by whom."""
        return {
            **self.base.about(),
            "labelled": _names(self.base.drives),
            "added": {row.name: _names(drives) for row, drives in self.added.items()},
            "worth": {row.name: asdict(worth) for row, worth in self.worth.items()},
        }

    def note(self, seeds: int) -> str:
        """Budget and data."""
        train, added = self.base.config.train, max(map(len, self.added.values()))
        return (
            f"Steps of each run: {self.base.steps}, each of {train.samples_per_step} samples of "
            f"{train.cameras_per_sample or 'all'} camera(s); seeds: {seeds}, mean ± standard "
            f"deviation; labelled drives: {len(self.base.drives)}, added: {added}, to compare "
            f"with: {len(self.base.held_out)}, one set in {self.base.every}. IoU as shares, over "
            "the voxels that a camera sees. What is added is compared with its truth over the "
            "voxels that both know; known is the share of those that the truth knows."
        )

    def cell(self, column: str, variant: LabelRow) -> str:
        """Labelled sets of a row, or the worth of what it adds."""
        if column == SETS:
            drives = self._study(variant).drives
            return str(sum(at in one.indices for one in drives for at in labelled_sets(one)))
        (name,) = (name for name, title in WORTH.items() if title == column)
        return number(getattr(self.worth[variant], name)) if variant in self.worth else NOT_KNOWN

    def _study(self, row: LabelRow) -> MonoStudy:
        """That of a row: its prior lies in its folder."""
        drives = [*self.base.drives, *self.added[row]]
        return replace(self.base, drives=drives, out=self.out / row.name)


def label_worth(
    drives: Sequence[MonoDrive], true: Sequence[MonoDrive], config: MonoConfig
) -> LabelWorth:
    """What labels are worth on the grid of a network.

    Args:
        drives: with the labels to judge.
        true: the same drives with their own.
        config: of the network.

    Raises:
        DataError: where a file cannot be read or does not fit.
    """
    grid, classes = config.model.grid.voxels, config.model.classes
    total, truly_known = no_counts(classes.names, classes.empty), 0
    for one, own in zip(drives, true, strict=True):
        labelled = {*labelled_sets(one)}
        for index in labelled_sets(own):
            is_true = class_truth(own, index, grid, classes)
            truly_known += int((is_true != UNKNOWN_CLASS_ID).sum())
            if index in labelled:
                said = class_truth(one, index, grid, classes)
                counted = (said != UNKNOWN_CLASS_ID) & (is_true != UNKNOWN_CLASS_ID)
                total += count_classes(said, is_true, counted, classes.names, classes.empty)
    known = share(int(total.matrix.sum()), truly_known)
    return LabelWorth(total.mean_iou, total.completion.iou, known)


def _names(drives: Sequence[MonoDrive]) -> list[str]:
    return [one.drive.name for one in drives]
