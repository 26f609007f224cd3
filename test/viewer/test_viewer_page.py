"""The page holds the numbers of the bag, needs nothing else, and a browser draws them."""

import base64
import html
import json
import math
import re
import shutil
import subprocess
import zlib

import cv2
import numpy as np
import pytest
import viewer_bag
from viewer_bag import CAR, CLASS_NAMES, PEDESTRIAN, STAMPS_NS, ViewerBag

from occflow_ros import cli
from occflow_ros.data.recorded_predictions import read_predictions
from occflow_ros.errors import DataError
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.viewer.page import page_html
from occflow_ros.viewer.ramps import ramps
from occflow_ros.viewer.recorded_run import camera_name, read_run, thumbnail
from occflow_ros.viz.palette import BACKGROUND, CLASS_COLORS, UNKNOWN_CLASS, class_colors

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
with_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return viewer_bag.write_drive(tmp_path_factory.mktemp("viewer") / "bag")


@pytest.fixture(scope="module")
def page(bag):
    return page_html(read_run(bag), "a <drive>")


def embedded(page):
    return json.loads(re.search(r'id="occflow-data">(.*?)</script>', page, re.DOTALL).group(1))


def unpacked(one):
    """The arrays of a set as page.py describes them."""
    n = one["count"]
    data = zlib.decompress(base64.b64decode(one["arrays"]))
    assert len(data) == 9 * n + n * one["has_classes"]
    index = np.frombuffer(data, "<u4", n).cumsum()
    velocity = np.frombuffer(data, "<i2", 2 * n, 4 * n).reshape(2, n)  # along x and y
    return index, velocity, np.frombuffer(data, np.uint8, offset=8 * n).reshape(-1, n)


def test_the_embedded_arrays_are_those_of_the_bag(page):
    data = embedded(page)
    assert [one["stamp_ns"] for one in data["sets"]] == [str(stamp) for stamp in STAMPS_NS]
    assert (data["origin_m"], data["voxel_size_m"]) == ([-5.0, -5.0, -1.0], [1.0, 1.0, 1.0])
    for one in data["sets"]:
        index, velocity, (probability, class_id) = unpacked(one)
        assert index.tolist() == [86, 301]  # (2, 1, 2) and (7, 5, 1) of (10, 10, 4)
        assert velocity.tolist() == [[-32768, 400], [-32768, 0]]
        assert probability.tolist() == [128, 255]
        assert class_id.tolist() == [7, 4]


def test_classes_have_the_recorded_names_and_their_colors(page):
    data = embedded(page)
    assert data["class_names"] == list(CLASS_NAMES)
    colors = np.frombuffer(base64.b64decode(data["ramps"]["class"]), np.uint8).reshape(256, 3)
    assert tuple(colors[CAR]) == CLASS_COLORS["car"]
    assert tuple(colors[PEDESTRIAN]) == CLASS_COLORS["pedestrian"]
    np.testing.assert_array_equal(colors[:8], class_colors(CLASS_NAMES))
    assert (colors[8:] == UNKNOWN_CLASS).all()


def test_without_a_legend_classes_are_told_apart_by_number(tmp_path):
    with ViewerBag(tmp_path / "bag") as bag:
        bag.flow(STAMPS_NS[0])
    data = embedded(page_html(read_run(tmp_path / "bag"), ""))
    assert data["class_names"] == [f"class {number}" for number in range(PEDESTRIAN + 1)]


def test_of_two_legends_that_beside_the_predictions_counts(tmp_path):
    with ViewerBag(tmp_path / "bag") as bag:
        bag.legend(("a", "b"), topic="/rear/classes")
        bag.legend(("c", "d"), topic="/front/classes")
        bag.flow(STAMPS_NS[0], topic="/front/occupancy_flow")
    assert read_run(tmp_path / "bag").class_names == ("c", "d")


def test_recorded_predictions_know_what_their_voxels_are(bag):
    scene = read_predictions(bag)[STAMPS_NS[0]]
    assert scene.class_names == CLASS_NAMES
    assert scene.class_id[2, 1, 2] == PEDESTRIAN
    assert scene.class_id[7, 5, 1] == CAR
    assert (scene.class_id[~scene.occupied] == UNKNOWN_CLASS_ID).all()


def test_poses_are_interpolated_and_never_extrapolated(page):
    data = embedded(page)
    first, second, third = (one["fixed_T_base"] for one in data["sets"])
    assert (data["base_frame"], data["fixed_frame"]) == ("base_link", "odom")
    assert [first[3], first[7], first[11]] == [1000.0, 0.0, 0.0]
    assert second[3] == pytest.approx(1010.0, abs=1e-5)
    assert third is None


def test_each_set_has_the_nearest_image_of_each_camera(page):
    data = embedded(page)
    first, second, third = (one["images"] for one in data["sets"])
    assert data["camera_rows"] == [["cam_left", "cam_front"]]
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(first["cam_front"]), np.uint8), 1)
    assert decoded.shape == (180, 320, 3)
    np.testing.assert_allclose(decoded[90, 160], (0, 0, 200), atol=4)
    assert (set(second), set(third)) == (set(), {"cam_left"})


def test_the_page_needs_no_other_file_and_no_network(page):
    assert not re.search(r"https?:|//cdn|\bfetch\(|\bimport\b|<link|\bsrc=|@import|url\(", page)
    assert "<title>a &lt;drive&gt;: occupancy and flow</title>" in page
    assert "{{" not in page


def test_frame_names_cannot_end_the_script(tmp_path):
    with ViewerBag(tmp_path / "bag") as bag:
        bag.flow(STAMPS_NS[0], frame="</script><b>")
    assert embedded(page_html(read_run(tmp_path / "bag"), ""))["base_frame"] == "</script><b>"


def test_of_many_sets_every_second_is_taken(bag):
    run = read_run(bag, max_sets=2)
    assert [one.stamp_ns for one in run.sets] == [STAMPS_NS[0], STAMPS_NS[2]]
    assert run.recorded == 3


def test_frames_are_followed_through_the_tree(tmp_path):
    with ViewerBag(tmp_path / "bag") as bag:
        bag.transform(0, "map", "odom", (0.0, 5.0, 0.0), (0.0, 0.0, 2**-0.5, 2**-0.5), static=True)
        bag.transform(STAMPS_NS[0], "odom", "base_link", (2.0, 0.0, 0.0))
        bag.flow(STAMPS_NS[0])
    run = read_run(tmp_path / "bag")
    assert run.fixed_frame == "map"
    np.testing.assert_allclose(run.sets[0].fixed_T_base[:3, 3], (0.0, 7.0, 0.0), atol=1e-12)


@pytest.mark.parametrize(
    "flows, message",
    [
        ([], "expected one topic of .*, got none"),
        ([{}, {"topic": "/b/occupancy_flow"}], "expected one topic of .*, got /b/.*, /occflow/"),
        ([{"index": (5, 400)}], "expected indices on the grid, got 400"),
        ([{"index": (5, 5)}], "expected ascending indices"),
        ([{"index": (5, 6, 7)}], "probability: expected 3 values, got 2"),
        ([{}, {"origin": (0.0, 0.0, 0.0)}], "expected predictions on one grid, got 2 grids"),
    ],
)
def test_bags_that_cannot_be_shown_are_refused(tmp_path, flows, message):
    with ViewerBag(tmp_path / "bag") as bag:
        bag.jpeg(STAMPS_NS[0], "cam_front", (0, 0, 0))
        for number, changes in enumerate(flows):
            bag.flow(STAMPS_NS[number], **changes)
    with pytest.raises(DataError, match=message):
        read_run(tmp_path / "bag")


def test_the_command_writes_the_page(bag, tmp_path, capsys):
    out = tmp_path / "viewer.html"
    assert cli.main(["view", "--bag", str(bag), "--out", str(out)]) == 0
    assert "3 of 3 sets" in capsys.readouterr().out
    assert len(embedded(out.read_text())["sets"]) == 3
    assert cli.main(["view", "--bag", str(tmp_path / "nothing"), "--out", str(out)]) == 1


@pytest.mark.parametrize(
    "topic, name",
    [
        ("/cam_front/image_raw/compressed", "cam_front"),
        ("/car/front/image_rect", "car/front"),
        ("/image", "/image"),
    ],
)
def test_cameras_are_named_by_their_topic(topic, name):
    assert camera_name(topic) == name


@pytest.mark.parametrize(
    "encoding, pixel",
    [
        ("bgr8", (200, 50, 0)),
        ("rgb8", (0, 50, 200)),
        ("bgra8", (200, 50, 0, 9)),
        ("rgba8", (0, 50, 200, 9)),
    ],
)
def test_raw_images_become_the_same_thumbnail(tmp_path, encoding, pixel):
    message = raw_image(tmp_path, encoding, np.tile(np.array(pixel, np.uint8), (36, 64, 1)))
    decoded = cv2.imdecode(np.frombuffer(thumbnail(message), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_allclose(decoded[90, 160], (200, 50, 0), atol=4)


def test_images_that_cannot_be_decoded_are_left_out(tmp_path):
    assert thumbnail(raw_image(tmp_path, "32FC1", np.zeros((4, 4, 4), np.uint8))) is None
    with ViewerBag(tmp_path / "bag") as bag:
        bag.jpeg(STAMPS_NS[0], "cam_front", None, data=b"no jpeg")
        bag.flow(STAMPS_NS[0])
    assert read_run(tmp_path / "bag").sets[0].thumbnails == {}


def raw_image(tmp_path, encoding, pixels):
    """With two bytes of padding behind each row."""
    height, width, channels = pixels.shape
    rows = np.pad(pixels.reshape(height, width * channels), ((0, 0), (0, 2)))
    bag = ViewerBag(tmp_path / "types")
    return bag.types[viewer_bag.RAW](
        bag.header(0, "cam"), height, width, encoding, 0, width * channels + 2, rows.reshape(-1)
    )


# The browser. Before the page's own scripts errors are caught; after them, steps are taken and
# what they find is written into the document, which Chromium prints.

_CATCH = """<script>
window.errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
console.error = (...values) => errors.push(values.join(" "));
</script>"""
_STEPS = """<script type="module">
const found = {};
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const get = (id) => document.getElementById(id);
const canvas = get("canvas");
function key(name) {
  document.body.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
}
function set(id, value) {
  get(id).value = value;
  get(id).dispatchEvent(new Event("input"));
}
// x, y: from the center to the right and down, in heights of the canvas.
function pixel(x, y) {
  occflow.draw();
  const gl = canvas.getContext("webgl2");
  const at = [canvas.width / 2 + x * canvas.height, canvas.height / 2 - y * canvas.height];
  const color = new Uint8Array(4);
  gl.readPixels(...at, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, color);
  return [...color].slice(0, 3);
}
try {
  await occflow.ready;
  %s
} catch (error) { errors.push(String(error)); }
const result = document.createElement("pre");
result.id = "result";
result.textContent = JSON.stringify({...found, errors});
document.body.append(result);
</script>"""


def in_browser(folder, page, steps, address="", *flags):
    """What the steps found."""
    path = folder / "page.html"
    text = page.replace("<head>", f"<head>{_CATCH}").replace("</body>", f"{_STEPS % steps}</body>")
    path.write_text(text)
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--enable-unsafe-swiftshader"]
    command += [f"--user-data-dir={folder / 'profile'}", "--window-size=800,560", *flags]
    command += ["--virtual-time-budget=10000", "--dump-dom", f"{path.as_uri()}#{address}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    result = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert result, f"the page did not come to its end:\n{done.stderr[-2000:]}"
    return json.loads(html.unescape(result.group(1)))


def seen_from_above(x, y, z, distance_m):
    """Where a point of the frame that the camera is fixed to is seen, in heights of the canvas."""
    scale = 1.0 / (2.0 * math.tan(math.radians(22.5)) * (distance_m - z))
    return -y * scale, -x * scale


FRONT_TOP, BACK_TOP = (2.5, 0.5, 1.0), (-2.5, -3.5, 2.0)  # centers of the upper faces


@pytest.fixture(scope="module")
def found(tmp_path_factory, page):
    """One walk through the page: all that the tests below look at."""
    front, back = (list(seen_from_above(*point, 20.0)) for point in (FRONT_TOP, BACK_TOP))
    arrow = list(seen_from_above(5.0, 0.5, 0.5, 20.0))
    ahead = list(seen_from_above(12.5, 0.5, 1.0, 40.0))  # 10 m further than at first
    steps = f"""
    const both = () => [pixel(...{front}), pixel(...{back})];
    for (const [name, digit] of [["height", 1], ["probability", 2], ["speed", 3], ["class", 4]]) {{
      key(String(digit));
      found[name] = both();
    }}
    found.state = occflow.state();
    found.counts = get("counts").textContent;
    found.projected = occflow.project({list(FRONT_TOP)});
    found.size = [canvas.clientWidth, canvas.clientHeight];
    found.before = pixel(...{arrow});
    key("f");
    found.arrow = pixel(...{arrow});
    key("f");
    set("threshold", "0.6");
    found.hidden = both();
    found.left = occflow.state().shown;
    set("frame", "fixed");
    key("ArrowRight");
    await sleep(200);
    found.second = occflow.state().set;
    for (let k = 0; k < 5; k++) {{
      canvas.dispatchEvent(new WheelEvent("wheel", {{deltaY: 200 * Math.LN2}}));
    }}
    found.distance = occflow.state().distance;
    found.ahead = pixel(...{ahead});
    key("Home");
    await sleep(200);
    key(" ");
    found.started = [occflow.state().playing, get("play").textContent];
    for (let k = 0; k < 60 && occflow.state().playing; k++) await sleep(100);
    found.ended = [occflow.state().playing, occflow.state().set];
    found.last_counts = get("counts").textContent;
    found.images = [...document.querySelectorAll("#cameras img")].map((image) => image.alt);
    found.unlabelled = [...document.querySelectorAll("input, select")]
      .filter((one) => !one.labels.length && !one.ariaLabel).map((one) => one.id);
    """
    folder = tmp_path_factory.mktemp("browser")
    return in_browser(folder, page, steps, "view=top&distance=20&flow=0")


def assert_colors(pixels, *expected):
    np.testing.assert_allclose(pixels, expected, atol=2)


@with_browser
def test_nothing_goes_wrong_in_the_browser(found):
    assert found["errors"] == []


@with_browser
def test_voxels_are_drawn_where_they_are_in_the_chosen_colors(found):
    colors = ramps(CLASS_NAMES)
    assert_colors(found["height"], colors["height"][96], colors["height"][159])  # 1.5/4, 2.5/4
    assert_colors(found["probability"], colors["probability"][255], colors["probability"][128])
    assert_colors(found["speed"], colors["speed"][68], UNKNOWN_CLASS)  # 4 of 15 m/s
    assert_colors(found["class"], CLASS_COLORS["car"], CLASS_COLORS["pedestrian"])
    x, y = seen_from_above(*FRONT_TOP, 20.0)
    width, height = found["size"]
    assert found["projected"] == pytest.approx([width / 2 + x * height, height / 2 + y * height])


@with_browser
def test_an_arrow_ends_where_the_voxel_will_be_in_1_s(found):
    assert_colors([found["before"]], BACKGROUND)
    assert_colors([found["arrow"]], ramps(CLASS_NAMES)["direction"][128])


@with_browser
def test_the_numbers_are_those_of_what_is_shown(found):
    state = found["state"]
    assert (state["set"], state["occupied"], state["shown"], state["moving"]) == (0, 2, 2, 1)
    assert state["fastest_mps"] == pytest.approx(4.0)
    assert "2 of 2 voxels shown" in found["counts"]


@with_browser
def test_voxels_below_the_threshold_are_hidden(found):
    assert_colors(found["hidden"], CLASS_COLORS["car"], BACKGROUND)
    assert found["left"] == 1


@with_browser
def test_in_the_fixed_frame_the_vehicle_moves_and_the_wheel_zooms(found):
    assert found["second"] == 1
    assert found["distance"] == pytest.approx(40.0)
    assert_colors([found["ahead"]], CLASS_COLORS["car"])


@with_browser
def test_it_plays_to_the_end_and_shows_what_each_set_has(found):
    assert (found["started"], found["ended"]) == ([True, "Pause"], [False, 2])
    assert "no pose of base_link recorded" in found["last_counts"]
    assert found["images"] == ["Image of cam_left", "No image of cam_front"]


@with_browser
def test_every_control_has_a_label(found):
    assert found["unlabelled"] == []


@with_browser
def test_without_webgl_the_page_says_so_and_shows_the_rest(tmp_path, page):
    steps = """
    found.message = get("message").textContent;
    found.visible = get("message").checkVisibility();
    found.counts = get("counts").textContent;
    """
    found = in_browser(tmp_path, page, steps, "", "--disable-3d-apis")
    assert found["errors"] == []
    assert found["visible"] and "no WebGL2" in found["message"]
    assert "2 of 2 voxels shown" in found["counts"]
