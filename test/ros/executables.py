"""Executables of the package as processes."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60.0


@contextmanager
def starting(folder):
    """Starts executables, with logs in a folder; whatever still runs at the end is killed."""
    processes = []

    def run(name, **parameters):
        command = [sys.executable, str(REPOSITORY / "scripts" / name), "--ros-args"]
        for key, value in parameters.items():
            command += ["-p", f"{key.replace('__', '.')}:={json.dumps(value)}"]
        path = os.pathsep.join((str(REPOSITORY), os.environ.get("PYTHONPATH", "")))
        log = (folder / f"{name}.log").open("w+")
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        process.text = lambda: Path(log.name).read_text()
        processes.append(process)
        return process

    try:
        yield run
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait_for_text(process, text):
    deadline_s = time.monotonic() + TIMEOUT_S
    while text not in process.text():
        assert process.poll() is None, process.text()
        assert time.monotonic() < deadline_s, f"{text!r} not in:\n{process.text()}"
        time.sleep(0.05)


def end(process, signum=signal.SIGINT):
    """Ask it to end; it must do so quietly and with status 0."""
    process.send_signal(signum)
    status = process.wait(TIMEOUT_S)
    assert (status, "Traceback" in process.text()) == (0, False), process.text()
