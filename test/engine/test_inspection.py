"""Parameters, FLOPs and bytes: counts by hand, and what is counted is what a real step does."""

import pytest
import torch
from tiny_network import tiny_config
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional

from occflow_ros import config
from occflow_ros.engine import inspection
from occflow_ros.models.build import build_network
from occflow_ros.ops.deform_attn import deform_attn
from occflow_ros.ops.voxel_warp import voxel_warp
from occflow_ros.structures import VoxelGrid


def count(call):
    with inspection.flop_counter() as counter, torch.inference_mode():
        call()
    return counter.get_total_flops()


def test_a_multiply_add_counts_as_two_in_products_and_convolutions():
    assert count(lambda: nn.Linear(4, 6)(torch.zeros(2, 7, 4))) == 2 * (2 * 7) * 4 * 6
    image, volume = torch.zeros(1, 3, 8, 10), torch.zeros(1, 4, 6, 6, 2)
    assert count(lambda: nn.Conv2d(3, 5, 3, padding=1)(image)) == 2 * (8 * 10) * 5 * (3 * 9)
    assert count(lambda: nn.Conv2d(3, 3, 7, padding=3, groups=3)(image)) == 2 * (8 * 10) * 3 * 49
    assert count(lambda: nn.Conv3d(4, 2, 3, 2, 1)(volume)) == 2 * (3 * 3 * 1) * 2 * (4 * 27)
    up = nn.ConvTranspose3d(4, 2, 2, stride=2)
    assert count(lambda: up(volume)) == 2 * (6 * 6 * 2) * 4 * (2 * 8)


def test_deformable_attention_counts_five_multiply_adds_per_sample_and_channel():
    batch, queries, heads, points, channels = 2, 7, 3, 4, 5
    maps = [torch.zeros(batch, *size, heads, channels) for size in ((8, 10), (4, 5))]
    weights = torch.zeros(batch, queries, heads, len(maps), points)
    locations = torch.zeros(*weights.shape, 2)
    samples = batch * queries * heads * len(maps) * points
    assert count(lambda: deform_attn(maps, locations, weights)) == 2 * 5 * samples * channels


def test_an_aligned_voxel_counts_eight_multiply_adds_per_channel():
    grid = VoxelGrid((0.0, 0.0, 0.0), (4.0, 3.0, 2.0), (4, 3, 2))
    pose = torch.eye(4, dtype=torch.float64).unsqueeze(0)
    five, two = (
        count(lambda: voxel_warp(torch.zeros(1, channels, *grid.shape), pose, grid))  # noqa: B023
        for channels in (5, 2)
    )
    assert five - two == 2 * 8 * grid.num_voxels * (5 - 2)


def test_element_wise_work_is_not_counted():
    assert count(lambda: functional.layer_norm(torch.zeros(4, 8), (8,)).softmax(-1).relu()) == 0


@pytest.mark.parametrize("history", [0, 1, 2])
def test_counting_without_weights_counts_a_real_step(history):
    model = tiny_config(history=history).model
    real = build_network(model).requires_grad_(False)
    expected = inspection.count_flops(real, model, cameras=3)
    assert inspection.count_flops(inspection.without_weights(model), model, cameras=3) == expected
    assert all(expected[name] for name in expected.keys() - {"preprocess"})


def test_no_flops_fall_between_the_parts():
    model = tiny_config().model
    network = inspection.without_weights(model)
    parts = []
    everything = count(lambda: parts.append(inspection.count_flops(network, model, cameras=2)))
    assert sum(parts[0].values()) == everything


def test_the_flops_of_the_heads_are_those_of_two_mlps():
    (heads,) = (
        part for part in inspection.part_sizes(tiny_config().model, 1) if part.name == "heads"
    )
    per_voxel = (8 * 8 + 8 * 1) + (8 * 8 + 8 * 2)
    assert heads.flops == 2 * (16 * 12 * 4) * per_voxel
    assert heads.parameters == per_voxel + (8 + 1) + (8 + 2)


def test_more_cameras_cost_the_backbone_in_proportion():
    model = tiny_config().model
    one, three = (
        {part.name: part.flops for part in inspection.part_sizes(model, cameras)}
        for cameras in (1, 3)
    )
    assert three["backbone"] == 3 * one["backbone"]
    assert three["refiner"] == one["refiner"]


def test_a_network_without_weights_has_the_same_parameters_and_takes_no_memory():
    model = tiny_config().model
    real, hollow = build_network(model), inspection.without_weights(model)
    assert {name: value.shape for name, value in hollow.named_parameters()} == {
        name: value.shape for name, value in real.named_parameters()
    }
    sizes = inspection.part_sizes(model, cameras=1)
    assert [part.name for part in sizes] == [name for name, _ in real.named_children()]
    assert sum(part.parameters for part in sizes) == inspection.count_parameters(real)
    assert all(isinstance(value, FakeTensor) for value in hollow.parameters())


def test_pretrained_weights_are_not_looked_for():
    model = tiny_config().model
    backbone = model.backbone.model_copy(update={"pretrained": "/nowhere/weights.safetensors"})
    inspection.without_weights(model.model_copy(update={"backbone": backbone}))


def test_the_temporal_module_and_its_rivals_by_hand():
    sampling = (2 * 192 + 1) * (6 * 2 * 8) * 3  # 6 heads, 2 frames, 8 points: x, y and a weight
    attention = sampling + 2 * (192 + 1) * 192
    assert attention == 184_992
    block = 27 * (576 * 192 + 192 * 192) + 576 * 192 + 3 * 2 * 192
    assert inspection.temporal_parameters(config.preset("kitti").model) == {
        "backward_forward": 2 * attention + (192 + 1) * 192 + 1,
        "concat_conv": block,
        "bev_forward": attention + 1,
    }


def test_a_volume_of_the_paper_takes_61_megabytes():
    assert inspection.volume_bytes(config.preset("nuscenes").model) == 192 * 100 * 100 * 8 * 4
