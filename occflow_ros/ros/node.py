"""The node: synchronised camera images and TF in, occupancy and flow out."""

from __future__ import annotations

import gc
import hashlib
import threading
from pathlib import Path

import torch
from pydantic import Field
from std_srvs.srv import Trigger

from occflow_ros.config import resolve
from occflow_ros.engine import checkpoint
from occflow_ros.engine.device import available_device
from occflow_ros.engine.load_semantics import with_semantics
from occflow_ros.engine.semantics import SemanticStream
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.errors import OccflowError
from occflow_ros.measurement import is_cuda
from occflow_ros.models.build import build_network
from occflow_ros.ros import process
from occflow_ros.ros.diagnostics import Diagnostics, Health
from occflow_ros.ros.lifecycle import ManagedNode
from occflow_ros.ros.outputs import Outputs
from occflow_ros.ros.parameters import Parameters
from occflow_ros.ros.session import Session
from occflow_ros.validation import StrictModel
from occflow_ros.weights import choose_semantics_weights, choose_weights

HASH_DIGITS = 12
NAMESAKE_SUMMARIES = 3
"""A node that ended may be listed for a while yet."""


class RunParameters(StrictModel):
    """What to run, and on what."""

    preset: str = Field("nano", description="preset, or YAML file as `occflow config` prints it")
    weights: str = Field(
        "", description="checkpoint, or untrained; empty: those that come with the preset"
    )
    semantics_weights: str = Field(
        "", description="checkpoint of MonoOcc; empty: those that come with the package"
    )
    device: str = Field("cpu", description="torch device, for example cuda:0")
    autostart: bool = Field(
        True, description="configure and activate at the start; false: a lifecycle manager does"
    )


class OccflowNode(ManagedNode):
    """A managed node: `configure` loads and warms the network, `activate` takes input.

    Every set ends as one outcome on `/diagnostics`: processed, or dropped with the reason.

    Args:
        namespace: of the node, where none is remapped.

    Raises:
        ConfigError: names a parameter with a wrong value.
    """

    def __init__(self, namespace: str = "") -> None:
        super().__init__("occflow", namespace)
        parameters = Parameters(self)
        self._run = parameters.read(RunParameters())
        self._config = parameters.read(resolve(self._run.preset).run)
        parameters.check_all_known()
        self._stream: OccupancyStream | SemanticStream | None = None
        self._outputs: Outputs | None = None
        self._session: Session | None = None
        self._failed: Exception | None = None
        self._facts: dict[str, str] = {}
        self._namesake_seen = 0
        self._diagnostics = Diagnostics(self, self._health)
        self._failing = self.create_guard_condition(self._on_failure)
        self.create_service(Trigger, "~/reset", self._on_reset)

    def start(self) -> None:
        """Configure and activate, where `autostart` says so; raises what prevents it."""
        if not self._run.autostart:
            self.get_logger().info("waiting to be configured")
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            transition()
            if self.failure is not None:
                raise self.failure

    def configure(self) -> None:
        """Load the networks and take steps on noise; raises OccflowError where it cannot."""
        self._stream, self._facts = self._load()
        self._stream.warm_up(len(self._config.node.cameras.names))
        self._outputs = Outputs(self, self._config, self._stream.class_names)
        self.get_logger().info(
            f"ready: {', '.join(f'{key} {value}' for key, value in self._facts.items())}"
        )

    def _load(self) -> tuple[OccupancyStream | SemanticStream, dict[str, str]]:
        """The networks with their memory, and what diagnostics say of them."""
        model = self._config.model
        weights = choose_weights(self._run.weights, model)
        network = build_network(model, weights)
        if weights is None:
            self.get_logger().warning("the weights are untrained: what is published has no meaning")
        stream = OccupancyStream(network, self._config, available_device(self._run.device))
        facts = {
            "preset": self._run.preset,
            "weights": network.weights_source,
            "weights_sha256": _digest(weights),
            "device": self._run.device,
            "semantics": self._config.semantics,
        }
        if self._config.semantics == "none":
            return stream, facts
        semantics_weights = choose_semantics_weights(self._run.semantics_weights, model)
        sharpness_per_m = checkpoint.sharpness_per_m(weights, model)
        both = with_semantics(stream, semantics_weights, sharpness_per_m)
        facts["semantics_weights"] = str(semantics_weights)
        facts["semantics_weights_sha256"] = _digest(semantics_weights)
        return both, facts

    def activate(self) -> None:
        """Subscribe, and turn sets into results."""
        assert self._stream is not None and self._outputs is not None  # configured before
        self._session = Session(
            self,
            self._config,
            self._stream,
            self._outputs,
            self._diagnostics.record,
            self._fail,
        )
        topics = ", ".join(self._session.cameras.image_topics.values())
        self.get_logger().info(f"waiting for images on {topics}")

    def deactivate(self) -> None:
        """End the session; raises RuntimeError where it had failed, for the way to `on_error`."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
        if self._stream is not None:
            self._stream.reset("the node was deactivated")
        failed, self._failed = self._failed, None
        if failed is not None:
            raise RuntimeError(f"the session ended by itself: {_one_line(failed)}") from failed

    def cleanup(self) -> None:
        """Free the networks, their memory and the publishers."""
        outputs, self._outputs, self._stream = self._outputs, None, None
        if outputs is not None:
            outputs.close()
        gc.collect()
        if is_cuda(self._run.device):
            torch.cuda.empty_cache()

    def destroy_node(self) -> None:
        """End the session and the node; the executor must have ended."""
        if self.state not in ("unconfigured", "finalized"):
            self.trigger_shutdown()
        self._diagnostics.flush()
        super().destroy_node()

    def _fail(self, error: Exception) -> None:
        """Called by the session's thread, which may not change the node's state itself."""
        self._failed = error
        self._failing.trigger()

    def _on_failure(self) -> None:
        if self.is_active and self._failed is not None:
            self.trigger_deactivate()

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._session is not None
        if self._session is None:
            response.message = f"the node is {self.state}: there is no history"
        else:
            self._session.reset("~/reset was called")
            response.message = "history is cleared before the next set"
        return response

    def _health(self) -> Health:
        facts: dict[str, object] = {"state": self.state, **self._facts}
        problems = [] if self.failure is None else [_one_line(self.failure)]
        if self._has_namesake():
            problems.append(f"another node is named {self.get_fully_qualified_name()}")
        if self._stream is not None:
            facts["history_mib"] = f"{self._stream.history_bytes / 2**20:.1f}"
            if is_cuda(self._run.device):
                used = torch.cuda.memory_allocated(self._run.device)
                facts["gpu_memory_mib"] = f"{used / 2**20:.1f}"
        if self._outputs is not None:
            problems += self._outputs.problems()
        if self._session is not None:
            facts.update(self._session.facts())
            problems += self._session.cameras.problems()
        return Health(facts, tuple(problems))

    def _has_namesake(self) -> bool:
        own = (self.get_name(), self.get_namespace())
        listed = self.get_node_names_and_namespaces().count(own) > 1
        self._namesake_seen = self._namesake_seen + 1 if listed else 0
        return self._namesake_seen >= NAMESAKE_SUMMARIES


def main() -> None:
    """The `node` executable."""
    process.run("node", _work)


def _work(stop: threading.Event) -> None:
    node = OccflowNode()
    node.start()
    with process.spinning(node, stop):
        stop.wait()


def _digest(weights: Path | None) -> str:
    """Beginning of the file's SHA-256, which tells one set of weights from another."""
    if weights is None:
        return ""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_DIGITS]


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, OccflowError) else f"{type(error).__name__}: {text}"
