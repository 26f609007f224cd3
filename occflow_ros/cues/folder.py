"""Reads the cues that `occflow cues` has made."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from occflow_ros.cues.cue import FlowCue, Mask
from occflow_ros.cues.images import CameraImage
from occflow_ros.cues.store import (
    CueStore,
    Kind,
    read_flow_entry,
    read_mask_entry,
    read_recipe,
)
from occflow_ros.errors import DataError

_Entry = TypeVar("_Entry")


class CueFolder:
    """Cues of any number of drives, as the last runs of the named estimators made them.

    Args:
        folder: given to `occflow cues` as `--out`.
        source: of the drives as words of a command line, `DIR --scene NAME` for example, for errors
            that name the command.
        flow: name of the flow estimator (`dis`, `dis-sweeps`, `truth`, `files`,
            `tracks`), None for no flow.
        movable: name of the mask estimator (`truth`, `files`), None for no masks.

    Raises:
        DataError: where an estimator has made nothing in the folder; names the command to run.
    """

    def __init__(
        self, folder: Path, source: str | Path, flow: str | None, movable: str | None
    ) -> None:
        self._folder = folder.expanduser()
        self._source = str(source)
        self._flow = self._cues("flow", flow)
        self._movable = self._cues("movable", movable)

    @property
    def has_flow(self) -> bool:
        """Whether a flow estimator was named."""
        return self._flow is not None

    @property
    def has_movable(self) -> bool:
        """Whether a mask estimator was named."""
        return self._movable is not None

    def flow(self, image: CameraImage, target: CameraImage) -> FlowCue:
        """Flow from an image to another of the same camera, earlier or later.

        Raises:
            DataError: where it was not made or is damaged; names the command that makes it.
        """
        path, command = self._flow_place(image, target)
        entry = _readable(read_flow_entry, path, command)
        if entry is None:
            raise self._no_flow(image, target, command)
        return entry[0]

    def movable(self, image: CameraImage) -> Mask:
        """(H, W) bool, pixels of things that can move by themselves.

        Raises:
            DataError: where it was not made or is damaged; names the command that makes it.
        """
        path, command = self._movable_place(image)
        entry = _readable(read_mask_entry, path, command)
        if entry is None:
            raise self._no_movable(image, command)
        return entry[0]

    def require(self, image: CameraImage, targets: Sequence[CameraImage]) -> None:
        """Look, without reading them, whether all cues of an image are there.

        Args:
            image: to look for.
            targets: of its flow.

        Raises:
            DataError: where one was not made; names the command that makes it.
        """
        for target in targets if self.has_flow else ():
            path, command = self._flow_place(image, target)
            if not path.is_file():
                raise self._no_flow(image, target, command)
        if self.has_movable:
            path, command = self._movable_place(image)
            if not path.is_file():
                raise self._no_movable(image, command)

    def _flow_place(self, image: CameraImage, target: CameraImage) -> tuple[Path, str]:
        """File of a cue, and the command that makes it."""
        store, arguments = _asked(self._flow, "flow")
        span = abs(target.set_index - image.set_index)
        command = self._command(*arguments, *(("--span", str(span)) if span > 1 else ()))
        return store.path(image.digest(), target.digest()), command

    def _movable_place(self, image: CameraImage) -> tuple[Path, str]:
        store, arguments = _asked(self._movable, "movable")
        return store.path(image.digest()), self._command(*arguments)

    def _no_flow(self, image: CameraImage, target: CameraImage, command: str) -> DataError:
        return DataError(
            f"{image.file.path}: no optical flow to {target.file.path.name} in {self._folder};"
            f" make it with: {command}"
        )

    def _no_movable(self, image: CameraImage, command: str) -> DataError:
        return DataError(
            f"{image.file.path}: no movable mask in {self._folder}; make it with: {command}"
        )

    def _cues(self, kind: Kind, name: str | None) -> tuple[CueStore, tuple[str, ...]] | None:
        if name is None:
            return None
        recipe = read_recipe(self._folder, kind, name)
        if recipe is None:
            raise DataError(
                f"{self._folder}: no {kind} cues of {name}; make them with:"
                f" {self._command(f'--{kind}', name)}"
            )
        return CueStore(self._folder, kind, recipe), recipe.arguments

    def _command(self, *arguments: str) -> str:
        start = f"occflow cues --source {self._source} --out {shlex.quote(str(self._folder))}"
        return f"{start} {shlex.join(arguments)}"


def _asked(
    cues: tuple[CueStore, tuple[str, ...]] | None, kind: Kind
) -> tuple[CueStore, tuple[str, ...]]:
    if cues is None:
        raise ValueError(f"{kind}: expected the name of an estimator, got none")
    return cues


def _readable(read: Callable[[Path], _Entry | None], path: Path, command: str) -> _Entry | None:
    try:
        return read(path)
    except DataError as error:
        raise DataError(f"{error}; make it again with: {command}") from None
