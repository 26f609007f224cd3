"""The watch's lines stay whole although two threads print them."""

import io
import json
import sys

import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from occflow_ros.ros.watch import print_line, values_of


class _Pieces(io.StringIO):
    """Notes what each write brings, which is what another thread's write can come between."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        if text:
            self.pieces.append(text)
        return super().write(text)


def test_a_line_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    output = _Pieces()
    monkeypatch.setattr(sys, "stdout", output)
    status = DiagnosticStatus(values=[KeyValue(key="outcome", value="processed")])
    print_line(values_of(status))
    print_line({"ready": True})
    assert [json.loads(piece) for piece in output.pieces] == [
        {"outcome": "processed"},
        {"ready": True},
    ]
    assert all(piece.endswith("\n") for piece in output.pieces)
