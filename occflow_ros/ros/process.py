"""What every executable does around its work: start, stop on a signal, and end with one line."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from occflow_ros.errors import OccflowError


def run(name: str, work: Callable[[threading.Event], None]) -> None:
    """Do `work(stop)` between rclpy's start and shutdown, and exit with a status.

    SIGINT and SIGTERM set `stop`; the work is expected to return soon after. An `OccflowError` is
    printed as one line and ends with status 1, as is an argument that rclpy does not take.
    """
    try:
        with _stopped_by_signals() as stop:
            rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
            work(stop)
    except (OccflowError, rclpy_implementation.RCLError) as error:
        print(f"{name}: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    finally:
        rclpy.try_shutdown()


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    stop = threading.Event()
    signums = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(signum, lambda *_: stop.set()) for signum in signums]
    try:
        yield stop
    finally:
        for signum, handler in zip(signums, before):
            signal.signal(signum, handler)


@contextmanager
def spinning(node: Node, stop: threading.Event) -> Iterator[None]:
    """The node's callbacks run in another thread; one that fails sets `stop` and raises.

    At the end the node is destroyed.
    """
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    failures: list[Exception] = []

    def spin() -> None:
        try:
            executor.spin()
        except Exception as error:  # raised again in the main thread
            failures.append(error)
            stop.set()

    thread = threading.Thread(target=spin, name="executor")
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
    if failures:
        raise failures[0]
