"""Images and LiDAR sweeps on disk, and the frame the network takes from them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from occflow_ros.data.drive import Camera, CameraSet, Drive, SensorFile
from occflow_ros.engine.assemble import View, assemble_frame
from occflow_ros.errors import DataError
from occflow_ros.geometry.camera import Image
from occflow_ros.geometry.rectification import DistortionModel, Rectifier
from occflow_ros.geometry.se3 import Array
from occflow_ros.structures import Frame

Points = npt.NDArray[np.float32]

NUSCENES_LIDAR_COLUMNS = 5
KITTI_LIDAR_COLUMNS = 4

_ENCODING: dict[str, tuple[int, ...]] = {".jpg": (cv2.IMWRITE_JPEG_QUALITY, 95), ".png": ()}
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_PNG_END = b"IEND"
_PNG_DEPTH_AT = 24
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_PIXELS_PER_BYTE = 1000  # one colour all over, as tightly as JPEG can
_END_MARKERS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": _PNG_END}


def read_image(path: Path) -> Image:
    """JPEG or PNG to (H, W, 3) uint8 RGB.

    Raises:
        DataError: where the file is missing, cut short or no image.
    """
    return decode_image(_read_bytes(path, "image"), str(path))


def decode_image(data: bytes, where: str) -> Image:
    """The bytes of a JPEG or PNG to (H, W, 3) uint8 RGB; `where` names them in errors.

    Damage inside the data of a JPEG cannot always be told from picture: it may show as one.

    Raises:
        DataError: where they are cut short, of 16 bit, or no image.
    """
    return cv2.cvtColor(_decode(data, _AS_STORED, where), cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def decode_mosaic(data: bytes, to_rgb: int, where: str) -> Image:
    """The bytes of a JPEG or PNG that may hold a Bayer mosaic to (H, W, 3) uint8 RGB.

    Args:
        data: the file; one with colours needs no more than decoding.
        to_rgb: OpenCV's code of the mosaic's conversion to RGB.
        where: names the bytes in errors.

    Raises:
        DataError: as `decode_image`.
    """
    pixels = _decode(data, cv2.IMREAD_UNCHANGED, where)
    return cv2.cvtColor(pixels, to_rgb) if pixels.ndim == 2 else decode_image(data, where)  # type: ignore[return-value]


def _decode(data: bytes, flags: int, where: str) -> Image:
    marker = _END_MARKERS.get(data[:2])
    if marker is None:
        raise DataError(
            f"{where}: expected a JPEG or PNG image, got {len(data)} bytes that are neither"
        )
    if marker == _PNG_END and data[_PNG_DEPTH_AT : _PNG_DEPTH_AT + 1] == b"\x10":
        raise DataError(f"{where}: expected an image of 8 bit, got a PNG of 16 bit")
    # Decoders fill what is missing with grey. The marker is at the end, or before some padding.
    whole = data.rfind(marker, len(data) // 2) >= 0
    whole = whole and (_png_is_sound(data) if marker == _PNG_END else _jpeg_is_sound(data))
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if whole else None
    except cv2.error:  # a header with an absurd size
        image = None
    if image is None:
        raise DataError(f"{where}: expected a whole image, got a corrupt one of {len(data)} bytes")
    return image  # type: ignore[return-value]


def _png_is_sound(data: bytes) -> bool:
    """Whether each chunk has its checksum; there are damaged files on which OpenCV never ends."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if data[at + 4 : at + 8] == _PNG_END:
            return True
        at = end + 4
    return False


def _jpeg_is_sound(data: bytes) -> bool:
    """Whether the size can be: a damaged one may take seconds and gigabytes to fill with grey."""
    return _jpeg_pixels(data) <= _MOST_PIXELS_PER_BYTE * len(data)


def _jpeg_pixels(data: bytes) -> int:
    """Number of pixels that the frame header states; 0 where it is not found."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height * width
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def write_image(path: Path, image: Image) -> None:
    """(H, W, 3) uint8 RGB to the format of the path's suffix (.jpg or .png)."""
    path.write_bytes(encode_image(image, path.suffix))


def encode_image(image: Image, suffix: str) -> bytes:
    """(H, W, 3) uint8 RGB to the bytes of a file with this suffix (.jpg or .png)."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(suffix, bgr, _ENCODING[suffix])
    return data.tobytes()


def read_lidar(path: Path) -> Points:
    """Points (N, 3) of a sweep in metres in the LiDAR frame, rows that are not finite left out.

    Reads `.npy` (N, 3 or more) float16 or float32, nuScenes' `.pcd.bin` (N, 5) float32 and KITTI's
    `.bin` (N, 4) float32.

    Raises:
        DataError: where the file is missing, corrupt or of another shape or type.
    """
    points = read_lidar_rows(path)
    return points[np.isfinite(points).all(axis=1)]


def read_lidar_rows(path: Path) -> Points:
    """As `read_lidar` with all rows (N, 3), as files of point labels count them."""
    columns = _packed_columns(path)
    values = _read_npy(path) if columns is None else _read_packed(path, columns)
    return values[:, :3].astype(np.float32)


def write_lidar(path: Path, points_m: Points) -> None:
    """Points (N, 3) to `.npy` float32, or to `.pcd.bin` or `.bin` with zeros in other columns."""
    points_m = np.asarray(points_m, dtype=np.float32)
    columns = _packed_columns(path)
    if columns is None:
        np.save(path, points_m)
    else:
        np.pad(points_m[:, :3], ((0, 0), (0, columns - 3))).tofile(path)


def load_view(camera: Camera, image_file: SensorFile) -> View:
    """One image, its lens distortion removed, with where its camera was.

    Raises:
        DataError: where the image cannot be read or has another size than the calibration.
    """
    image = read_image(image_file.path)
    return rectified_view(camera, image, image_file.odom_T_base, str(image_file.path))


def rectified_view(camera: Camera, image: Image, odom_T_base: Array, where: str) -> View:
    """An image (H, W, 3) of a camera with its lens distortion removed; `where` names it in errors.

    Raises:
        DataError: where the image has another size than the calibration.
    """
    expected = (camera.height_px, camera.width_px)
    if image.shape[:2] != expected:
        raise DataError(
            f"{where}: expected {expected[1]}x{expected[0]} px as {camera.name} is"
            f" calibrated, got {image.shape[1]}x{image.shape[0]} px"
        )
    return View(
        image=_rectifier_of(camera)(image),
        K=camera.K,
        base_T_camera=camera.base_T_camera,
        odom_T_base=odom_T_base,
    )


def load_frame(
    drive: Drive,
    camera_set: CameraSet,
    image_hw_px: tuple[int, int],
    reference: str | None = None,
) -> Frame:
    """All images of a set as the network takes them.

    Args:
        drive: whose calibration holds.
        camera_set: one of its sets; cameras may be missing.
        image_hw_px: image size the network takes.
        reference: camera whose image's stamp and pose are the frame's, as in the node; None takes
            the set's.

    Raises:
        DataError: where an image cannot be read, the set has none, or lacks the reference camera.
    """
    if not camera_set.images:
        raise DataError(f"{drive.name}: expected an image in the set at {camera_set.stamp_ns} ns")
    if reference is not None and reference not in camera_set.images:
        raise DataError(
            f"{drive.name}: expected an image of the reference camera {reference} in the set at"
            f" {camera_set.stamp_ns} ns, got {sorted(camera_set.images)}"
        )
    moment = camera_set if reference is None else camera_set.images[reference]
    return assemble_frame(
        views={
            name: load_view(drive.cameras[name], file) for name, file in camera_set.images.items()
        },
        camera_names=tuple(drive.cameras),
        stamp_ns=moment.stamp_ns,
        odom_T_base=moment.odom_T_base,
        image_hw_px=image_hw_px,
    )


def check_files_exist(sets: Sequence[CameraSet], where: Path) -> None:
    """Raise DataError where there is no set or a file of one is missing: how many, which first."""
    if not sets:
        raise DataError(f"{where}: expected at least one camera set, got none")
    files = [path for camera_set in sets for path in _files_of(camera_set)]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise DataError(f"{missing[0]}: file is missing, as {len(missing)} of {len(files)} are")


def _files_of(camera_set: CameraSet) -> list[Path]:
    files = [image.path for image in camera_set.images.values()]
    if camera_set.lidar is not None:
        files.append(camera_set.lidar.path)
    if camera_set.occupancy is not None:
        files.append(camera_set.occupancy)
    return files


def _read_bytes(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: {what} is missing") from None
    except OSError as error:
        raise DataError(f"{path}: {what} cannot be read: {error.strerror}") from None


def _packed_columns(path: Path) -> int | None:
    """Numbers in a row of a file of bare float32, None where the name is that of another format."""
    if path.name.endswith(".pcd.bin"):
        return NUSCENES_LIDAR_COLUMNS
    return KITTI_LIDAR_COLUMNS if path.suffix == ".bin" else None


def _read_packed(path: Path, columns: int) -> npt.NDArray:
    data = _read_bytes(path, "LiDAR sweep")
    row_bytes = 4 * columns
    if len(data) % row_bytes:
        raise DataError(
            f"{path}: expected rows of {columns} float32 ({row_bytes} bytes), got {len(data)} bytes"
        )
    return np.frombuffer(data, "<f4").reshape(-1, columns)  # (N, columns)


def _read_npy(path: Path) -> npt.NDArray:
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: LiDAR sweep is missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected a LiDAR sweep in .npy: {error}") from None
    if not isinstance(values, np.ndarray) or values.dtype not in (np.float16, np.float32):
        raise DataError(f"{path}: expected float16 or float32, got {getattr(values, 'dtype', '')}")
    if values.ndim != 2 or values.shape[1] < 3:
        raise DataError(f"{path}: expected points (N, 3 or more), got shape {values.shape}")
    return values


def _rectifier_of(camera: Camera) -> Rectifier:
    return _rectifier(
        tuple(camera.K.ravel().tolist()),
        camera.distortion,
        (camera.height_px, camera.width_px),
        camera.distortion_model,
    )


@lru_cache(maxsize=64)
def _rectifier(
    K: tuple[float, ...],
    distortion: tuple[float, ...],
    size_hw_px: tuple[int, int],
    model: DistortionModel,
) -> Rectifier:
    return Rectifier(np.reshape(K, (3, 3)), distortion, *size_hw_px, model)
