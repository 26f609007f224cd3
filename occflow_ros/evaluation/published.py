"""Rows of published tables, to stand beside ours.

From the Let Occ Flow paper (Tables 1 to 3). Their networks are larger, their data real: only rows
of the same data set and protocol compare.
"""

from __future__ import annotations

NUSCENES = (
    ("OccNet, 3D labels", 29.28, 39.68, 50.02, 39.66, 1.61),
    ("OccNeRF*, cameras", 9.93, 19.06, 35.84, 21.61, 1.53),
    ("Let Occ Flow, cameras", 17.49, 28.52, 44.33, 30.12, 1.42),
    ("RenderOcc*, LiDAR", 20.27, 32.68, 49.92, 36.67, 1.63),
    ("OccNeRF*, LiDAR", 16.62, 29.25, 49.17, 31.68, 1.59),
    ("Let Occ Flow, LiDAR", 25.49, 39.66, 56.30, 40.48, 1.45),
)
"""Method, RayIoU at 1, 2 and 4 m and their mean in percent, mAVE in m/s (of true positives)."""

SEMANTIC_KITTI_RAYS = (
    ("MonoScene, 3D labels", 26.00, 36.50, 49.09, 37.19),
    ("SceneRF", 20.65, 35.74, 56.35, 37.58),
    ("OccNeRF", 23.22, 40.17, 62.57, 41.99),
    ("SelfOcc", 23.13, 35.38, 50.31, 36.27),
    ("Let Occ Flow, cameras", 28.62, 45.60, 66.95, 47.06),
)
"""Method, RayIoU at 1, 2 and 4 m and their mean in percent."""

SEMANTIC_KITTI_DEPTH = (
    ("SceneRF", 0.146, 1.048, 5.240, 0.241),
    ("OccNeRF", 0.132, 1.011, 5.497, 0.233),
    ("SelfOcc", 0.152, 1.306, 5.386, 0.245),
    ("Let Occ Flow, cameras", 0.117, 0.817, 4.816, 0.215),
)
"""Method, Abs Rel, Sq Rel, RMSE and RMSE log, means over images."""

KITTI_FLOW = (
    ("OccNeRF*, cameras", 3.547, 6.986, 7.976, 10.445, 0.204, 0.272, 0.306),
    ("Let Occ Flow, cameras", 3.431, 3.529, 6.429, 7.635, 0.215, 0.084, 0.118),
    ("OccNeRF*, LiDAR", 2.667, 8.131, 4.040, 11.284, 0.137, 0.309, 0.326),
    ("Let Occ Flow, LiDAR", 2.610, 3.488, 3.106, 7.510, 0.154, 0.083, 0.105),
)
"""Method, DE, EPE, DE_FG, EPE_FG in pixels, D1_5%, F1_10% and SF1_10%."""
