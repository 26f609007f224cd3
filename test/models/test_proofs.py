"""The whole network: what its answer may not depend on, and how exact each precision is."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from tiny_network import as_trained, assert_same, batch, differs, frame, pose, tiny_config

from occflow_ros import config
from occflow_ros.models.build import build_network
from occflow_ros.models.camera_view import see
from occflow_ros.structures import VoxelGrid


@pytest.fixture(scope="module")
def network():
    return as_trained(build_network(tiny_config().model))


@pytest.fixture(scope="module")
def exact():
    """In float64, where what is left of a difference is no rounding."""
    return as_trained(build_network(tiny_config().model)).double()


def answer_exactly(network, *items):
    return answer(network, *items, precision=torch.float64)


def various(index, present=(True, True, True), hw_px=(32, 64)):
    """Frame `index` of a drive; each camera with its own focal length, tilt and roll."""
    item = frame(index, len(present), hw_px)
    K, base_T_camera = item.rig.K.clone(), item.rig.base_T_camera.clone()
    generator = torch.Generator().manual_seed(100 + index)
    for camera in range(len(present)):
        K[camera, :2, :2] *= 0.7 + 0.2 * camera + 0.05 * index
        turn = torch.linalg.matrix_exp(0.1 * _skew(torch.randn(3, generator=generator)))
        base_T_camera[camera, :3, :3] = base_T_camera[camera, :3, :3] @ turn
    rig = replace(item.rig, K=K, base_T_camera=base_T_camera, present=torch.tensor(present))
    return replace(item, rig=rig)


def _skew(axis):
    x, y, z = axis.tolist()
    return torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def cameras_of(item, order):
    rig = item.rig
    values = {name: getattr(rig, name)[order] for name in ("K", "base_T_camera", "present")}
    rig = replace(rig, names=tuple(rig.names[index] for index in order), **values)
    return replace(item, images=item.images[order], rig=rig)


def with_camera(item, camera, **values):
    """The same frame with other entries of one camera in its rig."""
    changed = {name: getattr(item.rig, name).clone() for name in values}
    for name, value in values.items():
        changed[name][camera] = value
    return replace(item, rig=replace(item.rig, **changed))


def past_T_current(*items):
    """Of consecutive frames, newest past first, (1, n, 4, 4)."""
    poses = [torch.linalg.inv(item.odom_T_base) @ items[-1].odom_T_base for item in items[-2::-1]]
    return torch.stack(poses)[None] if poses else torch.zeros(1, 0, 4, 4, dtype=torch.float64)


def answer(network, *items, precision=torch.float32):
    """Prediction for the last frame with the frames before it as history."""
    lifted = [[_to(value, precision) for value in batch(item)] for item in items]
    with torch.inference_mode():
        history = [network.lift(*arguments) for arguments in lifted[-2::-1]]
        return network(*lifted[-1], history, past_T_current(*items))


def _to(value, precision):
    return value.to(precision) if value.is_floating_point() else value


# What does not matter


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:])
def test_the_order_of_the_cameras_does_not_matter(network, order):
    items = [various(0, (True, False, True)), various(1)]
    shuffled = [cameras_of(item, list(order)) for item in items]
    assert_same(answer(network, *shuffled), answer(network, *items))
    mixed_up = replace(items[1], images=items[1].images[list(order)])
    assert differs(answer(network, items[0], mixed_up), answer(network, *items), by_m=0.1)


def camera_at(x_m, z_m, optical_axis):
    """base_T_camera of a camera that looks along +x, +z or −z, over the middle of the grid."""
    transform = torch.eye(4)
    if optical_axis == "x":
        transform[:3, :3] = torch.tensor([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    elif optical_axis == "-z":
        transform[:3, :3] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    transform[0, 3], transform[2, 3] = x_m, z_m
    return transform


@pytest.mark.parametrize(
    "blind",
    [
        camera_at(0.0, 3.2, "z"),
        camera_at(9.0, 1.0, "x"),
        camera_at(0.0, -1.5, "-z"),
        camera_at(0.0, 12.0, "x"),
    ],
    ids=["up from above", "ahead from beyond", "down from below", "over it"],
)
def test_a_camera_that_sees_nothing_of_the_grid_contributes_nothing(exact, blind):
    items = [various(0), various(1)]
    away = [with_camera(item, 1, base_T_camera=blind) for item in items]
    without = [cameras_of(item, [0, 2]) for item in items]
    expected = answer_exactly(exact, *without)
    assert_same(answer_exactly(exact, *away), expected, atol_m=1e-9)
    assert differs(answer_exactly(exact, *items), expected, by_m=0.1)


def test_an_absent_camera_contributes_nothing(exact):
    items = [various(index, (True, False, True)) for index in range(2)]
    without = [cameras_of(item, [0, 2]) for item in items]
    assert_same(answer_exactly(exact, *items), answer_exactly(exact, *without), atol_m=1e-9)


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30, 0.0])
def test_garbage_of_an_absent_camera_changes_no_bit(network, garbage):
    item = various(1, (True, False, True))
    images = item.images.clone()
    images[1] = 255 - images[1]
    spoiled = with_camera(replace(item, images=images), 1, K=garbage, base_T_camera=garbage)
    assert_same(answer(network, spoiled), answer(network, item), atol_m=0)


def test_a_batch_of_two_is_two_batches_of_one(network):
    """Each item has its own images, cameras, absences and ego motion."""
    drives = [
        [various(0), various(1, (True, False, True))],
        [various(5, (False, True, True)), various(7)],
    ]
    with torch.inference_mode():
        history = network.lift(*batch(*(past for past, _ in drives)))
        poses = torch.cat([past_T_current(*drive) for drive in drives])
        both = network(*batch(*(current for _, current in drives)), [history], poses)
    for index, drive in enumerate(drives):
        alone = answer(network, *drive)
        together = replace(both, sdf_m=both.sdf_m[index : index + 1], flow_m=both.flow_m[[index]])
        assert_same(together, alone)


@pytest.mark.parametrize("fusion", ["backward_forward", "bev_forward"])
def test_with_beta_zero_history_has_no_effect(fusion):
    network = as_trained(build_network(tiny_config(fusion=fusion).model))
    items = [frame(index) for index in range(3)]
    assert differs(answer(network, *items), answer(network, items[-1]), by_m=0.1)
    (beta,) = (value for name, value in network.named_parameters() if name.endswith("beta"))
    torch.nn.init.zeros_(beta)
    assert_same(answer(network, *items), answer(network, items[-1]), atol_m=0)


# Precision


@pytest.fixture(scope="module", params=["tiny", "nano"])
def model_and_items(request):
    """Configuration, two frames for it, and its answer in float32."""
    model = tiny_config().model if request.param == "tiny" else config.NANO
    cameras = (True,) * (3 if request.param == "tiny" else 6)
    items = [various(index, cameras, model.image_hw_px) for index in range(2)]
    return model, items, answer(as_trained(build_network(model)), *items)


def test_float32_is_within_a_tenth_of_a_millimetre_of_float64(model_and_items):
    model, items, single = model_and_items
    network = as_trained(build_network(model)).double()
    assert_same(single, answer(network, *items, precision=torch.float64), atol_m=1e-4)


def test_bfloat16_is_within_a_share_of_the_answer_s_spread(model_and_items):
    """Root mean square; a bfloat16 has 8 bits, 0.4 %, and errors add up over some 30 layers.

    The tiny network normalises over 8 channels, over which errors average less than over 32.
    """
    model, items, single = model_and_items
    share = 0.04 if model == config.NANO else 0.08
    network = as_trained(build_network(model))
    with torch.autocast("cpu", torch.bfloat16):
        reduced = answer(network, *items)
    for field in ("sdf_m", "flow_m"):
        expected = getattr(single, field)
        spread_m = (expected - expected.mean(dim=(1, 2), keepdim=True)).square().mean().sqrt()
        error_m = (getattr(reduced, field) - expected).square().mean().sqrt()
        assert 1e-3 * spread_m < error_m < share * spread_m


def test_points_are_projected_in_float32_under_autocast():
    """In bfloat16 a projection is off by 0.4 % of the image: 6 px of 1408."""
    rig = various(0).rig
    points_m = torch.rand(4, 100, 3, generator=torch.Generator().manual_seed(0)) * 16 - 8
    arguments = (points_m, rig.K[None], rig.base_T_camera[None], rig.present[None], (32, 64))
    expected = see(*arguments)
    with torch.autocast("cpu", torch.bfloat16):
        view = see(*arguments)
    assert torch.equal(view.visible, expected.visible)
    assert torch.equal(view.location, expected.location)


# Gradients


@pytest.mark.parametrize("fusion", ["backward_forward", "concat_conv", "bev_forward"])
@pytest.mark.parametrize("backbone", ["convnext_nano", "resnet50"])
def test_every_parameter_receives_a_gradient(fusion, backbone):
    model = tiny_config(fusion=fusion).model
    # oneDNN's backward pass of a strided 1×1 convolution over 8 channels crashes with two threads
    smaller = config.BackboneConfig(name=backbone, depths=(1, 1, 1, 1), widths=(16, 16, 16, 16))
    assert without_gradient(model.model_copy(update={"backbone": smaller}), cameras=3) == []


def test_every_parameter_of_nano_receives_a_gradient():
    assert without_gradient(config.NANO, cameras=6) == []


def without_gradient(model, cameras):
    """Names of the parameters that learn nothing from both fields of one frame with history."""
    network = build_network(model).train()
    generator = torch.Generator().manual_seed(9)
    volume = (1, model.channels, *model.grid.voxels.coarsen(2).shape)
    history = [torch.randn(volume, generator=generator) for _ in range(model.temporal.history)]
    past_poses = pose(1.3, 0.4, 0.1).expand(1, len(history), 4, 4)
    prediction = network(*batch(frame(0, cameras, model.image_hw_px)), history, past_poses)
    (prediction.sdf_m.square().sum() + prediction.flow_m.square().sum()).backward()
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]


@pytest.mark.parametrize("fusion", ["backward_forward", "concat_conv", "bev_forward"])
def test_gradient_reaches_the_history_that_is_in_sight_and_no_other(fusion):
    """Two voxels further on, the two rearmost layers of the past volume are out of sight."""
    network = as_trained(build_network(tiny_config(fusion=fusion).model))
    current = frame(0)
    past = torch.randn(1, 16, 8, 6, 2, generator=torch.Generator().manual_seed(0))
    past.requires_grad_()
    prediction = network(*batch(current), [past], pose(4.0)[None, None])
    prediction.sdf_m.square().sum().backward()
    per_layer = past.grad.abs().amax(dim=(0, 1, 3, 4))
    assert (per_layer[:2] == 0).all() and (per_layer[2:] > 0).all()


# Sizes

PAPER = {
    "lower_m": (-40.0, -40.0, -1.0),
    "upper_m": (40.0, 40.0, 5.4),
    "output": (200, 200, 16),
    "planes": (100, 100, 8),
    "image_hw_px": (512, 1408),
    "backbone": "convnext_base",
    "widths": (128, 256, 512, 1024),
    "channels": 192,
    "heads": 6,
    "layers": 4,
    "cross_plane_points": 12,
    "image_points": (48, 48, 8),
    "ffn": 384,
    "history": 2,
    "temporal_heads": 6,
    "temporal_points": 8,
    "refiner_blocks": (1, 2, 4),
    "level_m": 0.1,
    "interval_s": 0.5,
}
PRESETS = {
    "nuscenes": PAPER,
    "kitti": PAPER
    | {
        "lower_m": (0.0, -25.6, -2.0),
        "upper_m": (51.2, 25.6, 4.4),
        "output": (256, 256, 32),
        "planes": (128, 128, 16),
        "image_hw_px": (352, 1216),
        "interval_s": 0.1,
    },
    "small": PAPER
    | {
        "image_hw_px": (256, 704),
        "backbone": "convnext_tiny",
        "widths": (96, 192, 384, 768),
        "channels": 96,
        "layers": 3,
        "cross_plane_points": 8,
        "image_points": (8, 32, 32),
        "ffn": 192,
        "temporal_points": 4,
        "refiner_blocks": (1, 1, 1),
    },
    "nano": PAPER
    | {
        "output": (100, 100, 8),
        "planes": (50, 50, 4),
        "image_hw_px": (128, 352),
        "backbone": "convnext_nano",
        "widths": (32, 64, 128, 256),
        "channels": 48,
        "heads": 4,
        "layers": 2,
        "cross_plane_points": 4,
        "image_points": (8, 8, 8),
        "ffn": 96,
        "temporal_heads": 4,
        "temporal_points": 4,
        "refiner_blocks": (1, 1, 1),
        "level_m": 0.1,
    },
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_sizes_of_the_paper_or_its_own(name):
    model, expected = config.preset(name).model, PRESETS[name]
    assert model.grid.voxels == VoxelGrid(
        expected["lower_m"], expected["upper_m"], expected["output"]
    )
    assert model.image_hw_px == expected["image_hw_px"]
    assert (model.backbone.name, model.backbone.size.widths) == (
        expected["backbone"],
        expected["widths"],
    )
    assert (model.temporal.fusion, model.temporal.history) == (
        "backward_forward",
        expected["history"],
    )
    assert model.refiner.blocks == expected["refiner_blocks"]
    assert (model.level_m, model.interval_s) == (expected["level_m"], expected["interval_s"])


@pytest.mark.parametrize("name", PRESETS)
def test_the_sizes_of_a_preset_arrive_in_the_network(name):
    expected = PRESETS[name]
    with torch.device("meta"):
        network = build_network(config.preset(name).model)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    x, y, z = network.lifter.grid.shape
    assert (x, y, z) == expected["planes"]
    channels, heads = expected["channels"], expected["heads"]
    assert [shapes[f"lifter.queries.{plane}"] for plane in range(3)] == [
        (x * y, channels),
        (z * x, channels),
        (y * z, channels),
    ]
    last = f"lifter.layers.{expected['layers'] - 1}.planes"
    assert f"lifter.layers.{expected['layers']}.value.weight" not in shapes
    for plane, points in enumerate(expected["image_points"]):
        samples = heads * 4 * points
        assert shapes[f"{last}.{plane}.image.sampling.logits.weight"] == (samples, channels)
        samples = heads * 2 * expected["cross_plane_points"]
        assert shapes[f"{last}.{plane}.cross_plane.sampling.logits.weight"] == (samples, channels)
        assert shapes[f"{last}.{plane}.ffn.0.weight"] == (expected["ffn"], channels)
    samples = expected["temporal_heads"] * 2 * expected["temporal_points"]
    for direction in ("backward", "forward"):
        logits = shapes[f"temporal.attention.{direction}_attention.sampling.logits.weight"]
        assert logits == (samples, 2 * channels)


@pytest.mark.parametrize(("name", "road_m"), [("nuscenes", 0.0), ("kitti", -1.73)])
def test_a_preset_starts_from_its_road(name, road_m):
    """KITTI's base is the LiDAR, 1.73 m above the road."""
    model = config.preset(name).model
    coarse = model.grid.model_copy(update={"shape": (16, 12, 16)})
    heads = {"grid": coarse, "heads": model.heads}
    network = build_network(tiny_config().model.model_copy(update=heads))
    sdf_m = answer(network, frame(0)).sdf_m
    expected_m = (coarse.voxels.centers_m()[..., 2] - road_m)[None]
    torch.testing.assert_close(sdf_m, expected_m, atol=0.05, rtol=0)
