"""Cues on disk, each in a file named by a hash of all that it depends on.

`<folder>/<kind>/<estimator>/` holds `recipe.json` and `ab/abcd….npz`; the key is the hash of the
images' bytes and the recipe. A file appears whole or not at all, and its checksums tell when it was
damaged later. Flow is kept as the four byte planes of float32, which pack far better.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from occflow_ros.cues.cue import FlowCue, Mask
from occflow_ros.cues.estimator import Recipe
from occflow_ros.errors import DataError, OutputError
from occflow_ros.output import output_file, write_text

Kind = Literal["flow", "movable"]

_RECIPE = "recipe.json"
_LEFTOVER_AGE_S = 600.0
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile)


class CueStore:
    """The cues of one kind by one estimator.

    Args:
        folder: given to `occflow cues` as `--out`.
        kind: of the cues.
        recipe: of the estimator.
    """

    def __init__(self, folder: Path, kind: Kind, recipe: Recipe) -> None:
        self._folder = _folder(folder, kind, recipe.name)
        self._recipe = [kind, recipe.name, recipe.version, dict(recipe.settings)]

    def path(self, *image_digests: str) -> Path:
        """File of the cue that belongs to these images."""
        content = json.dumps([*self._recipe, *image_digests], sort_keys=True)
        key = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        return self._folder / key[:2] / f"{key}.npz"


def write_recipe(folder: Path, kind: Kind, recipe: Recipe) -> None:
    """Note which cues the folder holds from now on, and remove what a killed run has left.

    Raises:
        OutputError: where the folder cannot be made or written.
    """
    place = _folder(folder, kind, recipe.name)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{place}: cannot be written: {error.strerror}") from None
    for partial in place.rglob("*.partial"):
        with suppress(OSError):  # another run may have finished it meanwhile
            if time.time() - partial.stat().st_mtime > _LEFTOVER_AGE_S:
                partial.unlink()
    write_text(place / _RECIPE, json.dumps(asdict(recipe), indent=2) + "\n")


def read_recipe(folder: Path, kind: Kind, name: str) -> Recipe | None:
    """The recipe of the estimator's last run, None where there was none; raises DataError."""
    path = _folder(folder, kind, name) / _RECIPE
    try:
        values = json.loads(path.read_bytes())
        return Recipe(**{**values, "arguments": tuple(values["arguments"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected the recipe of cues: {error}") from None


def write_flow_entry(path: Path, cue: FlowCue, origin: str) -> None:
    """Keep flow; `origin` is the hash of the files it came from. Raises OutputError."""
    planes = cue.flow_px.astype("<f4").view(np.uint8)
    planes = planes.reshape(*cue.flow_px.shape, 4).transpose(3, 2, 0, 1)  # (4, 2, H, W)
    _write(path, origin, flow_bytes=planes, valid=np.packbits(cue.valid))


def read_flow_entry(path: Path) -> tuple[FlowCue, str] | None:
    """Flow and its origin, None where there is no such file; raises DataError if damaged."""
    arrays = _read(path, "flow_bytes", "valid")
    if arrays is None:
        return None
    planes = np.ascontiguousarray(arrays["flow_bytes"].transpose(2, 3, 1, 0))  # (H, W, 2, 4)
    flow_px = planes.view("<f4")[..., 0]
    valid = _unpacked(arrays["valid"], (flow_px.shape[0], flow_px.shape[1]))
    return FlowCue(flow_px.astype(np.float32, copy=False), valid), str(arrays["origin"])


def write_mask_entry(path: Path, mask: Mask, origin: str) -> None:
    """Keep a mask; `origin` is the hash of the file it came from. Raises OutputError."""
    _write(path, origin, mask=np.packbits(mask), shape=np.array(mask.shape))


def read_mask_entry(path: Path) -> tuple[Mask, str] | None:
    """Mask and its origin, None where there is no such file; raises DataError if damaged."""
    arrays = _read(path, "mask", "shape")
    if arrays is None:
        return None
    height, width = arrays["shape"].tolist()
    return _unpacked(arrays["mask"], (height, width)), str(arrays["origin"])


def _folder(folder: Path, kind: Kind, name: str) -> Path:
    return folder / kind / name


def _write(path: Path, origin: str, **arrays: npt.NDArray) -> None:
    with output_file(path) as partial:
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in {"origin": np.array(origin), **arrays}.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.asarray(array, order="C"))


def _read(path: Path, *keys: str) -> Mapping[str, npt.NDArray] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in ("origin", *keys)}
    except FileNotFoundError:
        return None
    except _DAMAGED as error:
        raise DataError(f"{path}: damaged cue: {error}") from None


def _unpacked(bits: npt.NDArray[np.uint8], shape: tuple[int, int]) -> Mask:
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)  # (H, W)
