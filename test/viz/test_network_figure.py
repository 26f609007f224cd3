"""The figure of the stages: drawn from the configuration, whole, and the one that ships is new."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from tiny_network import tiny_config

from occflow_ros import config
from occflow_ros.engine import inspection
from occflow_ros.viz import network_figure, svg

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
SVG = "{http://www.w3.org/2000/svg}"
WIDEST_EM = 0.66  # an average letter of DejaVu Sans, the widest of the fonts that may be taken


PARTS = ("backbone", "neck", "lifter", "temporal", "refiner", "heads")


def draw(model, cameras=6, parameters=None):
    return network_figure.network_figure(
        model, cameras, parameters or dict.fromkeys(PARTS, 123_456_789)
    )


def draw_with_parameters(model, cameras=6):
    network = inspection.without_weights(model)
    parameters = {
        name: inspection.count_parameters(part) for name, part in network.named_children()
    }
    return draw(model, cameras, parameters)


def words(figure):
    return ["".join(text.itertext()) for text in ElementTree.fromstring(figure).iter(f"{SVG}text")]


def with_temporal(model, **changes):
    temporal = model.temporal.model_copy(update=changes)
    return model.model_copy(update={"temporal": temporal})


FIGURES = {
    **{name: preset.model for name, preset in config.PRESETS.items()},
    "no history": with_temporal(config.NANO, history=0),
    "long history": with_temporal(config.NANO, history=9),
    "concatenation": with_temporal(config.SMALL, fusion="concat_conv"),
    "forward only": with_temporal(config.NUSCENES, fusion="bev_forward", history=5),
}


def test_the_figure_that_ships_is_what_the_preset_draws():
    shipped = (IMAGES / "network-nuscenes.svg").read_text(encoding="utf-8")
    assert shipped == draw_with_parameters(config.NUSCENES), (
        "write it anew: occflow info --preset nuscenes --figure docs/images/network-nuscenes.svg"
    )


@pytest.mark.parametrize(
    ("name", "cameras", "shapes"),
    [
        ("nuscenes", 6, "6×3×512×1408 128×128×352 1024×16×44 192×100×100×8 96×200×200×16"),
        ("kitti", 1, "1×3×352×1216 128×88×304 1024×11×38 192×128×128×16 2×256×256×32"),
        ("small", 6, "6×3×256×704 96×64×176 768×8×22 96×100×100×8 48×200×200×16"),
        ("nano", 6, "6×3×128×352 32×32×88 256×4×11 48×50×50×4 100×100×8"),
    ],
)
def test_shapes_come_from_the_configuration(name, cameras, shapes):
    assert set(shapes.split()) <= set(words(draw(FIGURES[name], cameras)))


def test_every_equation_of_the_network_is_in_it():
    text = " ".join(words(draw(config.NUSCENES)))
    assert {int(number) for number in re.findall(r"eq\. (\d)", text)} >= {1, 2, 4, 5, 6, 7}
    assert "eq. 2, 3" in text


def test_parameters_are_written_in_thousands_or_millions():
    parameters = dict(zip(PARTS, (87_566_464, 1_700_000, 12_744_576, 407_041, 99_950, 18_915)))
    written = words(draw(config.NUSCENES, parameters=parameters))
    expected = ("87.6 M", "1.7 M", "12.7 M", "0.407 M", "100 k", "18.9 k")
    assert {f"{count} parameters" for count in expected} <= set(written)


def test_past_volumes_are_drawn_only_where_there_are_any():
    assert not any("History" in line for line in words(draw(FIGURES["no history"])))
    long = words(draw(FIGURES["long history"]))
    assert "History buffer: Vt−1, Vt−2, Vt−3, …, Vt−9" in long
    assert {"B−9", "…", "B−1", "B0"} <= set(long)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_leaves_the_card_and_every_colour_is_in_both_themes(name):
    root = ElementTree.fromstring(draw(FIGURES[name], cameras=12))
    width, height = network_figure.SIZE_PX
    for text in root.iter(f"{SVG}text"):
        size = float(text.get("font-size"))
        length = WIDEST_EM * size * len("".join(text.itertext()))
        left = (
            float(text.get("x"))
            - {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")] * length
        )
        assert left > 0 and left + length < width, "".join(text.itertext())
        assert size < float(text.get("y")) < height
    for theme in (network_figure.LIGHT, network_figure.DARK):
        known = {*theme.inks, *(f"{ink}-line" for ink in theme.inks), *theme.fills, "mono"}
        used = {word for element in root.iter() for word in element.get("class", "").split()}
        assert used <= known


def test_raised_and_lowered_letters_go_back_to_the_baseline():
    (first, second, third) = ElementTree.fromstring(svg.text((0, 0), "T^{HW} and B_{0}"))
    assert (first.text, second.text, third.text) == ("HW", " and B", "0")
    assert float(first.get("dy")) + float(second.get("dy")) == 0


def test_a_solid_keeps_to_its_place_and_size():
    corners = svg.solid_corners((100.0, 50.0), (40.0, 20.0, 10.0))
    x, y = ([corner[axis] for corner in corners.values()] for axis in (0, 1))
    assert (min(x) + max(x)) / 2 == pytest.approx(100.0)
    assert (min(y) + max(y)) / 2 == pytest.approx(50.0)
    assert max(x) - min(x) == pytest.approx(0.866 * 60)
    assert max(y) - min(y) == pytest.approx(0.5 * 60 + 10)


def test_a_tiny_network_can_be_drawn():
    assert "16×8×6×2" in words(draw(tiny_config().model, cameras=3))
