"""Kernels that numba compiles at their first call; importing this file imports numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

Kernel = Callable[..., None]


def compiled(**options: Any) -> Callable[[Kernel], Kernel]:
    """Decorator of a kernel; the machine code is kept where a folder for it can be written.

    Args:
        options: of `numba.njit`.
    """

    def compile_kernel(kernel: Kernel) -> Kernel:
        try:
            return njit(cache=True, **options)(kernel)
        except RuntimeError:  # neither the package's folder nor the user's
            return njit(**options)(kernel)

    return compile_kernel
