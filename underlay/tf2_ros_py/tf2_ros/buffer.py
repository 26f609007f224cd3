"""Transform buffer that waits for data and follows jumps of the ROS clock."""

import threading
from collections.abc import Callable

from geometry_msgs.msg import TransformStamped
from rclpy.clock import Clock, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.task import Future
from rclpy.time import Time

from tf2_msgs.srv import FrameGraph
from tf2_py import BufferCore
from tf2_ros.buffer_interface import NO_WAIT, BufferInterface

NS_PER_S = 1_000_000_000

Availability = bool | tuple[bool, str]


class Buffer(BufferCore, BufferInterface):
    """BufferCore with waiting, futures and the `tf2_frames` service.

    Args:
        cache_time: history kept for each dynamic frame; 10 s if absent.
        node: gives the clock whose jumps empty the buffer, and serves `tf2_frames`.

    Waiting blocks the caller's thread: the callbacks that fill the buffer need another one
    (`TransformListener(spin_thread=True)` or a multi-threaded executor).
    """

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        super().__init__(cache_time)
        self._new_data = threading.Condition()
        self._on_new_data: list[Callable[[], None]] = []
        if node is not None:
            self.srv = node.create_service(FrameGraph, "tf2_frames", self._answer_frames)
        self.clock = node.get_clock() if node is not None else Clock()
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(seconds=-1), on_clock_change=True
        )
        self.jump_handle = self.clock.create_jump_callback(
            threshold, post_callback=self.time_jump_callback
        )

    def _answer_frames(
        self, request: FrameGraph.Request, response: FrameGraph.Response
    ) -> FrameGraph.Response:
        response.frame_yaml = self.all_frames_as_yaml()
        return response

    def time_jump_callback(self, time_jump: TimeJump) -> None:
        """Forget the past where the clock jumps back by 1 s or more, or changes its source."""
        get_logger("tf2_buffer").warning("Detected jump back in time. Clearing tf buffer.")
        self.clear()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform that holds at its stamp, and wake those who wait."""
        super().set_transform(transform, authority)
        self._announce()

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform that holds at every time, and wake those who wait."""
        super().set_transform_static(transform, authority)
        self._announce()

    def _announce(self) -> None:
        with self._new_data:
            self._new_data.notify_all()
            callbacks = list(self._on_new_data)
        for callback in callbacks:
            callback()

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration = NO_WAIT
    ) -> TransformStamped:
        """Look up target ← source at a time (zero: the latest), waiting up to `timeout`.

        Raises:
            tf2_py.TransformException: see `BufferCore.lookup_transform_core`.
        """
        self.can_transform(target_frame, source_frame, time, timeout)
        return self.lookup_transform_core(target_frame, source_frame, time)

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = NO_WAIT,
    ) -> TransformStamped:
        """Look up target at one time ← source at another, waiting up to `timeout`.

        Raises:
            tf2_py.TransformException: see `BufferCore.lookup_transform_core`.
        """
        frames_and_times = (target_frame, target_time, source_frame, source_time, fixed_frame)
        self.can_transform_full(*frames_and_times, timeout)
        return self.lookup_transform_full_core(*frames_and_times)

    async def lookup_transform_async(
        self, target_frame: str, source_frame: str, time: Time
    ) -> TransformStamped:
        """Await target ← source at a time."""
        return await self.wait_for_transform_async(target_frame, source_frame, time)

    async def lookup_transform_full_async(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
    ) -> TransformStamped:
        """Await target at one time ← source at another."""
        return await self.wait_for_transform_full_async(
            target_frame, target_time, source_frame, source_time, fixed_frame
        )

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = NO_WAIT,
        return_debug_tuple: bool = False,
    ) -> Availability:
        """Whether target ← source is available, waiting up to `timeout` for it.

        Returns:
            a bool, or with `return_debug_tuple` also the reason why not.
        """
        result = self._wait(
            lambda: self.can_transform_core(target_frame, source_frame, time), timeout
        )
        return result if return_debug_tuple else result[0]

    def can_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = NO_WAIT,
        return_debug_tuple: bool = False,
    ) -> Availability:
        """Whether target at one time ← source at another is available; see `can_transform`."""
        result = self._wait(
            lambda: self.can_transform_full_core(
                target_frame, target_time, source_frame, source_time, fixed_frame
            ),
            timeout,
        )
        return result if return_debug_tuple else result[0]

    def _wait(self, check: Callable[[], tuple[bool, str]], timeout: Duration) -> tuple[bool, str]:
        result = check()
        if result[0] or timeout.nanoseconds <= 0:
            return result
        with self._new_data:
            self._new_data.wait_for(lambda: check()[0], timeout.nanoseconds / NS_PER_S)
        return check()

    def wait_for_transform_async(self, target_frame: str, source_frame: str, time: Time) -> Future:
        """A future that completes with target ← source once it is available."""
        return self._when(
            lambda: self.can_transform_core(target_frame, source_frame, time),
            lambda: self.lookup_transform_core(target_frame, source_frame, time),
        )

    def wait_for_transform_full_async(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
    ) -> Future:
        """A future that completes with target at one time ← source at another."""
        frames_and_times = (target_frame, target_time, source_frame, source_time, fixed_frame)
        return self._when(
            lambda: self.can_transform_full_core(*frames_and_times),
            lambda: self.lookup_transform_full_core(*frames_and_times),
        )

    def _when(
        self, check: Callable[[], tuple[bool, str]], lookup: Callable[[], TransformStamped]
    ) -> Future:
        """A future that `lookup` completes as soon as `check` passes."""
        future = Future()

        def complete_if_ready() -> None:
            if future.done() or not check()[0]:
                return
            try:
                future.set_result(lookup())
            except Exception as error:  # the future carries every failure to whoever awaits it
                future.set_exception(error)

        with self._new_data:
            self._on_new_data.append(complete_if_ready)
        future.add_done_callback(lambda _: self._forget(complete_if_ready))
        complete_if_ready()
        return future

    def _forget(self, callback: Callable[[], None]) -> None:
        with self._new_data:
            if callback in self._on_new_data:
                self._on_new_data.remove(callback)
