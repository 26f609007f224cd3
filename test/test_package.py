"""What the build files say about the package agrees, and the messages keep their promises."""

import configparser
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import occflow_ros

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = sorted([REPOSITORY / "package.xml", *REPOSITORY.glob("underlay/*/package.xml")])
BYTES = {"uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "float32": 4}


def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg")
    return parser


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.parent.name)
def test_package_xml_has_the_version_and_builds_with_ament_cmake(path):
    root = ElementTree.parse(path).getroot()
    assert root.findtext("version") == occflow_ros.__version__
    assert root.findtext("export/build_type") == "ament_cmake"
    assert re.fullmatch(r"[\w.-]+@[\w-]+\.[\w.]+", root.find("maintainer").get("email"))


def test_build_files_have_the_version():
    cmake = (REPOSITORY / "CMakeLists.txt").read_text()
    project = re.search(r"project\(occflow_ros VERSION ([\d.]+)\)", cmake)
    assert project.group(1) == occflow_ros.__version__
    assert setup_cfg()["metadata"]["version"] == occflow_ros.__version__


def test_every_script_is_executable_and_installed():
    cmake = (REPOSITORY / "CMakeLists.txt").read_text()
    for script in (REPOSITORY / "scripts").iterdir():
        assert os.access(script, os.X_OK), f"{script.name} is not executable"
        assert f"scripts/{script.name}" in cmake, f"{script.name} is not installed"


def test_requirements_are_pinned():
    declared = setup_cfg()
    lines = declared["options"]["install_requires"] + declared["options.extras_require"]["dev"]
    lines += (REPOSITORY / "tools" / "ros-jazzy.txt").read_text()
    names = {re.match(r"[\w-]+", line).group() for line in lines.split("\n") if line[:1].isalpha()}
    pins = (REPOSITORY / "constraints.txt").read_text().lower().splitlines()
    pinned = {line.split("==")[0] for line in pins if "==" in line}
    assert {name.lower() for name in names} <= pinned


def test_a_voxel_takes_at_most_eight_bytes_beside_its_index():
    text = (REPOSITORY / "msg" / "OccupancyFlow.msg").read_text()
    fields = re.findall(r"^(\w+)\[\] (\w+)", text, flags=re.MULTILINE)
    assert ("uint32", "index") in fields
    assert sum(BYTES[kind] for kind, name in fields if name != "index") <= 8
