"""When the demo takes the node to be done, from what the watch prints."""

import json
from types import SimpleNamespace

import pytest

from occflow_ros.demo import run


class Watch:
    """A child whose log the test writes."""

    def __init__(self):
        self.lines = []

    def log_text(self):
        return "".join(self.lines)

    def say(self, **values):
        self.lines.append(json.dumps(values) + "\n")


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: now.s))
    return now


def test_a_set_that_was_begun_is_waited_for_however_long_it_takes(clock):
    watch = Watch()
    reports = run.Reports(watch)
    watch.say(ready=True)
    watch.say(**{"images.left.used": "2", "images.left.received": "9"})
    watch.say(stamp_ns="1", outcome="processed", total_ms="80")
    reports.update()
    clock.s += 300.0
    reports.update()
    assert not reports.idle
    watch.say(stamp_ns="2", outcome="dropped")
    assert len(reports.update()) == 2
    assert not reports.idle
    clock.s += 60.0
    reports.update()
    assert reports.idle


def test_half_a_line_is_left_for_later():
    watch = Watch()
    watch.lines.append('{"stamp_ns": "1", "outcome"')
    reports = run.Reports(watch)
    assert reports.update() == []
    watch.lines.append(': "processed"}\n')
    assert reports.update() == [{"stamp_ns": "1", "outcome": "processed"}]
