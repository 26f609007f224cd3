"""A drive of SemanticKITTI and a recording folder by hand, with predictions in files."""

import numpy as np

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import Camera, Drive, OccupancyTruth
from occflow_ros.data.drive_writer import Capture, CapturedSet
from occflow_ros.data.recording import recording_writer
from occflow_ros.data.semantic_kitti import GRID as KITTI_GRID
from occflow_ros.data.semantic_kitti_voxels import prediction_path, write_prediction
from occflow_ros.data.sensors import write_image
from occflow_ros.data.truth import write_truth
from occflow_ros.geometry import se3

HEIGHT_PX, WIDTH_PX = 20, 40
K = np.array([[50.0, 0.0, 20.0], [0.0, 50.0, 10.0], [0.0, 0.0, 1.0]])
RECT_T_BASE = np.array([[0.0, -1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
CAR = NAMES.index("car")
START_NS = 1_600_000_000_000_000_000


def write_kitti(folder, count=11, images=True, sequence="08"):
    """A sequence at 10 Hz, 1 m ahead from frame to frame, which is camera z."""
    drive = folder / "sequences" / sequence
    drive.mkdir(parents=True)
    rows = {"P2": np.column_stack((K, np.zeros(3))), "Tr": RECT_T_BASE}
    lines = (f"{key}: " + " ".join(map(str, values.ravel())) for key, values in rows.items())
    (drive / "calib.txt").write_text("\n".join(lines) + "\n")
    (drive / "times.txt").write_text("\n".join(str(0.1 * number) for number in range(count)))
    poses = (f"1 0 0 0 0 1 0 0 0 0 1 {number}" for number in range(count))
    (folder / "poses").mkdir(exist_ok=True)
    (folder / "poses" / f"{sequence}.txt").write_text("\n".join(poses))
    for number in range(count if images else 0):
        path = drive / "image_2" / f"{number:06d}.png"
        path.parent.mkdir(exist_ok=True)
        write_image(path, np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8))
    return folder


def write_kitti_predictions(folder, numbers, sequence="08"):
    """A class of its own in each frame, in one voxel."""
    for number in numbers:
        classes = np.zeros(KITTI_GRID.shape, np.uint8)
        classes[number, 2, 1] = 1 + number
        write_prediction(prediction_path(folder, sequence, number), classes)
    return folder


def stamp(place):
    return START_NS + place * 500_000_000


def pose(place):
    return se3.from_rotation_translation(np.eye(3), (3.0 * place, 0.0, 0.0))


def write_drive(folder, count=3, name="street"):
    """A recording folder with one camera."""
    header = Drive(name, {"front": Camera("front", WIDTH_PX, HEIGHT_PX, K, np.eye(4))}, ())
    image = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    with recording_writer(folder, header) as writer:
        for place in range(count):
            front = Capture(image, stamp(place), pose(place))
            writer.add_set(CapturedSet(stamp(place), pose(place), {"front": front}))
    return folder


def truth(place, shape=(4, 4, 2), velocity_mps=(2.0, np.nan)):
    """A car in one voxel, of whose velocity a half is unknown."""
    semantics = np.full(shape, FREE, np.uint8)
    semantics[place, 1, 0] = CAR
    moving = np.zeros((*shape, 2), np.float32)
    moving[place, 1, 0] = velocity_mps
    return OccupancyTruth(semantics, moving, semantics != FREE, (-2.0, -2.0, -1.0), (2.0, 2.0, 1.0))


def write_labels(folder, truths, name="street"):
    """Files as `occflow semantics` writes them, by number of the set."""
    for place, one in truths.items():
        path = folder / name / str(stamp(place)) / "labels.npz"
        path.parent.mkdir(parents=True)
        write_truth(path, one)
    return folder
