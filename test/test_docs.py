"""Pages name only what exists and cover the paper; the numbers of docs/network.md are counted."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from occflow_ros import config
from occflow_ros.engine import inspection
from occflow_ros.models.build import build_mono_network
from occflow_ros.models.temporal import SliceAttention
from occflow_ros.mono_config import MONO_PRESETS

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE, TRAINING, SEMANTICS, OFFBOARD = (
    (REPOSITORY / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("network", "training", "semantics", "offboard")
)
C = 192


def section(title, page=PAGE):
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text):
    """Cells of every table row below a head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = {index for index, row in enumerate(cells) if set("".join(row)) <= {"-"}}
    return [row for index, row in enumerate(cells) if not {index, index + 1} & heads]


@cache
def names_in(path):
    """Names at the top of a Python file, and `Class.method`."""
    names = set()
    for node in ast.parse((REPOSITORY / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{item.name}" for item in node.body if hasattr(item, "name")}
        names |= {node.name} if hasattr(node, "name") else set()
        for target in getattr(node, "targets", []):
            names |= {target.id} if isinstance(target, ast.Name) else set()
    return names


@pytest.mark.parametrize(
    ("path", "name"),
    sorted(set(re.findall(r"`([\w/]+\.py)::([\w.]+)`", PAGE + TRAINING + SEMANTICS + OFFBOARD))),
)
def test_what_the_page_names_exists(path, name):
    assert name in names_in(path), f"{path} has no {name}"


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *(
            f"docs/{name}.md"
            for name in ("network", "training", "semantics", "offboard", "weights", "ablations")
        ),
    ],
)
def test_links_within_the_repository_lead_somewhere(page):
    path = REPOSITORY / page
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_equation_has_code_and_a_test():
    table = [row for row in rows(section("From the paper to the code")) if len(row) == 4]
    sources = " ".join(row[0] for row in table)
    equations = (re.match(r"eq\. (\d)", row[0]) for row in table)
    assert {match[1] for match in equations if match} == set("1234567")
    lines = re.findall(r"lines? (\d+)(?:(?:–|, )(\d+))?", sources)
    named = {line for first, last in lines for line in range(int(first), int(last or first) + 1)}
    assert named == {3, 4, 5, *range(7, 15)}
    assert {"Table 4, row 1", "Table 4, row 2"} <= {row[0] for row in table}
    for paper, _, code, tests in table:
        assert "`occflow_ros/" in code and "::" in code, paper
        assert "`test/" in tests and "::test_" in tests, paper


def test_every_equation_of_training_has_code_and_a_test():
    table = rows(section("From the paper to the code", TRAINING))
    found = {
        int(n) for row in table if row[0].startswith("eq.") for n in re.findall(r"\d+", row[0])
    }
    assert found == set(range(8, 17))
    for paper, _, code, tests in table:
        assert "`occflow_ros/" in code and "::" in code, paper
        named = re.findall(r"`(test/[\w/]+\.py)", tests)
        assert named and all((REPOSITORY / path).is_file() for path in named), paper


@pytest.mark.parametrize(("page", "last"), [(SEMANTICS, 10), (OFFBOARD, 13)])
def test_every_equation_of_other_papers_has_code_and_a_test(page, last):
    table = rows(section("From the paper to the code", page))
    found = {
        int(n) for row in table if row[0].startswith("eq.") for n in re.findall(r"\d+", row[0])
    }
    assert found == set(range(1, last + 1))
    tested = [row for row in table if len(row) == 4]
    assert all("::" in code for _, _, code, _ in tested)
    for where, name in re.findall(r"`(test/[\w/]+\.py)::(\w+)`", page):
        assert name in names_in(where), f"{where} has no {name}"


@pytest.mark.parametrize("name", MONO_PRESETS)
def test_semantic_presets_are_as_the_page_says(name):
    model = MONO_PRESETS[name].model
    with torch.device("meta"):
        network = build_mono_network(model)
    whole, backbone = (
        f"{inspection.count_parameters(part) / 1e6:.1f}" for part in (network, network.backbone)
    )
    images, output = (" × ".join(map(str, size)) for size in (model.image_hw_px, model.grid.shape))
    expected = [f"`{model.backbone.name}`", backbone, str(model.channels), str(model.frames)]
    row = next(row for row in rows(section("Presets", SEMANTICS)) if row[0].startswith(f"`{name}`"))
    assert row[1:] == [images, *expected, output, whole]


@pytest.mark.parametrize("name", config.PRESETS)
def test_presets_are_as_the_page_says(name):
    model = config.PRESETS[name].model
    parameters = inspection.count_parameters(inspection.without_weights(model)) / 1e6
    sizes = (model.image_hw_px, model.grid.voxels.coarsen(2).shape, model.grid.shape)
    images, tpv, output = (" × ".join(map(str, size)) for size in sizes)
    backbone, channels = f"`{model.backbone.name}`", str(model.channels)
    expected = [f"`{name}`", images, backbone, channels, tpv, output, f"{parameters:.1f}"]
    assert expected in rows(section("Presets"))


def conv(incoming, outgoing, size):
    return nn.Sequential(
        nn.Conv3d(incoming, outgoing, size, bias=False), nn.GroupNorm(16, outgoing)
    )


def decoder():
    return nn.ModuleList(
        [
            *(conv(width, C, 1) for width in (C, 2 * C, 4 * C)),
            *(conv(C, C, 3) for _ in range(3)),
            *(conv(C, C // 2, 3) for _ in range(3)),
            nn.ConvTranspose3d(C, C // 2, 2, stride=2, bias=False),
            nn.GroupNorm(16, C // 2),
        ]
    )


def counts_of_table_4():
    """Parameters by the words of the page, from modules."""
    count = inspection.count_parameters
    attention = count(SliceAttention(C, heads=6, points=8, shape_xy=(2, 2)))
    gate_1, gate_3 = (count(nn.Conv3d(C, C, size)) for size in (1, 3))
    block = count(nn.ModuleList([conv(3 * C, C, 3), conv(C, C, 3), conv(3 * C, C, 3)]))
    rest = count(decoder())
    return {
        "deformable attention between two frames": attention,
        "one attention per process, shared by all frames": 2 * attention,
        "one attention per process and pair of adjacent frames, two past frames": 4 * attention,
        "gate of eq. 6, 1 × 1 × 1": gate_1,
        "gate of eq. 6, 3 × 3 × 3": gate_3,
        "least that Algorithm 1 can mean (as built here, but for β)": 2 * attention + gate_1,
        "most that Algorithm 1 can mean": 4 * attention + gate_3,
        "decoder": rest,
        "four attentions, 3 × 3 × 3 gate, decoder": 4 * attention + gate_3 + rest,
        "two forward attentions, decoder": 2 * attention + rest,
        "residual block 3C to C with a 3 × 3 × 3 shortcut, decoder": block + rest,
    }


def test_the_arithmetic_of_table_4():
    counted = counts_of_table_4()
    table = rows(section("Parameters of Table 4"))
    assert [row[:2] for row in table] == [
        [words, f"{count / 1e6:.3f}"] for words, count in counted.items()
    ]
    paper = {f"{count / 1e6:.2f}": count for count in inspection.PAPER_TEMPORAL_PARAMETERS.values()}
    compared = [row for row in table if len(row) == 4 and row[2]]
    assert {row[2] for row in compared} == set(paper)
    for words, _, published, difference in compared:
        relative = counted[words] / paper[published] - 1
        assert difference == f"{100 * relative:+.1f} %"
        assert abs(relative) < 0.05


def test_the_sentences_on_table_4_are_counted_too():
    counted, text = counts_of_table_4(), section("Parameters of Table 4")
    paper = inspection.PAPER_TEMPORAL_PARAMETERS
    refiner = inspection.without_weights(config.NUSCENES).refiner
    stages = inspection.count_parameters(refiner.stages)
    assert f"its residual stages alone have {stages / 1e6:.1f} M" in text
    more = (paper["backward_forward"] - paper["bev_forward"]) / 1e6
    gained = counted["four attentions, 3 × 3 × 3 gate, decoder"]
    gained -= counted["two forward attentions, decoder"]
    assert f"has {more:.2f} M more than its forward rival" in text
    assert f"3 × 3 × 3 gate have {gained / 1e6:.3f} M" in " ".join(text.split())
