"""Deformable attention at the sizes of a preset: the kernel beside its twin in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from occflow_ros.config import ModelConfig
from occflow_ros.engine.ring import ring_frame
from occflow_ros.measurement import Measurement, Options, time_ms
from occflow_ros.models.camera_view import see
from occflow_ros.models.tpv import PLANES, line_points, to_metres
from occflow_ros.ops.deform_attn import Backend, deform_attn

_SPREAD_CELLS = 3.0  # how far a head looks from its query
_STRIDES = (4, 8, 16, 32)  # of the feature pyramid


@dataclass(frozen=True, slots=True)
class Attention:
    """What `deform_attn` takes.

    Args:
        values: L maps (B, H_l, W_l, heads, C).
        locations: (B, Q, heads, L, P, 2).
        weights: (B, Q, heads, L, P).
    """

    values: list[Tensor]
    locations: Tensor
    weights: Tensor

    def on(self, device: str) -> Attention:
        """The same on a device."""
        values = [value.to(device) for value in self.values]
        return Attention(values, self.locations.to(device), self.weights.to(device))

    def forward(self, backend: Backend) -> None:
        """The answer alone, waited for."""
        with torch.inference_mode():
            deform_attn(self.values, self.locations, self.weights, backend)
        self._wait()

    def with_gradients(self, backend: Backend) -> None:
        """The answer and the gradients of all inputs, waited for."""
        *values, locations, weights = (
            tensor.detach().requires_grad_()
            for tensor in (*self.values, self.locations, self.weights)
        )
        answer = deform_attn(values, locations, weights, backend)
        torch.autograd.grad(answer, [*values, locations, weights], torch.ones_like(answer))
        self._wait()

    def _wait(self) -> None:
        if self.weights.is_cuda:
            torch.cuda.synchronize(self.weights.device)


def measure(options: Options) -> Iterator[Measurement]:
    """Median times of kernel and twin on a CPU, of the twin alone on a GPU."""
    model, device = options.config.model, options.device
    backends: tuple[Backend, ...] = ("numba", "torch") if device == "cpu" else ("torch",)
    for name, attention in (
        ("temporal", temporal_attention(model).on(device)),
        ("image", image_attention(model, options.cameras).on(device)),
    ):
        yield from _rows(name, attention, backends, options)


def temporal_attention(model: ModelConfig) -> Attention:
    """All slices of one frame look into two frames; one more channel tells what was seen."""
    temporal = model.temporal
    nx, ny, nz = model.grid.voxels.coarsen(2).shape
    rows, columns = torch.meshgrid(torch.arange(nx), torch.arange(ny), indexing="ij")
    cells = torch.stack(((columns + 0.5) / ny, (rows + 0.5) / nx), dim=-1)  # (X, Y, 2)
    places = cells.view(1, -1, 1, 2).expand(nz + 1, -1, temporal.points, -1)  # (B, Q, P, 2)
    seen = torch.ones(places.shape[:-1])  # (B, Q, P)
    channels = model.channels // temporal.heads + 1
    return _attention([(nx, ny)] * 2, places, seen, temporal.heads, channels)


def image_attention(model: ModelConfig, cameras: int) -> Attention:
    """The cells of T^HW look into the feature pyramids of the cameras of a ring."""
    lifter, grid, image_hw_px = model.lifter, model.grid.voxels.coarsen(2), model.image_hw_px
    points_m = to_metres(line_points(PLANES[0], grid.shape, lifter.image_points_hw), grid)
    rig = ring_frame(cameras, image_hw_px, 0).rig
    view = see(points_m, rig.K[None], rig.base_T_camera[None], rig.present[None], image_hw_px)
    sizes = [(image_hw_px[0] // stride, image_hw_px[1] // stride) for stride in _STRIDES]
    channels = model.channels // lifter.heads
    return _attention(sizes, view.location[0], view.visible[0], lifter.heads, channels)


def _attention(
    sizes: list[tuple[int, int]], places: Tensor, seen: Tensor, heads: int, channels: int
) -> Attention:
    """Values by chance, sampled around places (B, Q, P, 2) as far as these are seen (B, Q, P)."""
    generator = torch.Generator().manual_seed(0)
    batch, queries, points, _ = places.shape
    shape = batch, queries, heads, len(sizes), points
    cell = torch.tensor([(1 / columns, 1 / rows) for rows, columns in sizes]).unsqueeze(1)
    offsets = _SPREAD_CELLS * cell * torch.randn(*shape, 2, generator=generator)
    weights = torch.rand(shape, generator=generator) * seen[:, :, None, None]
    return Attention(
        values=[torch.randn(batch, *size, heads, channels, generator=generator) for size in sizes],
        locations=places[:, :, None, None] + offsets,
        weights=weights / (heads * points),
    )


def _rows(
    name: str, attention: Attention, backends: tuple[Backend, ...], options: Options
) -> Iterator[Measurement]:
    batch, queries, heads, levels, points = attention.weights.shape
    note = f"{batch}x{queries} queries, {heads * levels * points} samples each"
    calls = {"forward": attention.forward, "with gradients": attention.with_gradients}
    for what, call in calls.items():
        for backend in backends:
            p50_ms = float(np.median(time_ms(partial(call, backend), options.repeat)))
            last = note if backend == backends[-1] else ""
            yield Measurement(f"ops.{name} attention, {what}", p50_ms, "ms", last, f"{backend} p50")
