"""Parts done on a Ray cluster: one of this machine, or one that runs already.

The cluster's machines need this package and the same folders under the same paths.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import torch

from occflow_ros.errors import ConfigError, PartError
from occflow_ros.offboard.engines import TRIES, threads_each

ResultT = TypeVar("ResultT")

_ANSWER_S = 10.0
_OBJECTS_BYTES = 100_000_000  # parts and their results are small; frames go through folders
_QUIET = {"log_to_driver": False, "logging_level": "ERROR"}


class RayEngine(AbstractContextManager["RayEngine"]):
    """An `Engine` of Ray tasks, each with one CPU and, on CUDA, its share of a GPU.

    Args:
        workers: parts at a time, None for as many as Ray has CPUs.
        address: of a cluster, None to start one on this machine.
        device: that the parts compute on.

    Raises:
        ConfigError: where Ray is not installed or no cluster answers.
    """

    def __init__(self, workers: int | None, address: str | None, device: str) -> None:
        self._ray = _import_ray()
        with _signals_kept():
            if address is None:
                self._start(workers)
            else:
                self._connect(address)
        self._workers = workers or int(self._ray.cluster_resources().get("CPU", 1))
        threads = threads_each(self._workers) if address is None else 1
        options = {"num_cpus": 1, "num_gpus": self._gpus_each(device), "max_retries": TRIES - 1}
        self._begin = self._ray.remote(**options)(_do).remote
        self._threads = threads

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def run(self, parts: Sequence[Callable[[], ResultT]]) -> Iterator[tuple[int, ResultT]]:
        """As `Engine`."""
        left = iter(range(len(parts)))
        doing: dict[Any, int] = {}
        try:
            while True:
                for place in _some(left, self._workers - len(doing)):
                    doing[self._begin(parts[place], self._threads)] = place
                if not doing:
                    return
                for done in self._ray.wait(list(doing))[0]:
                    place = doing.pop(done)
                    yield place, self._result(done, parts[place])
        finally:
            for unfinished in doing:
                self._ray.cancel(unfinished)

    def _result(self, done: Any, part: object) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(done)
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayError as error:
            reason = str(error).splitlines()[0]
            raise PartError(f"{part}: its process died {TRIES} times: {reason}") from None

    def _start(self, workers: int | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray.init(
                address="local",
                num_cpus=workers,
                num_gpus=torch.cuda.device_count(),
                object_store_memory=_OBJECTS_BYTES,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",  # nobody else is to be served
                **_QUIET,
            )
        except Exception as error:  # Ray raises no narrower one where it is too slow to start
            self._ray.shutdown()
            reason = str(error).splitlines()[0]
            raise ConfigError(f"engine: expected Ray to start here: {reason}") from None

    def _connect(self, address: str) -> None:
        _check_answers(address)
        try:
            self._ray.init(address=address, **_QUIET)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"address: expected a Ray cluster at {address}: {reason}") from None

    def _gpus_each(self, device: str) -> float:
        if not device.startswith("cuda"):
            return 0.0
        gpus = self._ray.cluster_resources().get("GPU", 0.0)
        if not gpus:
            raise ConfigError("device: expected a Ray cluster with a GPU, got one without")
        return min(1.0, gpus / self._workers)


def _do(part: Callable[[], ResultT], threads: int) -> ResultT:
    torch.set_num_threads(threads)
    return part()


def _some(places: Iterator[int], count: int) -> list[int]:
    return [place for _, place in zip(range(count), places)]


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            f"engine: expected the package ray ({error}); install the extra: "
            "pip install 'occflow_ros[ray]'"
        ) from None
    return ray


def _check_answers(address: str) -> None:
    """Ray itself would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return  # a name such as auto
    try:
        socket.create_connection((host, int(port)), _ANSWER_S).close()
    except OSError as error:
        raise ConfigError(
            f"address: expected a Ray cluster at {address}: {error.strerror or error}"
        ) from None


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray sets a handler of SIGTERM of its own, which would end the command untidily."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
