"""CDR as ROS 2 puts it on the wire, for messages whose nested sequences are too slow as objects."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

LITTLE_ENDIAN_CDR = b"\x00\x01\x00\x00"


class CdrWriter:
    """Serialises a message field by field, in the order of its definition.

    Every primitive is aligned to its own size, counted from the end of the encapsulation header;
    strings and sequences begin with a uint32 length. `Publisher.publish` takes the result as it is.
    """

    def __init__(self) -> None:
        self._parts: list[Any] = [LITTLE_ENDIAN_CDR]  # what has a buffer, joined in one copy
        self._size = 0

    def scalars(self, kind: str, *values: float) -> None:
        """Consecutive primitives of one type, named by its `struct` character."""
        data = struct.pack(f"<{len(values)}{kind}", *values)
        self._align(len(data) // len(values))
        self._append(data, len(data))

    def string(self, text: str) -> None:
        """A string with its terminating zero."""
        data = text.encode() + b"\0"
        self.scalars("I", len(data))
        self._append(data, len(data))

    def sequence(self, rows: npt.NDArray[np.generic]) -> None:
        """A sequence of primitives (n,), or of structs of k equal primitives (n, k).

        The rows are read by `tobytes`: they must not change before.
        """
        self.scalars("I", len(rows))
        if len(rows):
            self._align(rows.itemsize)
            data = rows.astype(rows.dtype.newbyteorder("<"), order="C", copy=False)
            self._append(data, data.nbytes)

    def tobytes(self) -> bytes:
        """The serialised message."""
        return b"".join(self._parts)

    def _append(self, data: Any, size: int) -> None:
        self._parts.append(data)
        self._size += size

    def _align(self, size: int) -> None:
        if padding := -self._size % size:
            self._append(bytes(padding), padding)
