"""One training step, stage by stage, and how fast samples are loaded for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import torch
from torch.optim import AdamW
from tqdm import tqdm

from occflow_ros.config import Config
from occflow_ros.cues import CueFolder
from occflow_ros.cues.make import make_flow, make_movable
from occflow_ros.cues.truth import TruthFiles, TruthFlow, TruthMask
from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.recording import read_recording
from occflow_ros.data.synthetic import SceneOptions, write_synthetic
from occflow_ros.measurement import Measurement, Options, is_cuda, peak_bytes
from occflow_ros.models.build import build_network
from occflow_ros.models.heads import Prediction
from occflow_ros.training.dataset import ClipDataset, TrainingDrive
from occflow_ros.training.draws import Draw
from occflow_ros.training.occflow_learner import JOINT, OccFlowLearner
from occflow_ros.training.optimizer import build_optimizer, clip_gradients
from occflow_ros.training.sample import TrainingSample

_WARM_UP = 2
_LOAD, _MOVE, _HISTORY = "load a sample", "move to the device", "history"
_NETWORK, _NETWORK_BACKWARD = "network forward", "network backward"
_LOSSES, _LOSSES_BACKWARD = "rendering and losses forward", "rendering and losses backward"
_OPTIMIZER = "optimizer"
_OF_A_SAMPLE = (_MOVE, _HISTORY, _NETWORK, _LOSSES, _LOSSES_BACKWARD, _NETWORK_BACKWARD)
_Result = TypeVar("_Result")


@dataclass(slots=True)
class Stages:
    """Times by stage.

    Args:
        device: waited for after each stage.
        times_ms: one per repetition.
    """

    device: str
    times_ms: dict[str, list[float]] = field(default_factory=dict)

    def time(self, stage: str, call: Callable[[], _Result]) -> _Result:
        """Call and keep how long it took."""
        start_s = time.perf_counter()
        result = call()
        if is_cuda(self.device):
            torch.cuda.synchronize(self.device)
        self.times_ms.setdefault(stage, []).append((time.perf_counter() - start_s) * 1e3)
        return result

    def forget(self) -> None:
        """Drop what was measured so far."""
        self.times_ms.clear()


def measure(options: Options) -> Iterator[Measurement]:
    """Stages of a sample and of a step of the joint stage; then rates, the ratio, and memory."""
    config = options.config
    with TemporaryDirectory(prefix="occflow_bench_") as folder:
        dataset = _dataset(Path(folder), config, options.cameras)
        stages, rays = _run(dataset, options)
    for stage, times_ms in stages.times_ms.items():
        for quantity, percent in (("p50", 50), ("p90", 90)):
            value_ms = float(np.percentile(times_ms, percent))
            yield Measurement(f"train.{stage}", value_ms, "ms", quantity=quantity)
    median_ms = {stage: float(np.median(times)) for stage, times in stages.times_ms.items()}
    yield from _totals(median_ms, rays, config)
    where = "allocated on the device" if is_cuda(options.device) else "resident, whole process"
    yield Measurement("train.peak memory", peak_bytes(options.device) / 2**20, "MiB", where)


def _totals(median_ms: Mapping[str, float], rays: int, config: Config) -> Iterator[Measurement]:
    train, rendering = config.train, config.train.rendering
    sample_ms = sum(median_ms[stage] for stage in _OF_A_SAMPLE)
    step_ms = train.samples_per_step * sample_ms + median_ms[_OPTIMIZER]
    how = f"{train.samples_per_step} samples, {train.precision}, joint stage"
    yield Measurement("train.step", step_ms, "ms", how)
    per_s = train.samples_per_step * rays / step_ms * 1e3
    yield Measurement(
        "train.rays", per_s, "1/s", f"{rays} a sample, {rendering.samples} points each"
    )
    network_ms = median_ms[_NETWORK] + median_ms[_NETWORK_BACKWARD]
    losses_ms = median_ms[_LOSSES] + median_ms[_LOSSES_BACKWARD]
    yield Measurement(
        "train.rendering and losses over the network",
        losses_ms / network_ms,
        "times",
        "forward and backward, history not counted; aim: at most 1",
    )
    loaded_per_s, wanted_per_s = 1e3 / median_ms[_LOAD], train.samples_per_step / step_ms * 1e3
    yield Measurement(
        "train.samples that one process loads",
        loaded_per_s,
        "1/s",
        f"the step takes {wanted_per_s:.3f} / s, a process is busy for "
        f"{wanted_per_s / loaded_per_s:.0%} of it",
    )


def _dataset(folder: Path, config: Config, cameras: int) -> ClipDataset:
    """One sample with a full history and exact cues, on disk."""
    history = config.model.temporal.history
    scene = SceneOptions(
        keyframes=max(history, 1) + 2,
        rate_hz=1.0 / config.model.interval_s,
        image_hw_px=config.model.image_hw_px,
        truth="all",
        grid=config.model.grid.voxels,
    )
    source, cues = folder / "drive", folder / "cues"
    write_synthetic(source, "recording", scene)
    drive = _with_cameras(read_recording(source), cameras)
    files = TruthFiles(source, drive)
    make_flow(drive, TruthFlow(files), cues)
    make_movable(drive, TruthMask(files), cues)
    last = len(drive.sets) - 2
    one = TrainingDrive(drive, CueFolder(cues, source, "truth", "truth"), range(last, last + 1))
    return ClipDataset([one], config)


def _with_cameras(drive: Drive, count: int) -> Drive:
    """The drive with its first cameras only."""
    cameras = dict(list(drive.cameras.items())[:count])

    def seen(one: CameraSet) -> CameraSet:
        images = {name: image for name, image in one.images.items() if name in cameras}
        return replace(one, images=images)

    return replace(drive, cameras=cameras, sets=tuple(seen(one) for one in drive.sets))


def _run(dataset: ClipDataset, options: Options) -> tuple[Stages, int]:
    """Repeat a step with one sample; its stages, and the rays of the sample."""
    train, device = options.config.train, torch.device(options.device)
    learner = OccFlowLearner(build_network(options.config.model), options.config).to(device)
    learner.begin_stage(JOINT)
    optimizer = build_optimizer(
        learner.network, learner.beside(), train.optimizer, train.joint_stage.factors
    )
    stages = Stages(options.device)
    bar = tqdm(range(_WARM_UP + options.repeat), desc="train", unit="step", leave=False)
    for number in bar:
        if number == _WARM_UP:
            stages.forget()
        sample = stages.time(_LOAD, partial(_load, dataset, number))
        _step(learner, optimizer, sample, options, stages)
    return stages, learner.size(sample)


def _load(dataset: ClipDataset, seed: int) -> TrainingSample:
    drawn = dataset[Draw(0, seed)]
    assert drawn.sample is not None, drawn.problem
    return drawn.sample


def _step(
    learner: OccFlowLearner,
    optimizer: AdamW,
    sample: TrainingSample,
    options: Options,
    stages: Stages,
) -> None:
    """As the trainer's, cut in two where the prediction is, to time the backward passes apart."""
    optimizer.zero_grad(set_to_none=True)
    moved = stages.time(_MOVE, lambda: sample.to(torch.device(options.device)))
    past = stages.time(_HISTORY, lambda: learner.past(moved.clip))
    prediction = stages.time(_NETWORK, lambda: learner.predict(moved.current, past))
    leaves = [volume.detach().requires_grad_() for volume in (prediction.sdf_m, prediction.flow_m)]
    generator = torch.Generator().manual_seed(0)
    loss = stages.time(
        _LOSSES, lambda: learner.losses(Prediction(*leaves), moved, step=0, generator=generator)
    )
    stages.time(_LOSSES_BACKWARD, lambda: loss.value.backward())
    stages.time(
        _NETWORK_BACKWARD,
        lambda: torch.autograd.backward(
            (prediction.sdf_m, prediction.flow_m), [leaf.grad for leaf in leaves]
        ),
    )
    stages.time(_OPTIMIZER, lambda: _update(optimizer, options.config))


def _update(optimizer: AdamW, config: Config) -> None:
    clip_gradients(optimizer, config.train.optimizer.max_gradient_norm)
    optimizer.step()
