"""Files of optical flow, disparity, depth and masks as other tools write them.

Flow: `.png` of KITTI (16 bit: u, v in steps of 1/64 px from -512 px on, and whether valid), `.flo`
of Middlebury (invalid above 1e9), `.npy` (H, W, 2) float, NaN where invalid. Masks: `.png` of 8 or
16 bit and `.npy`, (H, W) bool or class numbers. Disparity: `.png` of KITTI (16 bit: steps of
1/256 px, 0 where unknown). Depth: the same in steps of 1/256 m.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from occflow_ros.cues.cue import FlowCue, flow_cue
from occflow_ros.errors import DataError
from occflow_ros.output import output_file, write_bytes

FLOW_SUFFIXES = (".png", ".flo", ".npy")
MASK_SUFFIXES = (".png", ".npy")

_KITTI_STEPS_PER_PX = 64.0
_KITTI_ZERO = 2**15
_KITTI_STEPS_PER_DISPARITY_PX = 256.0
_KITTI_STEPS_PER_DEPTH_M = 256.0
_FLO_TAG = b"PIEH"  # 202021.25 as a float
_FLO_HEADER_BYTES = 12
_FLO_INVALID_PX = 1e9
_PNG_END = b"IEND"


def read_flow(path: Path) -> FlowCue:
    """Flow from a file of the format that its suffix names.

    Raises:
        DataError: where the file is missing, corrupt, or holds something else.
    """
    if path.suffix == ".png":
        return _read_kitti(path)
    if path.suffix == ".flo":
        return _read_flo(path)
    return _read_flow_npy(path)


def write_flow(path: Path, cue: FlowCue) -> None:
    """Write flow in the format that the suffix names; KITTI's rounds to 1/64 px.

    Raises:
        ValueError: where KITTI's format is to keep valid flow of 512 px and more.
        OutputError: where the file cannot be written.
    """
    if path.suffix == ".png":
        write_bytes(path, _kitti_bytes(cue))
    elif path.suffix == ".flo":
        height, width = cue.valid.shape
        size = np.array((width, height), "<i4").tobytes()
        values = np.where(cue.valid[..., None], cue.flow_px, 10 * _FLO_INVALID_PX)
        write_bytes(path, _FLO_TAG + size + values.astype("<f4").tobytes())
    else:
        with output_file(path) as partial, partial.open("wb") as file:
            np.save(file, np.where(cue.valid[..., None], cue.flow_px, np.float32(np.nan)))


def read_disparity(path: Path) -> npt.NDArray[np.float32]:
    """Disparity (H, W) float32 in px of a PNG as KITTI has them, NaN where it is unknown.

    Raises:
        DataError: where the file is missing, corrupt, or holds something else.
    """
    values = _read_steps(path, "KITTI disparity")
    disparity_px = values.astype(np.float32) / np.float32(_KITTI_STEPS_PER_DISPARITY_PX)
    return np.where(values > 0, disparity_px, np.float32(np.nan))


def write_disparity(path: Path, disparity_px: npt.NDArray[np.floating]) -> None:
    """Write disparity (H, W) in px as KITTI does, rounded to 1/256 px; NaN is unknown.

    Known values below 1/512 px become 1/256 px, since 0 means unknown.

    Raises:
        ValueError: where a known value is negative, infinite, or 256 px and more, or the shape is
            another one.
        OutputError: where the file cannot be written.
    """
    if disparity_px.ndim != 2:
        raise ValueError(f"KITTI disparity: expected (H, W), got {disparity_px.shape}")
    known = ~np.isnan(disparity_px)
    values = np.where(known, disparity_px, 0.0).astype(np.float64)
    steps = np.round(values * _KITTI_STEPS_PER_DISPARITY_PX)
    if values.min(initial=0.0) < 0.0 or steps.max(initial=0.0) > np.iinfo(np.uint16).max:
        raise ValueError(
            "KITTI disparity: expected 0 to less than 256 px,"
            f" got {values.min():.1f} to {values.max():.1f} px"
        )
    data = np.where(known, np.maximum(steps, 1.0), 0.0).astype(np.uint16)
    _, png = cv2.imencode(".png", data)
    write_bytes(path, png.tobytes())


def read_depth(path: Path) -> npt.NDArray[np.float32]:
    """Depth (H, W) float32 in metres of a PNG as KITTI has them, 0 where it is unknown.

    Raises:
        DataError: where the file is missing, corrupt, or holds something else.
    """
    values = _read_steps(path, "KITTI depth")
    return values.astype(np.float32) / np.float32(_KITTI_STEPS_PER_DEPTH_M)


def write_depth(path: Path, depth_m: npt.NDArray[np.floating]) -> None:
    """Write depth (H, W) in metres as KITTI does, rounded to 1/256 m; unknown is 0.

    Unknown is what is not finite, not positive, or too far for the format, 256 m and more. Known
    depths below 1/512 m become 1/256 m.

    Raises:
        ValueError: where the shape is another one.
        OutputError: where the file cannot be written.
    """
    if depth_m.ndim != 2:
        raise ValueError(f"KITTI depth: expected (H, W), got {depth_m.shape}")
    positive = np.isfinite(depth_m) & (depth_m > 0.0)
    steps = np.round(np.where(positive, depth_m, 0.0) * _KITTI_STEPS_PER_DEPTH_M)
    known = positive & (steps <= np.iinfo(np.uint16).max)
    data = np.where(known, np.maximum(steps, 1.0), 0.0).astype(np.uint16)
    _, png = cv2.imencode(".png", data)
    write_bytes(path, png.tobytes())


def read_labels(path: Path) -> npt.NDArray:
    """Mask or class map (H, W), bool or whole numbers.

    Raises:
        DataError: where the file is missing, corrupt, or holds something else.
    """
    labels = _read_png(path) if path.suffix == ".png" else _read_npy(path)
    if labels.ndim != 2 or labels.dtype.kind not in "bui":
        raise DataError(
            f"{path}: expected a mask or class map (H, W) of bool or whole numbers,"
            f" got {labels.shape} {labels.dtype}"
        )
    return labels


def _read_kitti(path: Path) -> FlowCue:
    values = _read_png(path)
    if values.dtype != np.uint16 or values.ndim != 3 or values.shape[2] != 3:
        raise DataError(
            f"{path}: expected KITTI flow, a PNG of 3 channels with 16 bit,"
            f" got {values.shape} {values.dtype}"
        )
    valid_v_u = values.astype(np.float32)  # OpenCV turns the channels around
    flow_px = (valid_v_u[..., :0:-1] - _KITTI_ZERO) / _KITTI_STEPS_PER_PX
    return flow_cue(flow_px, valid_v_u[..., 0] > 0)


def _kitti_bytes(cue: FlowCue) -> bytes:
    steps = np.round(cue.flow_px * _KITTI_STEPS_PER_PX) + _KITTI_ZERO
    if steps.min() < 0 or steps.max() > np.iinfo(np.uint16).max:
        raise ValueError(
            f"KITTI flow: expected less than 512 px, got {np.abs(cue.flow_px).max():.0f} px"
        )
    u_v_valid = np.dstack((steps, np.ones(cue.valid.shape))) * cue.valid[..., None]
    _, data = cv2.imencode(".png", u_v_valid[..., ::-1].astype(np.uint16))
    return data.tobytes()


def _read_flo(path: Path) -> FlowCue:
    data = _read_bytes(path)
    if data[:4] != _FLO_TAG or len(data) < _FLO_HEADER_BYTES:
        raise DataError(f"{path}: expected a .flo file that begins with PIEH, got {data[:4]!r}")
    width, height = (int(size) for size in np.frombuffer(data[4:_FLO_HEADER_BYTES], "<i4"))
    expected = _FLO_HEADER_BYTES + 8 * width * height
    if min(width, height) < 1 or len(data) != expected:
        raise DataError(
            f"{path}: expected {expected} bytes for {width}x{height} px, got {len(data)}"
        )
    flow_px = np.frombuffer(data[_FLO_HEADER_BYTES:], "<f4").reshape(height, width, 2)
    return flow_cue(flow_px, (np.abs(flow_px) <= _FLO_INVALID_PX).all(axis=-1))


def _read_flow_npy(path: Path) -> FlowCue:
    values = _read_npy(path)
    if values.ndim != 3 or values.shape[2] != 2 or values.dtype.kind != "f":
        raise DataError(
            f"{path}: expected flow (H, W, 2) of floats, got {values.shape} {values.dtype}"
        )
    return flow_cue(values, np.ones(values.shape[:2], bool))


def _read_steps(path: Path, what: str) -> npt.NDArray[np.uint16]:
    values = _read_png(path)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise DataError(
            f"{path}: expected {what}, a PNG of 1 channel with 16 bit,"
            f" got {values.shape} {values.dtype}"
        )
    return values


def _read_png(path: Path) -> npt.NDArray:
    data = _read_bytes(path)
    whole = _PNG_END in data[-12:]  # the decoder fills what is missing with zeros
    try:
        flags = cv2.IMREAD_UNCHANGED
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if whole else None
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path}: expected a whole PNG, got {len(data)} bytes that are not one")
    return image


def _read_npy(path: Path) -> npt.NDArray:
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected an array in .npy: {error}") from None
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path}: expected an array in .npy, got several")
    return values


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
