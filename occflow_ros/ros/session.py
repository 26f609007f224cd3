"""From images to results while the node is active: what one session of input needs and does."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

import torch

from occflow_ros.config import RunConfig
from occflow_ros.engine.semantics import SemanticStream
from occflow_ros.engine.stage_timer import StageTimer
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.ros.accounting import Outcome
from occflow_ros.ros.cameras import CameraInputs, ImageSet
from occflow_ros.ros.frames import FrameBuilder
from occflow_ros.ros.lifecycle import ManagedNode
from occflow_ros.ros.mailbox import Mailbox
from occflow_ros.ros.outputs import Outputs
from occflow_ros.ros.poses import Poses
from occflow_ros.ros.rejection import Reason, RejectedSetError
from occflow_ros.ros.time_guard import TimeGuard
from occflow_ros.structures import Frame, OccupancyFlow

POLL_S = 0.1
OUT_OF_MEMORY = "out of device memory: the step was taken again without history"


class Session:
    """Callbacks collect sets; a thread of its own converts, steps and publishes.

    Every set ends as exactly one outcome. What the thread cannot handle ends it, and `on_failure`
    hears of it, in that thread.

    Args:
        node: that subscribes.
        config: of the run.
        stream: the network with its memory.
        outputs: publishers of the results.
        record: gets each outcome.
        on_failure: gets what ended the thread.
    """

    def __init__(
        self,
        node: ManagedNode,
        config: RunConfig,
        stream: OccupancyStream | SemanticStream,
        outputs: Outputs,
        record: Callable[[Outcome], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._stream, self._outputs = stream, outputs
        self._record, self._on_failure = record, on_failure
        self._mailbox: Mailbox[ImageSet] = Mailbox()
        self._resets: Mailbox[str] = Mailbox()
        self._stop = threading.Event()
        self.poses = Poses(node, config.node)
        self._time = TimeGuard(node.get_clock(), config.node.max_ahead_s)
        self.cameras = CameraInputs(node, config.node.cameras, self._on_set)
        self._frames = FrameBuilder(config, self.poses, self.cameras)
        self._thread = threading.Thread(target=self._run, name="session")
        self._thread.start()

    def reset(self, reason: str) -> None:
        """Forget the past before the next step."""
        self._resets.put(reason)

    def facts(self) -> dict[str, object]:
        """What became of the images and poses that came, for diagnostics."""
        return {**self.cameras.facts(), "poses.refused": self.poses.refused}

    def close(self) -> None:
        """Finish the set in hand, drop the one that waits, and free the subscriptions."""
        self._stop.set()
        self._thread.join()
        self.cameras.close()
        self.poses.close()
        self._time.close()
        if (image_set := self._mailbox.take(0.0)) is not None:
            self._drop(image_set, Reason.SHUTDOWN, "the node takes no more input")

    def _on_set(self, image_set: ImageSet) -> None:
        if (replaced := self._mailbox.put(image_set)) is not None:
            self._drop(replaced, Reason.OVERLOAD, "a newer set came before this one was taken")

    def _run(self) -> None:
        while not self._stop.is_set():
            if (image_set := self._mailbox.take(POLL_S)) is not None:
                try:
                    self._account(image_set)
                except Exception as error:  # of no kind that the next set could do without
                    self._drop(image_set, Reason.FAILURE, _one_line(error))
                    self._on_failure(error)
                    return

    def _account(self, image_set: ImageSet) -> None:
        started_s = time.monotonic()
        timer = StageTimer(torch.device("cpu"))
        rejection, reset, network_ms, sent_s = None, None, {}, {}
        try:
            reset, sent_s = self._process(image_set, timer)
            network_ms = self._stream.timings_ms
        except RejectedSetError as error:
            rejection = error
        times_ms = {
            "receive": image_set.receive_ms,
            "wait": _after_ms(image_set, started_s),
            **timer.times_ms,
            **network_ms,
            **{f"sent.{topic}": _after_ms(image_set, at_s) for topic, at_s in sent_s.items()},
            "total": _after_ms(image_set, time.monotonic()),
        }
        self._record(Outcome(image_set, rejection, reset, times_ms))

    def _process(
        self, image_set: ImageSet, timer: StageTimer
    ) -> tuple[str | None, dict[str, float]]:
        """Convert, step, publish.

        Returns:
            Why the history was cleared, where it was, and when each message was sent.
        """
        if not self._outputs.wanted:
            raise RejectedSetError(Reason.NO_SUBSCRIBERS, "nobody subscribes to any result")
        if (jump := self._time.admit(image_set.stamp_ns)) is not None:
            self.poses.rewind(image_set.stamp_ns)
            self.reset(jump)
        frame = self._frames.build(image_set, timer)
        prediction, reset = self._step(frame)
        with timer.stage("publish"):
            sent_s = self._outputs.publish(prediction, frame)
        return reset, sent_s

    def _step(self, frame: Frame) -> tuple[OccupancyFlow, str | None]:
        if (wanted := self._resets.take(0.0)) is not None:
            self._stream.reset(wanted)
        try:
            return self._stream.step(frame), wanted or self._stream.last_reset
        except torch.OutOfMemoryError:
            self._stream.reset(OUT_OF_MEMORY)
        torch.cuda.empty_cache()  # outside the handler, whose traceback holds what was allocated
        return self._stream.step(frame), OUT_OF_MEMORY

    def _drop(self, image_set: ImageSet, reason: Reason, detail: str) -> None:
        self._record(Outcome(image_set, RejectedSetError(reason, detail), None, {}))


def _after_ms(image_set: ImageSet, at_s: float) -> float:
    """From the arrival of the set's last image to a time of `time.monotonic`."""
    return (at_s - image_set.complete_s) * 1e3


def _one_line(error: Exception) -> str:
    return " ".join(traceback.format_exception_only(error)).strip()
