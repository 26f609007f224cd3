"""Point clouds to messages and back."""

import array

import numpy as np
import pytest

pytest.importorskip("sensor_msgs_py", reason="needs the underlay or upstream ROS 2")

from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

XYZ = np.array([[1.0, 2.0, 3.0], [np.nan, 5.0, 6.0], [7.0, 8.0, 9.0]], np.float32)


def field(name: str, offset: int, datatype: int, count: int = 1) -> PointField:
    return PointField(name=name, offset=offset, datatype=datatype, count=count)


MIXED_FIELDS = [
    field("x", 0, PointField.FLOAT32),
    field("ring", 6, PointField.UINT16),
    field("time", 8, PointField.FLOAT64),
    field("class", 16, PointField.INT8),
]
MIXED_DTYPE = np.dtype(
    {
        "names": ["x", "ring", "time", "class"],
        "formats": ["<f4", "<u2", "<f8", "i1"],
        "offsets": [0, 6, 8, 16],
        "itemsize": 20,
    }
)
MIXED_POINTS = [(1.5, 65535, 1e-9, -128), (-2.5, 0, 1e9, 127)]


def mixed_cloud() -> PointCloud2:
    points = np.array(MIXED_POINTS, MIXED_DTYPE)
    return point_cloud2.create_cloud(Header(), MIXED_FIELDS, points, point_step=20)


def test_xyz_cloud_layout() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(frame_id="lidar"), XYZ)
    assert cloud.header.frame_id == "lidar"
    assert [(f.name, f.offset, f.datatype) for f in cloud.fields] == [
        ("x", 0, PointField.FLOAT32),
        ("y", 4, PointField.FLOAT32),
        ("z", 8, PointField.FLOAT32),
    ]
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 3, 12, 36)
    assert not cloud.is_dense
    assert not cloud.is_bigendian
    assert isinstance(cloud.data, array.array)
    assert cloud.data.tobytes() == XYZ.tobytes()


@pytest.mark.parametrize("points", [XYZ, XYZ.astype(np.float64), XYZ.tolist(), XYZ[::-1][::-1]])
def test_xyz_round_trip(points) -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), points)
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), XYZ)


def test_nan_points_are_skipped_on_request() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), XYZ)
    kept = point_cloud2.read_points_numpy(cloud, skip_nans=True)
    np.testing.assert_array_equal(kept, XYZ[[0, 2]])
    only_yz = point_cloud2.read_points_numpy(cloud, ["y", "z"], skip_nans=True)
    np.testing.assert_array_equal(only_yz, XYZ[:, 1:])
    cloud.is_dense = True
    assert len(point_cloud2.read_points(cloud, skip_nans=True)) == 3


def test_structured_points_with_padding_round_trip() -> None:
    cloud = mixed_cloud()
    assert (cloud.point_step, cloud.row_step, len(cloud.data)) == (20, 40, 40)
    points = point_cloud2.read_points(cloud)
    assert points.dtype == MIXED_DTYPE
    for name, column in zip(MIXED_DTYPE.names, zip(*MIXED_POINTS, strict=True), strict=True):
        np.testing.assert_array_equal(points[name], np.array(column, MIXED_DTYPE[name]))


def test_python_points_fill_mixed_fields() -> None:
    cloud = point_cloud2.create_cloud(Header(), MIXED_FIELDS, MIXED_POINTS, point_step=20)
    assert point_cloud2.read_points(cloud)["time"].tolist() == [1e-9, 1e9]


def test_subset_of_fields_keeps_the_order_asked_for() -> None:
    points = point_cloud2.read_points(mixed_cloud(), field_names=["class", "x"])
    assert points.dtype.names == ("class", "x")
    assert points.tolist() == [(-128, 1.5), (127, -2.5)]


def test_indices_select_points() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), XYZ)
    for indices in ([2, 0], np.array([2, 0])):
        picked = point_cloud2.read_points_numpy(cloud, uvs=indices)
        np.testing.assert_array_equal(picked, XYZ[[2, 0]])


def test_list_of_named_points() -> None:
    first, last = point_cloud2.read_points_list(mixed_cloud(), ["x", "ring"])
    assert (first.x, first.ring) == (1.5, 65535)
    assert last._asdict() == {"x": -2.5, "ring": 0}


def test_big_endian_cloud_reads_as_numbers() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), XYZ)
    cloud.is_bigendian = True
    cloud.data = array.array("B", XYZ.astype(">f4").tobytes())
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), XYZ)


def test_organized_cloud_keeps_its_shape() -> None:
    points = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 2, 3)  # (W, H, xyz)
    cloud = point_cloud2.create_cloud_xyz32(Header(), points)
    assert (cloud.width, cloud.height, cloud.row_step) == (4, 2, 48)
    read = point_cloud2.read_points_numpy(cloud, reshape_organized_cloud=True)
    np.testing.assert_array_equal(read, points)


def test_dtype_names_unnamed_and_repeated_fields() -> None:
    dtype = point_cloud2.dtype_from_fields(
        [field("", 0, PointField.UINT8), field("normal", 4, PointField.FLOAT32, count=3)]
    )
    assert dtype.names == (
        f"{point_cloud2.DUMMY_FIELD_PREFIX}_0",
        "normal_0",
        "normal_1",
        "normal_2",
    )
    assert [dtype.fields[name][1] for name in dtype.names] == [0, 4, 8, 12]
    assert dtype.itemsize == 16


@pytest.mark.parametrize(
    "fields",
    [
        [field("x", 0, PointField.FLOAT32, count=0)],
        [field("x", 0, PointField.FLOAT32), field("x", 4, PointField.FLOAT32)],
    ],
)
def test_impossible_fields_are_refused(fields) -> None:
    with pytest.raises(AssertionError):
        point_cloud2.dtype_from_fields(fields)


def test_misfits_are_refused() -> None:
    cloud = mixed_cloud()
    with pytest.raises(AssertionError):
        point_cloud2.read_points(cloud, field_names=["intensity"])
    with pytest.raises(AssertionError):
        point_cloud2.read_points_numpy(cloud)
    with pytest.raises(AssertionError):
        point_cloud2.read_points(XYZ)
    with pytest.raises(AssertionError):
        point_cloud2.create_cloud(Header(), MIXED_FIELDS, np.zeros((2, 4), np.float32))
    with pytest.raises(AssertionError):
        point_cloud2.create_cloud(Header(), MIXED_FIELDS, np.zeros(2, [("x", "f4")]))
