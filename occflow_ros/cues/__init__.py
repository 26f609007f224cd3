"""2D cues that training takes: optical flow, movable masks and tracks, made once and kept on disk.

`estimator` says what makes a cue, `make` runs it over a drive, `folder` reads the result, `fit`
brings it to the network's image size. All cues are of the undistorted image at its own size.
"""

from occflow_ros.cues.camera_cues import CameraCues, load_camera_cues
from occflow_ros.cues.cue import FlowCue, Mask, flow_cue
from occflow_ros.cues.fit import fit_flow, fit_mask
from occflow_ros.cues.folder import CueFolder
from occflow_ros.cues.images import CameraImage, ImagePair, image_of, image_pairs

__all__ = [
    "CameraCues",
    "CameraImage",
    "CueFolder",
    "FlowCue",
    "ImagePair",
    "Mask",
    "fit_flow",
    "fit_mask",
    "flow_cue",
    "image_of",
    "image_pairs",
    "load_camera_cues",
]
