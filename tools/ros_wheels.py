"""Make a virtual environment with the ROS 2 wheels from PyPI a complete ament prefix.

The wheels carry the paths of the Python they were built with, and no setup files. Both repairs are
idempotent. Run it with the virtual environment's own interpreter.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

BUILD_PREFIX = rb"/opt/python/cp3\d+-cp3\d+"

LOCAL_SETUP_SH = """\
# Written by tools/ros_wheels.py: ROS 2 from PyPI in this virtual environment.
_occflow_prepend() {{
  eval "_occflow_value=\\${{$1:-}}"
  case ":$_occflow_value:" in
    *":$2:"*) ;;
    *) export "$1=$2${{_occflow_value:+:$_occflow_value}}" ;;
  esac
}}
_occflow_prepend PATH "{prefix}/bin"
_occflow_prepend AMENT_PREFIX_PATH "{prefix}"
_occflow_prepend CMAKE_PREFIX_PATH "{prefix}"
{library_lines}
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
unset -f _occflow_prepend
unset _occflow_value
"""

LOCAL_SETUP_SHELL = """\
# Written by tools/ros_wheels.py.
. "{prefix}/local_setup.sh"
"""


def main() -> None:
    """Repair the virtual environment this interpreter belongs to."""
    prefix = Path(sys.prefix)
    rewrite_build_paths(prefix)
    write_local_setup(prefix)


def rewrite_build_paths(prefix: Path) -> None:
    """Replace the build machine's Python paths in CMake and index files under `prefix`/share."""
    replacements = (
        (BUILD_PREFIX + rb"/include/python3\.\d+", sysconfig.get_path("include")),
        (BUILD_PREFIX + rb"/lib/python3\.\d+/site-packages", sysconfig.get_path("purelib")),
        (BUILD_PREFIX, str(prefix)),
    )
    for path in _text_files(prefix / "share"):
        old = new = path.read_bytes()
        for pattern, target in replacements:
            new = re.sub(pattern, target.encode().replace(b"\\", rb"\\"), new)
        if new != old:
            path.write_bytes(new)


def write_local_setup(prefix: Path) -> None:
    """Write `local_setup.{sh,bash,zsh}`, which colcon's setup files source for this prefix."""
    libraries = [*sorted(Path(sysconfig.get_path("purelib")).glob("ros_*.libs")), prefix / "lib"]
    lines = "\n".join(f'_occflow_prepend LD_LIBRARY_PATH "{path}"' for path in libraries)
    content = LOCAL_SETUP_SH.format(prefix=prefix, library_lines=lines)
    (prefix / "local_setup.sh").write_text(content, encoding="utf-8")
    for shell in ("bash", "zsh"):
        content = LOCAL_SETUP_SHELL.format(prefix=prefix)
        (prefix / f"local_setup.{shell}").write_text(content, encoding="utf-8")


def _text_files(share: Path) -> list[Path]:
    index = share / "ament_index" / "resource_index" / "parent_prefix_path"
    return [path for path in [*share.rglob("*.cmake"), *index.glob("*")] if path.is_file()]


if __name__ == "__main__":
    main()
