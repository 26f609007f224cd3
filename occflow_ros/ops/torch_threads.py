"""Share work among the threads that PyTorch's own operators run on.

A second pool of threads would fight with that one for the cores: idle threads of OpenMP wait by
turning in a loop. So two callers at once, or a process that is forked, fare as they do with any
operator of PyTorch.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_MEMBER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def share(work: Callable[[int], object], tiles: int) -> None:
    """Do `work(tile)` for all tiles, `torch.get_num_threads()` at a time.

    The work should release the GIL. Where PyTorch does not use GNU OpenMP, as outside Linux, the
    calling thread does it all.
    """
    left = iter(range(tiles))
    errors: list[BaseException] = []

    def help_out(_: int | None) -> None:
        try:
            for tile in left:
                work(tile)
        except BaseException as error:  # it could not pass through OpenMP
            errors.append(error)

    threads, team = min(tiles, torch.get_num_threads()), _team()
    if team is None or threads < 2:
        help_out(None)
    else:
        team(_MEMBER(help_out), None, threads, 0)
    if errors:
        raise errors[0]


@functools.cache
def _team() -> Any | None:
    """GOMP_parallel(member, its argument, threads, flags) of the library PyTorch has loaded."""
    try:
        team = ctypes.CDLL(_loaded_openmp(), mode=os.RTLD_NOLOAD).GOMP_parallel
    except (OSError, AttributeError):
        return None
    team.argtypes = (_MEMBER, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    team.restype = None
    return team


def _loaded_openmp() -> str:
    """Path of GNU OpenMP: PyTorch's own, whose name has a hash in some wheels, or the system's."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    paths = {line.split(maxsplit=5)[-1] for line in lines if "libgomp" in line}
    if not paths:
        raise OSError("no libgomp is loaded")
    return min(paths, key=lambda path: ("/torch" not in path, path))
