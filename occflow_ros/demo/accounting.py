"""What became of every camera set that was sent, and how long each stage took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from occflow_ros.data.drive import CameraSet
from occflow_ros.demo.bag import PROCESSED, BagContents, SetReport

NO_SET = "no_set"
NOT_RECORDED = "not_recorded"
NOT_RECORDED_DETAIL = "the node published it, but it is not in the bag"


@dataclass(frozen=True, slots=True)
class SetOutcome:
    """One sent camera set and what became of it.

    Args:
        camera_set: as it was sent.
        report: the node's word, None where the node never mentioned it.
        reason: why there is no prediction, in one word, empty where there is one.
        detail: the same in full.
    """

    camera_set: CameraSet
    report: SetReport | None
    reason: str = ""
    detail: str = ""

    @property
    def processed(self) -> bool:
        """Whether the bag holds a prediction for it."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Drops:
    """How many sets were lost for one reason, and what was said about the first of them."""

    reason: str
    count: int
    detail: str


@dataclass(frozen=True, slots=True)
class StageLatency:
    """Latency of one stage over the processed sets."""

    stage: str
    p50_ms: float
    p99_ms: float


def account(
    sent: Sequence[CameraSet], cameras: Collection[str], bag: BagContents, shift_ns: int = 0
) -> tuple[SetOutcome, ...]:
    """Find the node's word on each sent set; every sent set appears exactly once.

    The node names a set by the stamp of its reference camera, so a set is found by its own stamp
    or by that of any of its images.

    Args:
        sent: as they lie in the drive.
        cameras: names of the rig.
        bag: what was recorded.
        shift_ns: what the replay added to the stamps of the drive.
    """
    return tuple(_outcome(camera_set, cameras, bag, shift_ns) for camera_set in sent)


def count_drops(outcomes: Sequence[SetOutcome]) -> tuple[Drops, ...]:
    """Sets without a prediction by reason, the most frequent first."""
    dropped = [outcome for outcome in outcomes if not outcome.processed]
    counts = Counter(outcome.reason for outcome in dropped).most_common()
    first = {outcome.reason: outcome.detail for outcome in reversed(dropped)}
    return tuple(Drops(reason, count, first[reason]) for reason, count in counts)


def resets(outcomes: Sequence[SetOutcome]) -> tuple[str, ...]:
    """Why the node cleared its history before processed sets, in time order."""
    reports = [outcome.report for outcome in outcomes if outcome.processed]
    return tuple(report.reset for report in reports if report is not None and report.reset)


def stage_latencies(outcomes: Sequence[SetOutcome]) -> tuple[StageLatency, ...]:
    """p50 and p99 of each stage over the processed sets, in the order of the node."""
    times_ms: dict[str, list[float]] = {}
    for outcome in outcomes:
        if outcome.processed and outcome.report is not None:
            for stage, value in outcome.report.stages_ms.items():
                times_ms.setdefault(stage, []).append(value)
    return tuple(
        StageLatency(stage, *(float(p) for p in np.percentile(values, (50, 99))))
        for stage, values in times_ms.items()
    )


def _outcome(
    camera_set: CameraSet, cameras: Collection[str], bag: BagContents, shift_ns: int
) -> SetOutcome:
    stamps = {camera_set.stamp_ns, *(image.stamp_ns for image in camera_set.images.values())}
    report = next((r for r in bag.reports if r.stamp_ns - shift_ns in stamps), None)
    if report is None:
        return SetOutcome(camera_set, None, NO_SET, _why_no_set(camera_set, cameras))
    if report.outcome != PROCESSED:
        return SetOutcome(camera_set, report, report.reason or report.outcome, report.detail)
    if report.stamp_ns not in bag.predictions:
        return SetOutcome(camera_set, report, NOT_RECORDED, NOT_RECORDED_DETAIL)
    return SetOutcome(camera_set, report)


def _why_no_set(camera_set: CameraSet, cameras: Collection[str]) -> str:
    missing = [name for name in cameras if name not in camera_set.images]
    if missing:
        return f"the drive has no image of {', '.join(missing)}, and the node waits for all"
    return "the node never had all of its images together"
