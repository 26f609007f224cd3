"""Small data sets in KITTI's folder structures, of a drive behind a car on a straight street."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation
from synthetic_scenes import OPTICAL, box, straight_world

from occflow_ros.data.drive import Camera
from occflow_ros.data.sensors import write_image, write_lidar
from occflow_ros.data.synthetic import Rig, World, frames
from occflow_ros.data.synthetic.street import Law
from occflow_ros.geometry import se3

HEIGHT_PX, WIDTH_PX = 48, 160
K = np.array([[100.0, 0.0, 78.25], [0.0, 101.5, 20.5], [0.0, 0.0, 1.0]])
EGO_MPS, CAR_MPS = 6.0, 9.0
INTERVAL_S = 0.1
COUNT = 3
START = np.datetime64("2011-09-26 13:02:25.964389445", "ns")
ORIGIN_DEG = (49.0, 8.4)
EARTH_RADIUS_M = 6378137.0


def rigid(euler_xyz_rad, translation_m):
    rotation = Rotation.from_euler("xyz", euler_xyz_rad).as_matrix()
    return se3.from_rotation_translation(rotation, translation_m)


# The cameras are level, as labels can say headings about the camera's y only; the LiDAR is tilted.
VEHICLE_T_RECT = rigid((0.0, 0.0, 0.02), (1.1, 0.06, 1.66)) @ se3.from_rotation_translation(
    OPTICAL, (0.0, 0.0, 0.0)
)
VEHICLE_T_BASE = rigid((0.01, -0.02, 0.03), (0.8, 0.0, 1.73))
BASE_T_IMU = rigid((0.015, -0.002, 0.001), (-0.81, 0.32, -0.8))
RECT_T_CAM0 = rigid((0.004, -0.007, 0.01), (0.0, 0.0, 0.0))  # by what rectification turns
CAMERA_T_RECT = {2: (0.0599, -0.0004, 0.0027), 3: (-0.4729, 0.0024, 0.0027)}
"""Where the origin of rectified camera 0 lies in the frames of the two colour cameras."""


@dataclass(frozen=True)
class Recorded:
    """What the sensors saw, and the poses of the vehicle, from which the writers below derive."""

    world: World
    sets: list
    images: dict
    depth_m: dict
    odom_T_vehicle: list

    def with_poses(self, odom_T_base):
        """The same sensor data along another way."""
        vehicle = [pose @ se3.inverse(VEHICLE_T_BASE) for pose in odom_T_base]
        return replace(self, odom_T_vehicle=vehicle)

    @property
    def odom_T_base(self):
        """Poses of the base from that of the first frame, as all readers give them."""
        poses = [pose @ VEHICLE_T_BASE for pose in self.odom_T_vehicle]
        return [se3.inverse(poses[0]) @ pose for pose in poses]


def base_T_camera(number):
    rect_T_camera = se3.from_rotation_translation(np.eye(3), -np.array(CAMERA_T_RECT[number]))
    return se3.inverse(VEHICLE_T_BASE) @ VEHICLE_T_RECT @ rect_T_camera


def record():
    """Three frames 0.1 s apart: a car 12 m ahead is faster than the ego, one is parked."""
    car = box(4.0, 1.8, 1.5)
    movers = (car, Law(12.0, 0.5, CAR_MPS)), (car, Law(9.0, -4.0, yaw_rad=0.3))
    world = straight_world(*movers, ego=Law(0.0, 0.0, EGO_MPS))
    cameras = tuple(
        Camera(f"cam{n}", WIDTH_PX, HEIGHT_PX, K, VEHICLE_T_BASE @ base_T_camera(n)) for n in (2, 3)
    )
    rig = Rig(cameras, (0.0, 0.0), VEHICLE_T_BASE, np.radians(np.linspace(-24.0, 2.0, 16)), 120)
    sets = list(frames(world, rig, [INTERVAL_S * number for number in range(COUNT)]))
    views = {n: [one.renderings[f"cam{n}"] for one in sets] for n in (2, 3)}
    return Recorded(
        world=world,
        sets=sets,
        images={n: [view.image.numpy() for view in views[n]] for n in views},
        depth_m={n: [view.depth_m.numpy() for view in views[n]] for n in views},
        odom_T_vehicle=[one.odom_T_base for one in sets],
    )


def write_raw(root, recorded, drive="2011_09_26_drive_0001_sync"):
    """A KITTI raw data set of one drive."""
    date = root / drive[:10]
    rect_T_base = se3.inverse(VEHICLE_T_RECT) @ VEHICLE_T_BASE
    cam_to_cam = {"R_rect_00": RECT_T_CAM0[:3, :3]}
    for number in (2, 3):
        cam_to_cam[f"S_rect_{number:02d}"] = (WIDTH_PX, HEIGHT_PX)
        cam_to_cam[f"P_rect_{number:02d}"] = _projection(number)
    write_text(date / "calib_cam_to_cam.txt", "calib_time: 09-Jan-2012 13:57:47", cam_to_cam)
    velo_to_cam = _mounting(se3.inverse(RECT_T_CAM0) @ rect_T_base)
    write_text(date / "calib_velo_to_cam.txt", "calib_time: 15-Mar-2012 11:37:16", velo_to_cam)
    imu_to_velo = _mounting(BASE_T_IMU)
    write_text(date / "calib_imu_to_velo.txt", "calib_time: 25-May-2012 16:47:16", imu_to_velo)
    folder = date / drive
    _write_sensors(recorded, folder, "image_{:02d}/data", "velodyne_points/data", 10)
    stamps = [START + np.timedelta64(round(1e9 * one.time_s), "ns") for one in recorded.sets]
    times = "".join(f"{stamp}\n".replace("T", " ") for stamp in stamps)
    (folder / "image_02" / "timestamps.txt").write_text(times)
    for number, line in enumerate(oxts_lines(recorded)):
        write_text(folder / "oxts" / "data" / f"{number:010d}.txt", line)


def write_odometry(root, recorded, sequence="08", digits=6):
    """A KITTI odometry data set of one sequence; the official poses have 6 digits."""
    folder = root / "sequences" / sequence
    rect_T_base = se3.inverse(VEHICLE_T_RECT) @ VEHICLE_T_BASE
    lines = {f"P{number}:": _projection(number) for number in (2, 3)}
    write_text(folder / "calib.txt", None, lines | {"Tr:": rect_T_base[:3]})
    write_text(folder / "times.txt", "\n".join(f"{one.time_s:e}" for one in recorded.sets))
    _write_sensors(recorded, folder, "image_{}", "velodyne", 6)
    poses = [rect_T_base @ pose @ se3.inverse(rect_T_base) for pose in recorded.odom_T_base]
    rows = "\n".join(" ".join(f"{v:.{digits}e}" for v in pose[:3].ravel()) for pose in poses)
    write_text(root / "poses" / f"{sequence}.txt", rows)


def write_tracking(root, recorded, part="training", sequence="0004"):
    """A KITTI tracking data set of one sequence; `training` has labels."""
    folder = root / part
    rect_T_base = se3.inverse(VEHICLE_T_RECT) @ VEHICLE_T_BASE
    lines = {f"P{number}:": _projection(number) for number in (2, 3)} | {
        "R_rect": RECT_T_CAM0[:3, :3],
        "Tr_velo_cam": (se3.inverse(RECT_T_CAM0) @ rect_T_base)[:3],
        "Tr_imu_velo": BASE_T_IMU[:3],
    }
    write_text(folder / "calib" / f"{sequence}.txt", None, lines)
    _write_sensors(recorded, folder, f"image_{{:02d}}/{sequence}", f"velodyne/{sequence}", 6)
    write_text(folder / "oxts" / f"{sequence}.txt", "\n".join(oxts_lines(recorded)))
    if part == "training":
        write_text(folder / "label_02" / f"{sequence}.txt", "\n".join(_label_lines(recorded)))


def write_text(path, text=None, lines=None):
    """A text and lines of a key and numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [] if text is None else [text]
    for key, values in (lines or {}).items():
        key = key if key.endswith(":") or key.startswith(("R_rect", "Tr_")) else f"{key}:"
        rows.append(f"{key} " + " ".join(f"{value:.12e}" for value in np.ravel(values)))
    path.write_text("\n".join(rows) + "\n")


def _mounting(transform):
    return {"R": transform[:3, :3], "T": transform[:3, 3]}


def _projection(number):
    return np.column_stack((K, K @ CAMERA_T_RECT[number]))


def _write_sensors(recorded, folder, images, lidar, digits):
    for number, one in enumerate(recorded.sets):
        for camera, of_camera in recorded.images.items():
            path = folder / images.format(camera) / f"{number:0{digits}d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, of_camera[number])
        path = folder / lidar / f"{number:0{digits}d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_lidar(path, one.lidar.points_m)


def oxts_lines(recorded):
    """Packets whose first lies at ORIGIN_DEG, with angles as exact as the official files say."""
    scale = np.cos(np.radians(ORIGIN_DEG[0]))
    east_m, north_m = _mercator(*ORIGIN_DEG, scale)
    poses = [pose @ VEHICLE_T_BASE @ BASE_T_IMU for pose in recorded.odom_T_vehicle]
    for pose in poses:
        x, y, z = pose[:3, 3] - poses[0][:3, 3] + (east_m, north_m, 116.4)
        longitude = np.degrees(x / (scale * EARTH_RADIUS_M))
        latitude = np.degrees(2.0 * np.arctan(np.exp(y / (scale * EARTH_RADIUS_M))) - np.pi / 2)
        yaw, pitch, roll = Rotation.from_matrix(pose[:3, :3]).as_euler("ZYX")
        angles = " ".join(f"{angle:.13f}" for angle in (roll, pitch, yaw))
        yield f"{latitude:.12f} {longitude:.12f} {z:.11f} {angles}" + " 0" * 24


def _mercator(latitude_deg, longitude_deg, scale):
    north = np.log(np.tan(np.pi / 4 + np.radians(latitude_deg) / 2))
    return scale * EARTH_RADIUS_M * np.radians(longitude_deg), scale * EARTH_RADIUS_M * north


def _label_lines(recorded):
    """The cars of every frame, and a region that nobody labelled."""
    for number, one in enumerate(recorded.sets):
        yield f"{number} -1 DontCare -1 -1 -10 1 2 3 4 -1000 -1000 -1000 -10 -1 -1 -1"
        for found in one.boxes:
            rect_T_box = se3.inverse(VEHICLE_T_RECT) @ found.base_T_box
            length_m, width_m, height_m = found.size_lwh_m
            x, y, z = rect_T_box[:3, 3] + (0.0, 0.5 * height_m, 0.0)
            heading = np.arctan2(-rect_T_box[2, 0], rect_T_box[0, 0])
            numbers = (height_m, width_m, length_m, x, y, z, heading)
            text = " ".join(f"{value:.9f}" for value in numbers)
            yield f"{number} {found.id.split('-')[1]} Car 0 0 0 1 2 3 4 {text}"
