"""Rows of published tables, to stand beside ours.

From the Let Occ Flow paper (Tables 1 to 3) and, by class, from the MonoOcc paper (Table I). Their
networks are larger, their data real: only rows of the same data set and protocol compare.
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

SEMANTIC_KITTI_CLASSES = (
    "road",
    "sidewalk",
    "parking",
    "other-ground",
    "building",
    "car",
    "truck",
    "bicycle",
    "motorcycle",
    "other-vehicle",
    "vegetation",
    "trunk",
    "terrain",
    "person",
    "bicyclist",
    "motorcyclist",
    "fence",
    "pole",
    "traffic-sign",
)
"""The columns of Table I of MonoOcc, in its order."""

# fmt: off
SEMANTIC_KITTI = (
    ("LMSCNet*", 7.07, 46.70, 19.50, 13.50, 3.10, 10.30, 14.30, 0.30, 0.00, 0.00, 0.00,
     10.80, 0.00, 10.40, 0.00, 0.00, 0.00, 5.40, 0.00, 0.00),
    ("3DSketch*", 6.23, 37.70, 19.80, 0.00, 0.00, 12.10, 17.10, 0.00, 0.00, 0.00, 0.00,
     12.10, 0.00, 16.10, 0.00, 0.00, 0.00, 3.40, 0.00, 0.00),
    ("AICNet*", 7.09, 39.30, 18.30, 19.80, 1.60, 9.60, 15.30, 0.70, 0.00, 0.00, 0.00,
     9.60, 1.90, 13.50, 0.00, 0.00, 0.00, 5.00, 0.10, 0.00),
    ("JS3C-Net*", 8.97, 47.30, 21.70, 19.90, 2.80, 12.70, 20.10, 0.80, 0.00, 0.00, 4.10,
     14.20, 3.10, 12.40, 0.00, 0.20, 0.20, 8.70, 1.90, 0.30),
    ("MonoScene", 11.08, 54.70, 27.10, 24.80, 5.70, 14.40, 18.80, 3.30, 0.50, 0.70, 4.40,
     14.90, 2.40, 19.50, 1.00, 1.40, 0.40, 11.10, 3.30, 2.10),
    ("TPVFormer", 11.26, 55.10, 27.20, 27.40, 6.50, 14.80, 19.20, 3.70, 1.00, 0.50, 2.30,
     13.90, 2.60, 20.40, 1.10, 2.40, 0.30, 11.00, 2.90, 1.50),
    ("VoxFormer-S", 12.20, 53.90, 25.30, 21.10, 5.60, 19.80, 20.80, 3.50, 1.00, 0.70, 3.70,
     22.40, 7.50, 21.30, 1.40, 2.60, 0.00, 11.10, 5.10, 4.90),
    ("VoxFormer-T†", 13.41, 54.10, 26.90, 25.10, 7.30, 23.50, 21.70, 3.60, 1.90, 1.60, 4.10,
     24.40, 8.10, 24.20, 1.60, 1.10, 0.00, 13.10, 6.60, 5.70),
    ("OccFormer", 12.32, 55.90, 30.30, 31.50, 6.50, 15.70, 21.60, 1.20, 1.50, 1.70, 3.20,
     16.80, 3.90, 21.30, 2.20, 1.10, 0.20, 11.90, 3.80, 3.70),
    ("SurroundOcc", 11.86, 56.90, 28.30, 30.20, 6.80, 15.20, 20.60, 1.40, 1.60, 1.20, 4.40,
     14.90, 3.40, 19.30, 1.40, 2.00, 0.10, 11.30, 3.90, 2.40),
    ("MonoOcc-S", 13.80, 55.20, 27.80, 25.10, 9.70, 21.40, 23.20, 5.20, 2.20, 1.50, 5.40,
     24.00, 8.70, 23.00, 1.70, 2.00, 0.20, 13.40, 5.80, 6.40),
    ("MonoOcc-L", 15.63, 59.10, 30.90, 27.10, 9.80, 22.90, 23.90, 7.20, 4.50, 2.40, 7.70,
     25.00, 9.80, 26.10, 2.80, 4.70, 0.60, 16.90, 7.30, 8.40),
)
# fmt: on
"""Method, mIoU, IoU of each of `SEMANTIC_KITTI_CLASSES` in percent, of the test set.

*: adapted to cameras by MonoScene. †: several images."""
