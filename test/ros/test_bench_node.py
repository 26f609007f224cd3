"""The benchmark of the node on a tiny network and tiny images: its accounts and its numbers."""

import threading
import time

import pytest

pytest.importorskip("rclpy")

from occflow_ros.config import resolve
from occflow_ros.measurement import Options
from occflow_ros.ros import bench_node
from occflow_ros.ros.bench_cpu import CpuTimes
from occflow_ros.ros.bench_node import JPEG, Run
from occflow_ros.ros.bench_rig import Order, Report, Rig

PROCESSED = {"outcome": "processed", "reason": "", "total_ms": "8.000"}
LATE = {"outcome": "dropped", "reason": "pose_late"}


@pytest.fixture
def rig():
    return Rig(2, 160, 90, True, bench_node.full_rig(2, True).domain_id)


@pytest.fixture
def options(tiny_preset):
    return Options(config=resolve(str(tiny_preset)), device="cpu", repeat=3, cameras=2)


def quantities(rows):
    found = {}
    for row in rows:
        found.setdefault(row.name, {})[row.quantity] = row.value
    return found


def run_of(outcomes, lost, cpu_s=None):
    stamps = tuple(range(1, len(outcomes) + 1))
    known = {stamp: values for stamp, values in zip(stamps, outcomes) if values}
    return Run(Report(stamps, known, 2.0, 100), lost, cpu_s or {})


def test_each_set_sent_is_accounted_for_and_each_message_has_its_latency(rig, options):
    with bench_node.running(rig, options) as bench:
        run = bench.run(Order(rate_hz=20.0, num_sets=3))
    found = quantities(bench_node.rows("case", run))
    sets = found["case, sets"]
    assert sets["sent"] == 3
    assert sets["unaccounted"] == 0
    assert sets["processed"] + sets["dropped"] + sets["lost on the way"] == 3
    assert sets["processed"] > 0
    for topic in ("occupancy_flow", "occupancy/points", "occupancy/markers", "costmap"):
        latency_ms = found[f"case, sent.{topic}"]
        assert 0 < latency_ms["p50"] <= latency_ms["p99"] <= found["case, total"]["p99"]
    assert found["case, results"][""] > 0


def test_processor_time_is_told_by_part_and_beyond_decoding(rig, options):
    found = {n: v["a set"] for n, v in quantities(bench_node.measure_cpu(rig, options)).items()}
    beyond_ms = found.pop(f"node.CPU, all but {JPEG}")
    decoding_ms = found.pop(f"node.CPU, {JPEG}")
    assert decoding_ms > 0
    assert sum(found.values()) == pytest.approx(beyond_ms)
    for part in ("resize and assemble", "build messages", "serialise and send", "synchronise"):
        assert 0 < found[f"node.CPU, {part}"] < beyond_ms


def test_what_became_of_sets_adds_up():
    run = run_of([PROCESSED, LATE, PROCESSED, None, None], lost={"left": 1, "right": 0})
    sets = quantities(bench_node.rows("case", run))["case, sets"]
    assert sets == {
        "sent": 5,
        "processed": 2,
        "dropped": 1,
        "lost on the way": 1,
        "unaccounted": 1,
    }
    notes = [row.note for row in bench_node.rows("case", run) if row.note]
    assert notes[:2] == ["pose_late 1", "images lost: left 1"]
    assert quantities(bench_node.rows("case", run))["case, results"] == {"": 1.0}


def test_processor_time_is_of_processed_sets():
    run = run_of([PROCESSED, LATE, PROCESSED], {}, cpu_s={JPEG: 0.004, "native": 0.010})
    rows = {row.name: row.value for row in bench_node.cpu_rows("cpu", run)}
    assert rows == pytest.approx(
        {
            f"cpu, {JPEG}": 2.0,
            "cpu, DDS and other threads": 5.0,
            f"cpu, all but {JPEG}": 5.0,
        }
    )


def spin(cpu_s):
    end_s = time.thread_time() + cpu_s
    while time.thread_time() < end_s:
        pass


class Work:
    def outer(self):
        spin(0.02)
        self.inner()

    def inner(self):
        spin(0.04)


def test_a_part_is_counted_without_those_inside_it_and_all_add_up_to_the_process():
    times = CpuTimes()
    outer = Work.outer
    with times.watching({"outer": [(Work, "outer")], "inner": [(Work, "inner")]}):
        before_s, process_s = times.now_s(), time.process_time()
        thread = threading.Thread(target=Work().outer, name="worker")
        thread.start()
        thread.join()
        after_s, process_s = times.now_s(), time.process_time() - process_s
    assert Work.outer is outer
    spent_s = {part: seconds - before_s.get(part, 0.0) for part, seconds in after_s.items()}
    assert 0.02 <= spent_s["outer"] < 0.04 <= spent_s["inner"] < 0.06
    assert sum(spent_s.values()) == pytest.approx(process_s, abs=0.01)
