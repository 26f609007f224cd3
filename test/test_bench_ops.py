"""The `ops` suite: both attentions at the sizes of the configuration, kernel beside twin."""

from tiny_network import tiny_config

from occflow_ros.cli.bench import ops
from occflow_ros.measurement import Options


def test_attentions_have_the_sizes_of_the_network():
    model = tiny_config().model  # volume 8×6×2, 16 channels, 2 heads, images 32×64
    temporal = ops.temporal_attention(model)
    assert [tuple(value.shape) for value in temporal.values] == [(3, 8, 6, 2, 9)] * 2
    assert tuple(temporal.weights.shape) == (3, 48, 2, 2, 2)

    image = ops.image_attention(model, cameras=2)
    sizes = ((8, 16), (4, 8), (2, 4), (1, 2))
    assert [tuple(value.shape) for value in image.values] == [(2, *size, 2, 8) for size in sizes]
    batch, queries, *rest = image.weights.shape
    assert (batch, rest) == (2, [2, 4, 3])
    assert 0 < queries < 48  # a camera of 70° does not see all cells around it


def test_kernel_and_twin_stand_side_by_side():
    rows = list(ops.measure(Options(tiny_config(), device="cpu", repeat=1, cameras=2)))
    assert [row.quantity for row in rows] == ["numba p50", "torch p50"] * 4
    assert len({row.name for row in rows}) == 4
    assert all(row.value > 0 for row in rows)
