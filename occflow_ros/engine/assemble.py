"""From images with their own stamps and poses to one `Frame` at a reference time.

The node and the offline readers both come through here, so the same images give the same voxels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import Image, ImageFit
from occflow_ros.ops.area_resize import fit_image
from occflow_ros.structures import CameraRig, Frame


@dataclass(frozen=True, slots=True)
class View:
    """One pinhole image with where its camera was when it was taken.

    Args:
        image: (H, W, 3) uint8 RGB, rectified.
        K: (3, 3) intrinsics in pixels of this image.
        base_T_camera: (4, 4) static extrinsic, optical frame to base.
        odom_T_base: (4, 4) pose of the base at the image's own stamp.
    """

    image: Image
    K: se3.Array
    base_T_camera: se3.Array
    odom_T_base: se3.Array


def assemble_frame(
    views: Mapping[str, View],
    camera_names: Sequence[str],
    stamp_ns: int,
    odom_T_base: se3.Array,
    image_hw_px: tuple[int, int],
) -> Frame:
    """Resize the images, move their intrinsics with them and compensate ego motion in the set.

    The extrinsic of each camera at the reference stamp is
    base(t_ref) ← odom ← base(t_image) ← camera.

    Args:
        views: by camera name; a camera of the rig may be missing.
        camera_names: the rig, in the order of the network's camera axis.
        stamp_ns: reference time.
        odom_T_base: (4, 4) pose of the base at the reference time.
        image_hw_px: image size the network takes.

    Raises:
        ValueError: where no image is there at all, or one belongs to no camera of the rig.
    """
    unknown = set(views) - set(camera_names)
    if unknown or not views:
        raise ValueError(f"expected images of {list(camera_names)}, got {sorted(views)}")
    images = torch.zeros((len(camera_names), 3, *image_hw_px), dtype=torch.uint8)
    K = np.tile(np.eye(3), (len(camera_names), 1, 1))
    base_T_camera = np.tile(np.eye(4), (len(camera_names), 1, 1))
    ref_base_T_odom = se3.inverse(odom_T_base)
    for index, name in enumerate(camera_names):
        if (view := views.get(name)) is None:
            continue
        fit = ImageFit(view.image.shape[:2], image_hw_px)
        images[index] = torch.from_numpy(fit_image(fit, view.image)).permute(2, 0, 1)  # (3, H, W)
        K[index] = fit.intrinsics(view.K)
        base_T_camera[index] = ref_base_T_odom @ view.odom_T_base @ view.base_T_camera
    return Frame(
        stamp_ns=stamp_ns,
        images=images,
        rig=CameraRig(
            names=tuple(camera_names),
            K=torch.from_numpy(K).float(),
            base_T_camera=torch.from_numpy(base_T_camera).float(),
            present=torch.tensor([name in views for name in camera_names]),
        ),
        odom_T_base=torch.from_numpy(np.array(odom_T_base, dtype=np.float64)),
    )
