"""Point clouds between `sensor_msgs/PointCloud2` and numpy."""

import array
import sys
from collections import namedtuple
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

DUMMY_FIELD_PREFIX = "unnamed_field"

_DATATYPES: dict[int, np.dtype] = {
    PointField.INT8: np.dtype(np.int8),
    PointField.UINT8: np.dtype(np.uint8),
    PointField.INT16: np.dtype(np.int16),
    PointField.UINT16: np.dtype(np.uint16),
    PointField.INT32: np.dtype(np.int32),
    PointField.UINT32: np.dtype(np.uint32),
    PointField.FLOAT32: np.dtype(np.float32),
    PointField.FLOAT64: np.dtype(np.float64),
}


def read_points(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Read a cloud as a structured array, one field of the dtype for each field of the cloud.

    Args:
        cloud: the message.
        field_names: fields to read; all if None.
        skip_nans: leave out points with a NaN in a field read, unless the cloud is dense.
        uvs: indices of the points to read; all if None.
        reshape_organized_cloud: return (width, height) instead of (width * height,) where the
            cloud has rows.

    Raises:
        AssertionError: the message is not a cloud, or lacks a field.
    """
    _require(isinstance(cloud, PointCloud2), f"expected a PointCloud2, got {type(cloud).__name__}")
    points = _native_points(cloud)
    if field_names is not None:
        missing = [name for name in field_names if name not in points.dtype.names]
        _require(not missing, f"expected fields of {points.dtype.names}, got {missing}")
        points = points[list(field_names)]
    if skip_nans and not cloud.is_dense:
        has_nan = [np.isnan(points[name]) for name in points.dtype.names]
        points = points[~np.any(has_nan, axis=0)]
    if uvs is not None:
        points = points[uvs if isinstance(uvs, np.ndarray) else np.fromiter(uvs, int)]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.width, cloud.height)
    return points


def _native_points(cloud: PointCloud2) -> np.ndarray:
    """All points, a view of the message's memory unless their byte order is foreign."""
    dtype = dtype_from_fields(cloud.fields, point_step=cloud.point_step)
    stored = dtype.newbyteorder(">" if cloud.is_bigendian else "<")
    points = np.ndarray((cloud.width * cloud.height,), stored, buffer=cloud.data)
    return points.astype(dtype, copy=False)


def read_points_numpy(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Read fields of one common type as a plain array (..., n_fields); see `read_points`.

    Raises:
        AssertionError: the fields differ in type, or as in `read_points`.
    """
    wanted = [f for f in cloud.fields if field_names is None or f.name in field_names]
    _require_one_datatype(wanted)
    return structured_to_unstructured(
        read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud)
    )


def read_points_list(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
) -> list[NamedTuple]:
    """Read a cloud as a list of named tuples, which is slow; see `read_points`."""
    points = read_points(cloud, field_names, skip_nans, uvs)
    point_type = namedtuple("Point", points.dtype.names)
    return [point_type._make(point) for point in points]


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype:
    """The structured dtype of a cloud's points.

    A field without a name is called `unnamed_field_<index>`; one of count n > 1 becomes n
    fields `<name>_<0 .. n-1>`.

    Args:
        fields: the cloud's fields.
        point_step: bytes from point to point; if None, as many as the fields need.

    Raises:
        AssertionError: a field has count zero, or two have the same name.
    """
    columns = [column for index, field in enumerate(fields) for column in _columns(index, field)]
    names = [name for name, _, _ in columns]
    _require(len(set(names)) == len(names), f"expected distinct field names, got {names}")
    layout = {
        "names": names,
        "formats": [datatype.str for _, datatype, _ in columns],
        "offsets": [offset for _, _, offset in columns],
    }
    return np.dtype(layout if point_step is None else layout | {"itemsize": point_step})


def _columns(index: int, field: PointField) -> list[tuple[str, np.dtype, int]]:
    """Name, type and byte offset of each number in a field."""
    name = field.name or f"{DUMMY_FIELD_PREFIX}_{index}"
    _require(field.count > 0, f"expected a count > 0 in field {name}, got 0")
    datatype = _DATATYPES[field.datatype]
    if field.count == 1:
        return [(name, datatype, field.offset)]
    return [
        (f"{name}_{k}", datatype, field.offset + k * datatype.itemsize) for k in range(field.count)
    ]


def create_cloud(
    header: Header,
    fields: Sequence[PointField],
    points: Iterable,
    point_step: int | None = None,
) -> PointCloud2:
    """Write a cloud.

    Args:
        header: the cloud's header.
        fields: its fields.
        points: a structured array of the fields' dtype, a plain array (..., n_fields) if all
            fields have one type, or an iterable of one tuple for each point, which is slow.
            Two leading dimensions (width, height) make an organized cloud.
        point_step: bytes from point to point; if None, as many as the fields need.

    Raises:
        AssertionError: the points do not fit the fields, or have too many dimensions.
    """
    structured = _structured(points, fields, dtype_from_fields(fields, point_step))
    _require(
        structured.ndim <= 2,
        f"expected at most 2 dimensions of points, got shape {structured.shape}",
    )
    width = structured.shape[0]
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(structured).reshape(-1).view(np.uint8))
    cloud = PointCloud2(
        header=header,
        height=structured.shape[1] if structured.ndim == 2 else 1,
        width=width,
        is_dense=False,
        is_bigendian=sys.byteorder != "little",
        fields=fields,
        point_step=structured.dtype.itemsize,
        row_step=structured.dtype.itemsize * width,
    )
    cloud.data = data
    return cloud


def _structured(points: Iterable, fields: Sequence[PointField], dtype: np.dtype) -> np.ndarray:
    """The points as an array of the fields' dtype."""
    if not isinstance(points, np.ndarray):
        return np.array([tuple(point) for point in points], dtype)
    if points.dtype.names is None:
        _require_one_datatype(fields)
        return unstructured_to_structured(points, dtype)
    _require(points.dtype == dtype, f"expected points of {dtype}, got {points.dtype}")
    return points


def create_cloud_xyz32(header: Header, points: Iterable) -> PointCloud2:
    """Write a cloud of x, y, z as float32; see `create_cloud`."""
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate("xyz")
    ]
    return create_cloud(header, fields, points)


def _require_one_datatype(fields: Sequence[PointField]) -> None:
    datatypes = {field.name: field.datatype for field in fields}
    _require(
        len(set(datatypes.values())) <= 1,
        f"expected fields of one datatype, got {datatypes}; use structured points",
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
