"""CDR as ROS 2 puts it on the wire, for messages whose nested sequences are too slow as objects."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

LITTLE_ENDIAN_CDR = b"\x00\x01\x00\x00"


class CdrWriter:
    """Serialises a message field by field, in the order of its definition.

    Every primitive is aligned to its own size, counted from the end of the encapsulation header;
    strings and sequences begin with a uint32 length. `Publisher.publish` takes the result as it is.
    """

    def __init__(self) -> None:
        self._buffer = bytearray(LITTLE_ENDIAN_CDR)

    def scalars(self, kind: str, *values: float) -> None:
        """Consecutive primitives of one type, named by its `struct` character."""
        self._align(struct.calcsize(f"<{kind}"))
        self._buffer += struct.pack(f"<{len(values)}{kind}", *values)

    def string(self, text: str) -> None:
        """A string with its terminating zero."""
        data = text.encode() + b"\0"
        self.scalars("I", len(data))
        self._buffer += data

    def sequence(self, rows: npt.NDArray[np.generic]) -> None:
        """A sequence of primitives (n,), or of structs of k equal primitives (n, k)."""
        self.scalars("I", len(rows))
        if len(rows):
            self._align(rows.itemsize)
            self._buffer += rows.astype(rows.dtype.newbyteorder("<"), order="C", copy=False).data

    def tobytes(self) -> bytes:
        """The serialised message."""
        return bytes(self._buffer)

    def _align(self, size: int) -> None:
        position = len(self._buffer) - len(LITTLE_ENDIAN_CDR)
        self._buffer += bytes(-position % size)
