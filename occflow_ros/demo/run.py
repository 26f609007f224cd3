"""Replay, node and recorder as separate processes over DDS, from ready to the orderly end."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm import tqdm

from occflow_ros.data.drive import Drive
from occflow_ros.demo.bag import PROCESSED
from occflow_ros.demo.processes import Child, ProcessError, Supervisor
from occflow_ros.demo.source import Source
from occflow_ros.errors import DataError
from occflow_ros.weights import UNTRAINED

TOPICS = (
    "/occflow/occupancy_flow",
    "/occflow/classes",
    "/occflow/occupancy/points",
    "/occflow/costmap",
    "/occflow/latency_ms",
    "*/image_raw/compressed",
    "*/camera_info",
    "/diagnostics",
    "/tf",
    "/tf_static",
)
START_TIMEOUT_S = 120.0
_PLAY_SLACK_S = 120.0
_SETTLE_TIMEOUT_S = 600.0
_QUIET_S = 5.0


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How the processes are started.

    Args:
        folder: gets `bag/`, `logs/` and `replay.json`.
        config: YAML file of the resolved configuration.
        weights: checkpoint, None for random weights.
        semantics: checkpoint of the semantic network, None where it does not run.
        device: torch device of the node.
        rate: replay speed over real time.
    """

    folder: Path
    config: Path
    weights: Path | None
    semantics: Path | None
    device: str
    rate: float

    @property
    def bag(self) -> Path:
        """The rosbag2 folder."""
        return self.folder / "bag"

    @property
    def replay_summary(self) -> Path:
        """Where the replay lists what it sent."""
        return self.folder / "replay.json"


@dataclass(frozen=True, slots=True)
class Sent:
    """What the replay sent.

    Args:
        indices: of the drive's sets, in time order.
        shift_ns: what was added to their stamps.
    """

    indices: tuple[int, ...]
    shift_ns: int


def has_ros() -> bool:
    """Whether rclpy and the package's messages are on the path."""
    return all(find_spec(module) is not None for module in ("rclpy", "occflow_ros.msg"))


def check_ros() -> None:
    """Raise ProcessError where the processes could not start at all."""
    if not has_ros():
        raise ProcessError(
            "rclpy and occflow_ros.msg: expected on the Python path: run `make demo`, or source "
            "ROS 2 and the built package first (`source tools/env.sh`)"
        )


def play(source: Source, settings: RunSettings) -> Sent:
    """Send the drive once through the node and record what it says.

    The processes end in the reverse order of their start, so the recorder is the last.

    Raises:
        ProcessError: names the process that failed and ends with its log, or what took too long.
        KeyboardInterrupt: after Ctrl-C; by then every process has ended and the bag is closed.
    """
    with Supervisor() as supervisor:
        launcher = _Launcher(supervisor, settings.folder / "logs")
        launcher.start("recorder", output=settings.bag, topics=list(TOPICS))
        watch = launcher.start("watch")
        node = launcher.start(
            "node",
            preset=settings.config,
            weights=settings.weights or UNTRAINED,
            semantics_weights=settings.semantics or "",
            device=settings.device,
        )
        _wait_until_ready(supervisor, node, watch)
        replay = launcher.start(
            "replay",
            source=source.folder,
            scene=source.scene or "",
            version=source.version or "",
            rate=settings.rate,
            transport="compressed",
            lidar=False,
            wait_for_nodes=["occflow", "recorder"],
            summary=settings.replay_summary,
        )
        _follow(supervisor, replay, watch, source.drive, settings.rate)
    return _read_summary(settings.replay_summary)


class _Launcher:
    """Starts executables of `occflow_ros.ros` with parameters and a log file each."""

    def __init__(self, supervisor: Supervisor, logs: Path) -> None:
        logs.mkdir()
        self._supervisor, self._logs = supervisor, logs
        self._environment = _environment()

    def start(self, name: str, **parameters: object) -> Child:
        code = f"from occflow_ros.ros.{name} import main; main()"
        command = [sys.executable, "-c", code, "--ros-args"]
        for key, value in parameters.items():
            command += ["-p", f"{key}:={_as_yaml(value)}"]
        log = self._logs / f"{name}.log"
        return self._supervisor.add(Child.start(name, command, log, self._environment))


def _environment() -> dict[str, str]:
    """The user's, with output at once, on a domain of the demo's own that no robot listens to.

    Threads of PyTorch that wait sleep: spinning, they take the cores from the other processes.
    """
    return {
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }


def _as_yaml(value: object) -> str:
    """A parameter's value as rcl reads it; JSON is YAML and quotes every text."""
    return json.dumps(str(value) if isinstance(value, Path) else value)


def _wait_until_ready(supervisor: Supervisor, node: Child, watch: Child) -> None:
    supervisor.wait_until(
        lambda: "waiting for images" in node.log_text(), START_TIMEOUT_S, "node: ready for images"
    )
    supervisor.wait_until(
        lambda: "ready" in watch.log_text(),
        START_TIMEOUT_S,
        f"recorder: connected to the node's {TOPICS[0]}",
    )


def _follow(supervisor: Supervisor, replay: Child, watch: Child, drive: Drive, rate: float) -> None:
    """Show progress until the replay has ended and the node has no more to say."""
    total = len(drive.sets)
    duration_s = (drive.sets[-1].stamp_ns - drive.sets[0].stamp_ns) * 1e-9 / rate
    with tqdm(total=total, desc="camera sets", unit="set") as bar:
        reports = Reports(watch)

        def played() -> bool:
            _show(bar, reports.update())
            return not replay.running

        def settled() -> bool:
            _show(bar, reports.update())
            return len(reports.seen) >= total or reports.idle

        supervisor.wait_until(played, duration_s + _PLAY_SLACK_S, "replay: at its end")
        supervisor.check(may_end=(replay,))
        supervisor.wait_until(settled, _SETTLE_TIMEOUT_S, "node: done with what it got", (replay,))


class Reports:
    """What the watch has printed so far."""

    def __init__(self, watch: Child) -> None:
        self._watch = watch
        self._begun = 0
        self._changed_s = time.monotonic()
        self.seen: list[dict[str, str]] = []

    def update(self) -> list[dict[str, str]]:
        """All outcomes of sets, the new ones among them."""
        whole_lines = self._watch.log_text().rpartition("\n")[0].splitlines()
        values = [json.loads(line) for line in whole_lines if line.startswith("{")]
        seen = [value for value in values if "stamp_ns" in value]
        begun = max((_sets_begun(value) for value in values), default=0)
        if (len(seen), begun) != (len(self.seen), self._begun):
            self._changed_s = time.monotonic()
        self.seen, self._begun = seen, begun
        return seen

    @property
    def idle(self) -> bool:
        """Whether the node has reported on every set that it began, and none has come for long."""
        quiet_s = time.monotonic() - self._changed_s
        return len(self.seen) >= self._begun and quiet_s > _QUIET_S


def _sets_begun(summary: Mapping[str, str]) -> int:
    """How many sets the node had formed when it gave a summary."""
    used = (int(value) for key, value in summary.items() if key.endswith(".used"))
    return max(used, default=0)


def _show(bar: tqdm, reports: Sequence[Mapping[str, str]]) -> None:
    processed = [report for report in reports if report["outcome"] == PROCESSED]
    latency = f"{float(processed[-1]['total_ms']):.0f} ms" if processed else "-"
    dropped = len(reports) - len(processed)
    if len(reports) > bar.n:
        bar.set_postfix(processed=len(processed), dropped=dropped, last=latency, refresh=False)
        bar.update(len(reports) - bar.n)


def _read_summary(path: Path) -> Sent:
    try:
        summary: dict[str, Any] = json.loads(path.read_text())
        indices = tuple(int(sent["index"]) for sent in summary["sets"])
        return Sent(indices, int(summary["shift_ns"]))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: expected the replay's summary: {error}") from None
