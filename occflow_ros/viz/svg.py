"""Vector drawing as SVG text: labels, boxes, arrows and solids, for light and for dark pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

Point = tuple[float, float]

SANS = "'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

_RAISED_OR_LOWERED = re.compile(r"([\^_])\{([^}]*)\}")
_SHIFT_EM = {"^": -0.4, "_": 0.28}
_ISOMETRIC = (0.866, 0.5)


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours by name, as CSS writes them.

    Args:
        inks: of text, lines and arrows; `ink` is the default.
        fills: of areas, each with the colour of its outline; `card` is the picture's own.
    """

    inks: Mapping[str, str]
    fills: Mapping[str, tuple[str, str]]

    def rules(self) -> list[str]:
        """One CSS rule per colour."""
        inks = (f".{name} {{ fill: {color}; }}" for name, color in self.inks.items())
        lines = (f".{name}-line {{ stroke: {color}; }}" for name, color in self.inks.items())
        fills = (
            f".{name} {{ fill: {fill}; stroke: {outline}; }}"
            for name, (fill, outline) in self.fills.items()
        )
        return [*inks, *lines, *fills]


def document(
    size_px: tuple[int, int], title: str, light: Theme, dark: Theme, elements: Sequence[str]
) -> str:
    """A picture on a card of its own, in the theme that the reader's page asks for.

    Args:
        size_px: width and height.
        title: what a reader hears who does not see the picture.
        light, dark: the same names in both.
        elements: what is drawn, back to front.
    """
    width, height = size_px
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" xml:space="preserve">',
        f"<title>{escape(title)}</title>",
        "<style>",
        f"text {{ font-family: {SANS}; }}",
        f".mono {{ font-family: {MONO}; }}",
        *light.rules(),
        "@media (prefers-color-scheme: dark) {",
        *dark.rules(),
        "}",
        "</style>",
        box((0.5, 0.5), (width - 1, height - 1), "card", radius_px=12),
        *elements,
        "</svg>",
    )
    return "\n".join(lines) + "\n"


def text(
    at: Point,
    words: str,
    ink: str = "ink",
    size_px: float = 12.0,
    anchor: str = "middle",
    bold: bool = False,
    mono: bool = False,
) -> str:
    """A line of text on its baseline; `x_{low}` and `x^{high}` are set smaller and shifted."""
    font = ' font-weight="600"' if bold else ""
    return (
        f'<text class="{ink}{" mono" if mono else ""}" x="{_number(at[0])}" y="{_number(at[1])}" '
        f'font-size="{_number(size_px)}" text-anchor="{anchor}"{font}>{_spans(words, size_px)}'
        "</text>"
    )


def box(corner: Point, size: Point, fill: str, radius_px: float = 7.0) -> str:
    """A rounded rectangle from its upper left corner."""
    (x, y), (width, height) = corner, size
    return (
        f'<rect class="{fill}" x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" '
        f'height="{_number(height)}" rx="{_number(radius_px)}"/>'
    )


def polygon(corners: Sequence[Point], fill: str) -> str:
    """An area with an outline."""
    return f'<polygon class="{fill}" stroke-linejoin="round" points="{_path(corners)}"/>'


def circle(center: Point, radius_px: float, fill: str) -> str:
    """A disc with an outline."""
    x, y = map(_number, center)
    return f'<circle class="{fill}" cx="{x}" cy="{y}" r="{_number(radius_px)}"/>'


def arrow(points: Sequence[Point], ink: str = "ink", head_px: float = 7.0) -> str:
    """A line along the points with a head at its end."""
    (x0, y0), (x1, y1) = points[-2:]
    length_px = max(1e-6, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
    ux, uy = ((x1 - x0) / length_px, (y1 - y0) / length_px)
    neck = (x1 - head_px * ux, y1 - head_px * uy)
    half_px = 0.45 * head_px
    tip = [
        (x1, y1),
        (neck[0] - half_px * uy, neck[1] + half_px * ux),
        (neck[0] + half_px * uy, neck[1] - half_px * ux),
    ]
    return (
        f'<polyline class="{ink}-line" fill="none" stroke-width="1.5" stroke-linejoin="round" '
        f'points="{_path([*points[:-1], neck])}"/><polygon class="{ink}" points="{_path(tip)}"/>'
    )


def arc(start: Point, end: Point, rise_px: float, ink: str = "ink") -> str:
    """A bent arrow that rises above its straight line, or sinks below where `rise_px` < 0."""
    peak = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 2 * rise_px)
    near_end = (end[0] + 0.2 * (peak[0] - end[0]), end[1] + 0.2 * (peak[1] - end[1]))
    head = arrow((near_end, end), ink, head_px=6.0)
    curve = f"M{_path([start])} Q{_path([peak])} {_path([near_end])}"
    return f'<path class="{ink}-line" fill="none" stroke-width="1.5" d="{curve}"/>{head}'


def solid(center: Point, size_px: tuple[float, float, float], fill: str) -> list[str]:
    """A box in isometric view; its sides are painted `fill-side`.

    Args:
        center: of the drawing.
        size_px: lengths along the axes that go right and down, left and down, and up.
        fill: of the top.
    """
    at = solid_corners(center, size_px)
    left = [at[key] for key in ("011", "111", "110", "010")]
    right = [at[key] for key in ("111", "101", "100", "110")]
    top = [at[key] for key in ("001", "101", "111", "011")]
    return [polygon(left, f"{fill}-side"), polygon(right, f"{fill}-side"), polygon(top, fill)]


def solid_corners(center: Point, size_px: tuple[float, float, float]) -> dict[str, Point]:
    """The corners of `solid`, each named by 0 or 1 along its three axes."""
    a, b, c = size_px
    width_px, height_px = _ISOMETRIC[0] * (a + b), _ISOMETRIC[1] * (a + b) + c
    left, top = center[0] - width_px / 2, center[1] - height_px / 2
    return {
        f"{i}{j}{k}": (
            left + _ISOMETRIC[0] * (b + a * i - b * j),
            top + c + _ISOMETRIC[1] * (a * i + b * j) - c * k,
        )
        for i in (0, 1)
        for j in (0, 1)
        for k in (0, 1)
    }


def _spans(words: str, size_px: float) -> str:
    """Plain text and shifted parts; what follows a shifted part goes back to the baseline."""
    plain, *rest = _RAISED_OR_LOWERED.split(words)
    spans = [escape(plain)]
    for kind, small, after in zip(rest[::3], rest[1::3], rest[2::3]):
        shift, size = _number(_SHIFT_EM[kind] * size_px), _number(0.72 * size_px)
        back = _number(-_SHIFT_EM[kind] * size_px)
        spans.append(f'<tspan dy="{shift}" font-size="{size}">{escape(small)}</tspan>')
        spans.append(f'<tspan dy="{back}">{escape(after)}</tspan>' if after else "")
    return "".join(spans)


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
