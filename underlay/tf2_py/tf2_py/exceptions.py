"""What a transform lookup can fail with."""


class TransformException(Exception):
    """Base of every tf2 failure."""


class ConnectivityException(TransformException):
    """Both frames are known, but no chain of transforms joins them."""


class LookupException(TransformException):
    """A frame is unknown, or the frames form a loop."""


class ExtrapolationException(TransformException):
    """The requested time lies outside the buffered history of a frame."""


class InvalidArgumentException(TransformException):
    """A frame name is malformed."""


class TimeoutException(TransformException):
    """A lookup did not finish in the time it was given."""
