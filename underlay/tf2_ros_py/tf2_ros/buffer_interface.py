"""What every transform buffer offers."""

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time

NO_WAIT = Duration()


class NotImplementedException(Exception):
    """A subclass of BufferInterface lacks the method that was called."""

    def __init__(self) -> None:
        self.errstr = "CanTransform or LookupTransform not implemented"
        super().__init__(self.errstr)


class BufferInterface:
    """Lookups between frames; `Buffer` is the implementation."""

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration = NO_WAIT
    ) -> TransformStamped:
        """Look up target ← source at a time."""
        raise NotImplementedException()

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = NO_WAIT,
    ) -> TransformStamped:
        """Look up target at one time ← source at another, through a fixed frame."""
        raise NotImplementedException()

    def can_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration = NO_WAIT
    ) -> bool:
        """Whether `lookup_transform` would succeed."""
        raise NotImplementedException()

    def can_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = NO_WAIT,
    ) -> bool:
        """Whether `lookup_transform_full` would succeed."""
        raise NotImplementedException()
