"""Data flows one way: which part of the tree may import what."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
ROS = r"rclpy|\w+_msgs|occflow_ros\.msg|tf2_\w+|message_filters|cv_bridge|sensor_msgs_py"
SHELLS = r"occflow_ros\.(ros|cli|demo)"

# where (but not under ...) | must not import | because
RULES = (
    ("occflow_ros", ("occflow_ros/ros",), ROS, "ROS is known under ros/ only"),
    (
        "occflow_ros",
        ("occflow_ros/ros", "occflow_ros/cli", "occflow_ros/demo"),
        SHELLS,
        "the core does not know its shells",
    ),
    (
        "occflow_ros/models",
        (),
        r"occflow_ros\.(cues|data|losses|metrics|rendering|viz)",
        "nothing below models/ knows data or losses",
    ),
    (
        "occflow_ros/models",
        ("occflow_ros/models/build.py",),
        r"occflow_ros\.(config|engine)",
        "modules take primitives; only the builder reads the configuration",
    ),
    (
        "occflow_ros/ops",
        (),
        r"occflow_ros\.(config|cues|data|engine|losses|metrics|models|rendering|viz)",
        "kernels stand below everything",
    ),
    (
        "occflow_ros/geometry",
        (),
        r"occflow_ros\.(config|cues|data|engine|losses|metrics|models|ops|rendering|viz)",
        "geometry stands below everything",
    ),
    (
        "occflow_ros/rendering",
        (),
        r"occflow_ros\.(config|cues|data|engine|losses|metrics|models|viz)",
        "rendering is functions of fields, whoever predicts them",
    ),
    (
        "occflow_ros/losses",
        (),
        r"occflow_ros\.(config|cues|data|engine|metrics|models|rendering|viz)",
        "losses are functions of tensors, whoever renders them",
    ),
    ("underlay", (), r"occflow_ros|torch", "the underlay replaces upstream packages"),
)


def imported_modules(source, package):
    """Absolute names of all modules that `source`, a file of `package`, imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def python_files(tree, excluded):
    for path in sorted((REPOSITORY / tree).rglob("*.py")):
        relative = path.relative_to(REPOSITORY)
        if not any(relative.is_relative_to(part) for part in excluded):
            yield relative


@pytest.mark.parametrize(
    ("tree", "excluded", "forbidden", "reason"), RULES, ids=[rule[-1] for rule in RULES]
)
def test_imports_go_one_way(tree, excluded, forbidden, reason):
    violations = [
        f"{path}: {module}"
        for path in python_files(tree, excluded)
        for module in imported_modules((REPOSITORY / path).read_text(), ".".join(path.parent.parts))
        if re.match(rf"({forbidden})(\.|$)", module)
    ]
    assert not violations, f"{reason}: {violations}"


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("import rclpy.node", "rclpy.node"),
        ("from occflow_ros import data", "occflow_ros.data"),
        ("from ..losses import total", "occflow_ros.losses.total"),
        ("from .. import losses", "occflow_ros.losses"),
        ("def f():\n    import cv_bridge", "cv_bridge"),
    ],
)
def test_every_form_of_import_is_seen(statement, module):
    assert module in imported_modules(statement, "occflow_ros.models")
