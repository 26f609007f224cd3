"""Children end in order, say why they failed, and leave nobody behind."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from occflow_ros.demo.processes import Child, ProcessError, Supervisor

POLITE = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
print("up", flush=True)
time.sleep(60)
"""
STUBBORN = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}])
print(child.pid, flush=True)
time.sleep(60)
"""


def start(supervisor, tmp_path, code, name="child"):
    command = (sys.executable, "-c", code)
    return supervisor.add(Child.start(name, command, tmp_path / f"{name}.log", os.environ))


def wait_up(supervisor, child):
    supervisor.wait_until(lambda: child.log_text().endswith("\n"), 20.0, "up")


def gone(pid):
    """Whether a process ends within 2 s; one that only waits to be collected has ended."""
    status = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_polite_child_ends_by_itself(tmp_path):
    with Supervisor() as supervisor:
        child = start(supervisor, tmp_path, POLITE)
        wait_up(supervisor, child)
    assert child.process.returncode == 0


def test_a_stubborn_child_is_killed_after_its_grace(tmp_path):
    with Supervisor(grace_s=0.2, insist_s=0.2) as supervisor:
        child = start(supervisor, tmp_path, STUBBORN)
        wait_up(supervisor, child)
    assert child.process.returncode == -signal.SIGKILL


def test_grandchildren_end_too(tmp_path):
    with Supervisor(grace_s=0.2, insist_s=0.2) as supervisor:
        child = start(supervisor, tmp_path, PARENT)
        supervisor.wait_until(lambda: "up" in child.log_text(), 20.0, "up")
        pid = int(child.log_text().split()[0])
    assert gone(pid)


def test_a_child_that_fails_is_quoted(tmp_path):
    with Supervisor() as supervisor:
        start(supervisor, tmp_path, "raise SystemExit('no such camera')", name="node")
        with pytest.raises(ProcessError, match=r"node ended with status 1(.|\n)*no such camera"):
            supervisor.wait_until(lambda: False, 20.0, "never")


def test_a_child_may_end_well_where_that_is_expected(tmp_path):
    with Supervisor() as supervisor:
        child = start(supervisor, tmp_path, "pass")
        child.process.wait()
        supervisor.check(may_end=(child,))
        with pytest.raises(ProcessError, match="ended with status 0"):
            supervisor.check()


def test_a_time_out_says_for_what(tmp_path):
    with Supervisor() as supervisor, pytest.raises(ProcessError, match="first image: not within"):
        supervisor.wait_until(lambda: False, 0.1, "first image")


def test_ctrl_c_ends_the_children_and_then_raises(tmp_path):
    previous = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Supervisor() as supervisor:
        child = start(supervisor, tmp_path, POLITE)
        wait_up(supervisor, child)
        os.kill(os.getpid(), signal.SIGINT)
        supervisor.wait_until(lambda: False, 20.0, "never")
    assert child.process.returncode == 0
    assert signal.getsignal(signal.SIGINT) is previous
