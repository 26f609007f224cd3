"""The node: synchronised camera images and TF in, occupancy and flow out."""

from __future__ import annotations

import threading
import time

import torch
from pydantic import Field

from occflow_ros.config import resolve
from occflow_ros.engine.device import available_device
from occflow_ros.engine.stage_timer import StageTimer
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.models.build import build_network
from occflow_ros.ros import process
from occflow_ros.ros.accounting import Accounting, Outcome
from occflow_ros.ros.cameras import CameraInputs, ImageSet, Mailbox
from occflow_ros.ros.frames import FrameBuilder
from occflow_ros.ros.outputs import Outputs
from occflow_ros.ros.parameters import ConfiguredNode, Parameters
from occflow_ros.ros.rejection import Reason, RejectedSetError
from occflow_ros.ros.transforms import Transforms
from occflow_ros.validation import StrictModel
from occflow_ros.weights import choose_weights

POLL_S = 0.1


class RunParameters(StrictModel):
    """What to run, and on what."""

    preset: str = Field("nano", description="preset, or YAML file as `occflow config` prints it")
    weights: str = Field(
        "", description="checkpoint, or untrained; empty: those that come with the preset"
    )
    device: str = Field("cpu", description="torch device, for example cuda:0")


class OccflowNode(ConfiguredNode):
    """Callbacks collect; the thread that calls `run` converts, steps and publishes.

    Every set ends as one outcome on `/diagnostics`: processed, or dropped with the reason.

    Raises:
        ConfigError: names a parameter with a wrong value.
        DataError: where the weights cannot be read.
    """

    def __init__(self) -> None:
        super().__init__("occflow")
        parameters = Parameters(self)
        run = parameters.read(RunParameters())
        config = parameters.read(resolve(run.preset).run)
        parameters.check_all_known()
        network = build_network(config.model, choose_weights(run.weights, config.model))
        self._stream = OccupancyStream(network, config, available_device(run.device))
        self._stream.warm_up(len(config.node.cameras.names))
        self._mailbox: Mailbox[ImageSet] = Mailbox()
        self._cameras = CameraInputs(self, config.node.cameras, self._on_set)
        self._frames = FrameBuilder(config, Transforms(self), self._cameras)
        self._outputs = Outputs(self, config)
        facts = {"weights": network.weights_source, "device": run.device, "preset": run.preset}
        self._accounting = Accounting(self, self._cameras, facts)
        self._announce(facts)

    def run(self, stop: threading.Event) -> None:
        """Turn sets into results until `stop` is set; the node must be spinning elsewhere."""
        while not stop.is_set():
            if (image_set := self._mailbox.take(POLL_S)) is not None:
                self._account(image_set)
        if (image_set := self._mailbox.take(0.0)) is not None:
            self._drop(image_set, Reason.SHUTDOWN, "the node ends")

    def _on_set(self, image_set: ImageSet) -> None:
        if (replaced := self._mailbox.put(image_set)) is not None:
            self._drop(replaced, Reason.OVERLOAD, "a newer set came before this one was taken")

    def _account(self, image_set: ImageSet) -> None:
        started_s = time.monotonic()
        timer = StageTimer(torch.device("cpu"))
        rejection, reset, network_ms = None, None, {}
        try:
            reset = self._process(image_set, timer)
            network_ms = self._stream.timings_ms
        except RejectedSetError as error:
            rejection = error
        times_ms = {
            "receive": image_set.receive_ms,
            "wait": (started_s - image_set.complete_s) * 1e3,
            **timer.times_ms,
            **network_ms,
            "total": (time.monotonic() - image_set.complete_s) * 1e3,
        }
        self._accounting.record(Outcome(image_set, rejection, reset, times_ms))

    def _process(self, image_set: ImageSet, timer: StageTimer) -> str | None:
        """Convert, step, publish; returns why the history was cleared, where it was."""
        if not self._outputs.wanted:
            raise RejectedSetError(Reason.NO_SUBSCRIBERS, "nobody subscribes to any result")
        frame = self._frames.build(image_set, timer)
        prediction = self._stream.step(frame)
        with timer.stage("publish"):
            self._outputs.publish(prediction, frame)
        return self._stream.last_reset

    def _drop(self, image_set: ImageSet, reason: Reason, detail: str) -> None:
        self._accounting.record(Outcome(image_set, RejectedSetError(reason, detail), None, {}))

    def _announce(self, facts: dict[str, str]) -> None:
        logger = self.get_logger()
        logger.info(f"ready: {', '.join(f'{key} {value}' for key, value in facts.items())}")
        logger.info(f"waiting for images on {', '.join(self._cameras.image_topics.values())}")
        if facts["weights"].startswith("untrained"):
            logger.warning("the weights are untrained: what is published has no meaning")


def main() -> None:
    """The `node` executable."""
    process.run("node", _work)


def _work(stop: threading.Event) -> None:
    node = OccflowNode()
    with process.spinning(node, stop):
        node.run(stop)
