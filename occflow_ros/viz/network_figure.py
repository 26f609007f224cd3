"""The stages of the network as a figure: what goes from where to where, and in which shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from occflow_ros.config import ModelConfig
from occflow_ros.viz import svg
from occflow_ros.viz.svg import Point, Theme

SIZE_PX = (1080, 584)

LIGHT = Theme(
    inks={"ink": "#1f2937", "muted": "#6b7280", "paper": "#7c3aed", "memory": "#0f766e"},
    fills={
        "card": ("#ffffff", "#d0d7de"),
        "stage": ("#eef4fb", "#7aa5d6"),
        "panel": ("#f7f5fd", "#c4b5fd"),
        "step": ("#ffffff", "#a78bfa"),
        "buffer": ("#ecfdf5", "#5fb8a5"),
        "tensor": ("#fde9c8", "#c98a2b"),
        "tensor-side": ("#f8d69b", "#c98a2b"),
        "frame": ("#ede9fe", "#8b5cf6"),
    },
)
DARK = Theme(
    inks={"ink": "#e5e7eb", "muted": "#9ca3af", "paper": "#c4b5fd", "memory": "#5eead4"},
    fills={
        "card": ("#0d1117", "#30363d"),
        "stage": ("#152338", "#4b78ad"),
        "panel": ("#16132a", "#4c3d8f"),
        "step": ("#0d1117", "#7c66d6"),
        "buffer": ("#0c2420", "#2f8f7d"),
        "tensor": ("#6b4a17", "#d8a24a"),
        "tensor-side": ("#4a330f", "#d8a24a"),
        "frame": ("#2a2150", "#a78bfa"),
    },
)

_TOP, _BOTTOM = 66.0, 242.0  # of the first row
_LOWER_TOP, _LOWER_BOTTOM = 384.0, 552.0  # of the second row
_AXIS, _LOWER_AXIS = 154.0, 472.0
_SMALL_PX, _LINE_PX = 11.5, 19.0


def network_figure(model: ModelConfig, cameras: int, parameters: Mapping[str, int]) -> str:
    """An SVG with the stages from left to right and the history that comes back.

    Args:
        model: from which every shape and setting is taken.
        cameras: how many images one set has.
        parameters: by attribute of `OccFlowNet`.
    """
    elements = [
        *_heading(model),
        *_images(model, cameras),
        *_backbone(model, parameters["backbone"]),
        *_maps(model),
        *_pyramid(model, parameters["neck"]),
        *_lifter(model, parameters["lifter"]),
        *_volume(model),
        *_temporal(model, parameters["temporal"]),
        *_history(model),
        *_refiner(model, parameters["refiner"]),
        *_heads(model, parameters["heads"]),
        *_outputs(model),
    ]
    title = (
        f"From the images of {_counted(cameras, 'camera')} and past volumes to occupancy and flow"
    )
    return svg.document(SIZE_PX, title, LIGHT, DARK, elements)


def _heading(model: ModelConfig) -> list[str]:
    past = model.temporal.history
    images = {0: "I_{t}", 1: "I_{t−1}, I_{t}"}.get(past, f"I_{{t−{past}}}, …, I_{{t}}")
    return [
        svg.text((24, 40), "eq. 1", "paper", anchor="start"),
        svg.text(
            (66, 40), f"O_{{t}}, F_{{t}} = G({images})", size_px=16, anchor="start", bold=True
        ),
        svg.text(
            (1056, 40),
            "shapes: channels × x × y × z in the ego frame, or channels × height × width",
            "muted",
            anchor="end",
        ),
    ]


def _images(model: ModelConfig, cameras: int) -> list[str]:
    height_px, width_px = model.image_hw_px
    tall = 76 * height_px / width_px
    shown = min(3, cameras)
    first = (80 - 38 - 4.5 * (shown - 1), _AXIS - tall / 2 - 4.5 * (shown - 1))
    return [
        *(
            svg.box((first[0] + 9 * i, first[1] + 9 * i), (76, tall), "tensor", radius_px=3)
            for i in range(shown)
        ),
        svg.text((80, _AXIS - 48), "images I_{t}", size_px=13, bold=True),
        _shape((80, _AXIS + 54), (cameras, 3, height_px, width_px)),
        _to_the_right(138, 158),
    ]


def _backbone(model: ModelConfig, parameters: int) -> list[str]:
    return [
        *_stage((160, _TOP), (132, _BOTTOM - _TOP), "Backbone", parameters),
        svg.text((226, _AXIS), model.backbone.name, mono=True),
        svg.text((226, _AXIS + 22), "blocks " + " ".join(map(str, model.backbone.size.depths))),
        _to_the_right(292, 312),
    ]


def _maps(model: ModelConfig) -> list[str]:
    height_px, width_px = model.image_hw_px
    elements = []
    for level, channels in enumerate(model.backbone.size.widths):
        stride, y = 4 * 2**level, _AXIS - 51 + 34 * level
        wide = 34 * 0.72**level
        tall = max(4.0, wide * height_px / width_px)
        shape = (channels, -(-height_px // stride), -(-width_px // stride))
        elements += [
            svg.box((335 - wide / 2, y - tall / 2), (wide, tall), "tensor", radius_px=2),
            _shape((358, y + 4), shape, anchor="start"),
        ]
    return [*elements, _to_the_right(448, 468)]


def _pyramid(model: ModelConfig, parameters: int) -> list[str]:
    return [
        *_stage((470, _TOP), (124, _BOTTOM - _TOP), "Pyramid", parameters),
        svg.text((532, _AXIS), "four levels F"),
        svg.text((532, _AXIS + 22), f"{model.channels} channels"),
        _to_the_right(594, 614),
    ]


def _lifter(model: ModelConfig, parameters: int) -> list[str]:
    lifter = model.lifter
    nx, ny, nz = model.grid.voxels.coarsen(2).shape
    points = f"{lifter.image_points_hw}, {lifter.image_points_zh}, {lifter.image_points_wz}"
    lines = (
        f"{_counted(lifter.layers, 'layer')}, {_counted(lifter.heads, 'head')}, each:",
        f"across planes, {_counted(lifter.cross_plane_points, 'point')}",
        f"into images, {points} points",
        "feed-forward network",
    )
    planes = f"T^{{HW}} {nx}×{ny}   T^{{ZH}} {nz}×{nx}   T^{{WZ}} {ny}×{nz}"
    return [
        *_stage((616, _TOP), (292, _BOTTOM - _TOP), "TPV lifter", parameters, "eq. 2, 3"),
        *_planes((660, _AXIS + 5)),
        *(
            svg.text((706, _AXIS - 19 + _LINE_PX * i), line, anchor="start")
            for i, line in enumerate(lines)
        ),
        svg.text((762, _AXIS + 61), planes, "muted", _SMALL_PX),
        _to_the_right(908, 944),
        svg.text((925, _AXIS - 8), "Σ", size_px=15),
    ]


def _planes(center: Point) -> list[str]:
    """Three planes that meet in a corner."""
    at = svg.solid_corners(center, (36, 36, 34))
    return [
        svg.polygon([at[key] for key in ("000", "100", "101", "001")], "tensor-side"),
        svg.polygon([at[key] for key in ("000", "010", "011", "001")], "tensor-side"),
        svg.polygon([at[key] for key in ("000", "100", "110", "010")], "tensor"),
    ]


def _volume(model: ModelConfig) -> list[str]:
    shape = model.grid.voxels.coarsen(2).shape
    return [
        svg.text((1000, _AXIS - 52), "volume V_{t}", size_px=13, bold=True),
        *_solid((1000, _AXIS), shape, 104),
        _shape((1000, _AXIS + 58), (model.channels, *shape)),
    ]


def _history(model: ModelConfig) -> list[str]:
    """The current volume on its way to the second row, and past ones that come back."""
    x, current_y, past_y = 1000.0, 270.0, 326.0
    into_align = _LOWER_TOP + 40
    current = [
        svg.arrow([(x, _AXIS + 68), (x, current_y), (100, current_y), (100, into_align)]),
        svg.text((190, current_y - 8), "current volume V_{t}", "muted", anchor="start"),
    ]
    past = model.temporal.history
    if not past:
        return current
    names = ", ".join(f"V_{{t−{i + 1}}}" for i in range(min(past, 3)))
    names += f", …, V_{{t−{past}}}" if past > 3 else ""
    num_bytes = past * 4 * model.channels * model.grid.voxels.coarsen(2).num_voxels
    where = f"before fusion, each in its own ego frame; {num_bytes / 1e6:.1f} MB"
    return [
        *current,
        svg.arrow([(x, current_y), (x, past_y), (754, past_y)], "memory"),
        svg.text((868, past_y - 8), "kept for the next step", "memory"),
        svg.box((392, past_y - 27), (360, 54), "buffer"),
        svg.text((572, past_y - 6), f"History buffer: {names}", size_px=13, bold=True),
        svg.text((572, past_y + 14), where, "muted"),
        svg.arrow([(392, past_y), (72, past_y), (72, into_align)], "memory"),
        svg.text((190, past_y - 8), "past volumes and poses", "memory", anchor="start"),
    ]


def _temporal(model: ModelConfig, parameters: int) -> list[str]:
    """The panel and its steps, side by side."""
    title, steps = _FUSIONS[model.temporal.fusion]
    elements = [
        svg.box((24, _LOWER_TOP), (614, _LOWER_BOTTOM - _LOWER_TOP), "panel"),
        svg.text((331, _LOWER_TOP + 24), title, size_px=14, bold=True),
        svg.text((331, _LOWER_BOTTOM - 9), _parameters(parameters), "muted", 11),
    ]
    left = 36.0
    for index, (width, draw) in enumerate(steps):
        elements.append(svg.box((left, _LOWER_TOP + 40), (width, 104), "step"))
        elements += draw(model, (left + width / 2, _LOWER_TOP + 40))
        left += width
        if index < len(steps) - 1:
            elements.append(_to_the_right(left, left + 20, _LOWER_AXIS + 4))
        left += 22
    return [*elements, _to_the_right(638, 658, _LOWER_AXIS)]


def _align(model: ModelConfig, top: Point) -> list[str]:
    return _step(top, "Align", "eq. 4, line 3", "warp the past", "to this frame")


def _slice(model: ModelConfig, top: Point) -> list[str]:
    nx, ny, nz = model.grid.voxels.coarsen(2).shape
    return _step(top, "Slice", "lines 4, 5", f"{nz} slices of", f"{nx} × {ny}", "and their mean")


def _backward_forward(model: ModelConfig, top: Point) -> list[str]:
    names, places = _frames(model.temporal.history, top)
    arcs = [
        bent
        for (older_x, y), (newer_x, _) in pairwise(places)
        for bent in (
            svg.arc((newer_x - 5, y - 15), (older_x + 5, y - 15), 8, "paper"),
            svg.arc((older_x + 5, y + 15), (newer_x - 5, y + 15), -8, "paper"),
        )
    ]
    heading = _step(top, "Backward, forward", "eq. 5, lines 7–12")
    return [*heading, *arcs, *_discs(names, places)]


def _forward(model: ModelConfig, top: Point) -> list[str]:
    names, places = _frames(model.temporal.history, top)
    arcs = [
        svg.arc((older_x + 5, y + 15), (newer_x - 5, y + 15), -8, "paper")
        for (older_x, y), (newer_x, _) in pairwise(places)
    ]
    heading = _step(top, "Forward only", "eq. 5, lines 10–12")
    return [*heading, *arcs, *_discs(names, places)]


def _fuse(model: ModelConfig, top: Point) -> list[str]:
    return _step(top, "Fuse", "eq. 6, lines 13, 14", "Ṽ′ = Ṽ +", "σ(conv(Ṽ)) · B̃_{g}")


def _concatenate(model: ModelConfig, top: Point) -> list[str]:
    frames = model.temporal.history + 1
    return _step(
        top, "Concatenate", "", _counted(frames, "volume"), f"{frames * model.channels} channels"
    )


def _convolve(model: ModelConfig, top: Point) -> list[str]:
    return _step(
        top, "3D convolution", "", "residual block", "of 3 × 3 × 3", f"to {model.channels} channels"
    )


def _pool(model: ModelConfig, top: Point) -> list[str]:
    nx, ny, _ = model.grid.voxels.coarsen(2).shape
    return _step(top, "Pool", "line 4", "mean over z:", f"{nx} × {ny}")


def _add(model: ModelConfig, top: Point) -> list[str]:
    return _step(top, "Add", "", "to every slice", "of V_{t}")


_Steps = tuple[tuple[float, Callable[[ModelConfig, Point], list[str]]], ...]
_FUSIONS: dict[str, tuple[str, _Steps]] = {
    "backward_forward": (
        "Temporal fusion, Algorithm 1",
        ((104, _align), (106, _slice), (180, _backward_forward), (134, _fuse)),
    ),
    "concat_conv": (
        "Concatenation and 3D convolution, Table 4",
        ((130, _align), (200, _concatenate), (216, _convolve)),
    ),
    "bev_forward": (
        "BEV pooling and forward attention, Table 4",
        ((110, _align), (110, _pool), (190, _forward), (114, _add)),
    ),
}
"""Title and steps with their widths, by `temporal.fusion`."""


def _frames(history: int, top: Point) -> tuple[list[str], list[Point]]:
    """Names of the frames' slices, oldest first, and their places; a gap where there are many."""
    names = [f"B_{{−{age}}}" if age else "B_{0}" for age in range(history, -1, -1)]
    if history > 3:
        names = [names[0], "…", *names[-2:]]
    gap = 52.0 if len(names) < 4 else 42.0
    first = top[0] - gap * (len(names) - 1) / 2
    return names, [(first + gap * index, top[1] + 71) for index in range(len(names))]


def _discs(names: Sequence[str], places: Sequence[Point]) -> list[str]:
    elements = []
    for (x, y), name in zip(places, names):
        elements += [] if name == "…" else [svg.circle((x, y), 15, "frame")]
        elements.append(svg.text((x, y + 4), name))
    return elements


def _refiner(model: ModelConfig, parameters: int) -> list[str]:
    refiner = model.refiner
    blocks = "-".join(map(str, refiner.blocks))
    return [
        *_stage((660, _LOWER_TOP), (140, _LOWER_BOTTOM - _LOWER_TOP), "3D refiner", parameters),
        *(
            svg.text((730, _LOWER_TOP + 50 + _LINE_PX * index), line)
            for index, line in enumerate((f"residual {blocks}", "3D pyramid", "deconvolution × 2"))
        ),
        svg.text((730, _LOWER_TOP + 116), "V_{refine}", bold=True),
        _shape((730, _LOWER_TOP + 134), (refiner.output_channels, *model.grid.shape)),
        _to_the_right(800, 820, _LOWER_AXIS),
    ]


def _heads(model: ModelConfig, parameters: int) -> list[str]:
    lines = ("two MLPs", "Θ_{s}, Θ_{f}", f"hidden {model.heads.hidden}")
    return [
        *_stage((822, _LOWER_TOP), (116, _LOWER_BOTTOM - _LOWER_TOP), "Heads", parameters, "eq. 7"),
        *(
            svg.text((880, _LOWER_TOP + 78 + _LINE_PX * index), line)
            for index, line in enumerate(lines)
        ),
        _to_the_right(938, 958, _LOWER_AXIS - 42),
        _to_the_right(938, 958, _LOWER_AXIS + 42),
    ]


def _outputs(model: ModelConfig) -> list[str]:
    shape = model.grid.shape
    elements = []
    for y, name, counts in (
        (_LOWER_AXIS - 42, "SDF S (m)", shape),
        (_LOWER_AXIS + 42, "flow F (m)", (2, *shape)),
    ):
        elements += [
            svg.text((1008, y - 26), name, size_px=13, bold=True),
            *_solid((1008, y - 1), shape, 62),
            _shape((1008, y + 34), counts),
        ]
    return elements


def _stage(
    corner: Point, size: Point, title: str, parameters: int, equation: str = ""
) -> list[str]:
    """A box with its name and equation on top and its parameters at the bottom."""
    (x, y), (width, height) = corner, size
    middle = x + width / 2
    return [
        svg.box(corner, size, "stage"),
        svg.text((middle, y + 24), title, size_px=14, bold=True),
        svg.text((middle, y + 42), equation, "paper", _SMALL_PX) if equation else "",
        svg.text((middle, y + height - 9), _parameters(parameters), "muted", 11),
    ]


def _step(top: Point, title: str, source: str, *lines: str) -> list[str]:
    """Name of one step of the temporal fusion, where the paper has it, and words."""
    x, y = top
    return [
        svg.text((x, y + 19), title, size_px=12.5, bold=True),
        svg.text((x, y + 35), source, "paper", 11) if source else "",
        *(
            svg.text((x, y + 58 + 18 * index), line, size_px=_SMALL_PX)
            for index, line in enumerate(lines)
        ),
    ]


def _to_the_right(start_x: float, end_x: float, y: float = _AXIS) -> str:
    return svg.arrow([(start_x, y), (end_x, y)])


def _shape(at: Point, counts: Sequence[int], anchor: str = "middle") -> str:
    return svg.text(at, "×".join(map(str, counts)), "muted", _SMALL_PX, anchor, mono=True)


def _solid(center: Point, shape: tuple[int, int, int], width_px: float) -> list[str]:
    """A volume as flat as its shape, its x axis up to the left."""
    nx, ny, nz = (width_px / (0.866 * (shape[0] + shape[1])) * count for count in shape)
    return svg.solid(center, (ny, nx, nz), "tensor")


def _parameters(count: int) -> str:
    return f"{count / 1e6:.3g} M parameters" if count >= 1e5 else f"{count / 1e3:.3g} k parameters"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
