"""Whether time goes on, went back, or is wrong; judged from stamps and from the ROS clock."""

from __future__ import annotations

import threading

from rclpy.clock import Clock, JumpThreshold, TimeJump
from rclpy.duration import Duration

from occflow_ros.ros.rejection import Reason, RejectedSetError
from occflow_ros.ros.stamps import NS_PER_S, seconds_text

REWIND_NS = NS_PER_S
"""What is less late than this is out of order; more, and time was set back."""


class TimeGuard:
    """Lets sets pass in the order of time, and tells once of each time that it was set back.

    A pause, another playback rate and a change of the clock's source change no stamp of what
    follows, so they are no reason to forget; a gap in the stamps is the stream's to judge.

    Args:
        clock: of the node; its jumps back count as well, though no set shows them.
        max_ahead_s: sets further ahead of that clock are not let pass.
    """

    def __init__(self, clock: Clock, max_ahead_s: float) -> None:
        self._clock = clock
        self._max_ahead_s = max_ahead_s
        self._lock = threading.Lock()
        self._last_ns: int | None = None
        self._jump: str | None = None
        backward = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-REWIND_NS), on_clock_change=False
        )
        self._handle = clock.create_jump_callback(backward, post_callback=self._on_clock_back)

    def admit(self, stamp_ns: int) -> str | None:
        """Why the past must be forgotten before this set, None where it need not.

        Args:
            stamp_ns: of a set that is about to be processed.

        Raises:
            RejectedSetError: where the set is out of order, or ahead of the ROS clock.
        """
        self._check_not_ahead(stamp_ns)
        with self._lock:
            jump, self._jump = self._jump, None
            if jump is None and self._last_ns is not None:
                jump = _step_back(self._last_ns, stamp_ns)
            self._last_ns = stamp_ns
            return jump

    def close(self) -> None:
        """Listen to the clock no more."""
        self._handle.unregister()

    def _check_not_ahead(self, stamp_ns: int) -> None:
        now_ns = self._clock.now().nanoseconds
        ahead_s = (stamp_ns - now_ns) * 1e-9
        if now_ns > 0 and ahead_s > self._max_ahead_s:  # 0: simulated time has not begun
            raise RejectedSetError(
                Reason.FUTURE_STAMP,
                f"set at {seconds_text(stamp_ns)}: {ahead_s:.3f} s ahead of the ROS clock "
                f"({seconds_text(now_ns)}); check use_sim_time and the cameras' clocks",
            )

    def _on_clock_back(self, jump: TimeJump) -> None:
        """Sets of the time before are ahead of the clock now, unless one showed the jump first."""
        now_ns = self._clock.now().nanoseconds
        with self._lock:
            if self._last_ns is not None and self._last_ns - now_ns > REWIND_NS // 2:
                self._jump = f"the ROS clock went back by {-jump.delta.nanoseconds * 1e-9:.3f} s"


def _step_back(last_ns: int, stamp_ns: int) -> str | None:
    """Why to forget, where time was set back; raises where the set is merely late."""
    late_ns = last_ns - stamp_ns
    if late_ns > REWIND_NS:
        return f"time went back by {late_ns * 1e-9:.3f} s"
    if late_ns >= 0:
        raise RejectedSetError(
            Reason.OUT_OF_ORDER,
            f"set at {seconds_text(stamp_ns)}: not after the last one, at {seconds_text(last_ns)}",
        )
    return None
