"""Output folders and files that are whole or absent, never half-written."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from occflow_ros.errors import OutputError

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


@contextmanager
def output_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `target` that takes its place when the block ends well.

    Where the block raises anything, Ctrl-C included, what was written is removed and an old
    `target` stays as it was.

    Args:
        target: the folder to make; its parents are made too.
        overwrite: replace a folder that is not empty.

    Raises:
        OutputError: where `target` is occupied, or the place cannot be written.
    """
    check_free(target, overwrite)
    partial = target.parent / f".{target.name}.{os.getpid()}.partial"
    _make_empty(partial, target)
    try:
        yield partial
        _replace(target, partial)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def output_file(target: Path) -> Iterator[Path]:
    """Yield a file beside `target` that takes its place when the block ends well.

    Raises:
        OutputError: names `target` where it cannot be written.
    """
    writer = f"{os.getpid()}-{threading.get_ident()}"  # two may write the same file
    partial = target.with_name(f"{target.name}.{writer}.partial")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_bytes(target: Path, data: bytes) -> None:
    """Write a file, whole or not at all; raises OutputError."""
    with output_file(target) as partial:
        partial.write_bytes(data)


def write_text(target: Path, text: str) -> None:
    """Write a file in UTF-8, whole or not at all; raises OutputError."""
    write_bytes(target, text.encode())


def append_text(target: Path, text: str) -> None:
    """Add to the end of a file in UTF-8; raises OutputError."""
    try:
        with target.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from None


def check_free(target: Path, overwrite: bool = False) -> None:
    """Raise OutputError where `target` may not be made or replaced.

    That is a file, a filled folder without `overwrite`, and even with it the home folder or one
    that holds the working folder.
    """
    try:
        if target.exists() and not target.is_dir():
            raise OutputError(f"{target}: expected a folder or nothing there, found a file")
        occupied = target.is_dir() and any(target.iterdir())
    except OSError as error:
        raise OutputError(f"{target}: cannot be read: {error.strerror}") from None
    if occupied and not overwrite:
        raise OutputError(f"{target}: folder is not empty; give --overwrite to replace it")
    if occupied and target.resolve() in (Path.home(), Path.cwd(), *Path.cwd().parents):
        raise OutputError(f"{target}: expected a folder for output only, not one to work in")


def _make_empty(partial: Path, target: Path) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written: {error.strerror} ({error.filename})"
        ) from None


def _replace(target: Path, partial: Path) -> None:
    if not target.exists():
        partial.rename(target)
        return
    old = partial.with_suffix(".old")
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)
