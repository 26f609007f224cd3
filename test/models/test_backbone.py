"""Both families: sizes, what learns, what stays frozen, what checkpointing keeps."""

import math

import pytest
import torch
from torch import nn

from occflow_ros import config
from occflow_ros.models.backbone import Backbone

DEPTHS, WIDTHS = (1, 2, 1, 1), (8, 8, 16, 16)
families = pytest.mark.parametrize("family", ["convnext", "resnet"])


def build(family, frozen_stages=0, checkpointing=False, depths=DEPTHS):
    torch.manual_seed(0)
    backbone = Backbone(family, depths, WIDTHS, frozen_stages, checkpointing)
    with torch.no_grad():
        for parameter in backbone.parameters():  # at 1e-6, layer scale would hide the blocks
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.rand_like(parameter) + 0.1)
    return backbone


def images(height=64, width=96):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, height, width, generator=generator)


def loss(maps):
    """A number that depends on every cell with another weight."""
    generator = torch.Generator().manual_seed(2)
    return sum((value * torch.randn(value.shape, generator=generator)).sum() for value in maps)


def stage_of(name):
    """Stage of a parameter that freezing concerns; None for output norms."""
    part, index, *_ = name.split(".")
    return None if part == "norms" else int(index)


@families
@pytest.mark.parametrize("hw_px", [(64, 96), (50, 70), (33, 31), (1, 1)])
def test_maps_have_strides_4_8_16_32_for_any_image(family, hw_px):
    with torch.inference_mode():
        maps = build(family).eval()(images(*hw_px))
    assert [tuple(value.shape) for value in maps] == [
        (2, width, *(math.ceil(side / 4 / 2**level) for side in hw_px))
        for level, width in enumerate(WIDTHS)
    ]


@families
def test_the_last_pixel_of_an_odd_image_is_seen_by_every_map(family):
    backbone = build(family).eval()
    changed = images(49, 65)
    changed[..., -1, -1] += 10
    with torch.inference_mode():
        for before, after in zip(backbone(images(49, 65)), backbone(changed)):
            assert (before - after)[..., -1, -1].abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "with_classifier", "classifier"),
    [
        ("convnext_tiny", 28_589_128, 768 * 1000 + 1000 + 2 * 768),
        ("convnext_small", 50_223_688, 768 * 1000 + 1000 + 2 * 768),
        ("convnext_base", 88_591_464, 1024 * 1000 + 1000 + 2 * 1024),
        ("convnext_xlarge", 350_196_968, 2048 * 1000 + 1000 + 2 * 2048),
        ("resnet50", 25_557_032, 2048 * 1000 + 1000),
    ],
)
def test_parameters_are_the_published_ones_without_the_classifier(
    name, with_classifier, classifier
):
    settings = config.BackboneConfig(name=name)
    with torch.device("meta"):
        backbone = Backbone(settings.family, *settings.size, 0, False)
    output_norms = sum(parameter.numel() for parameter in backbone.norms.parameters())
    total = sum(parameter.numel() for parameter in backbone.parameters())
    assert total - output_norms == with_classifier - classifier
    assert output_norms == (2 * sum(settings.size.widths) if name != "resnet50" else 0)


@families
@pytest.mark.parametrize("frozen_stages", [0, 1, 3, 4])
def test_all_but_frozen_stages_learn(family, frozen_stages):
    backbone = build(family, frozen_stages).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    learning = [value for value in backbone.parameters() if value.requires_grad]
    if learning:  # a ResNet that is frozen whole has none
        loss(backbone(images())).backward()
        torch.optim.SGD(learning, lr=0.1).step()
    after = backbone.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    learnable = {
        name
        for name, _ in backbone.named_parameters()
        if stage_of(name) is None or stage_of(name) >= frozen_stages
    }
    assert changed == learnable


def test_train_leaves_frozen_stages_and_batch_norm_in_evaluation_mode():
    backbone = build("resnet", frozen_stages=2)
    parent = nn.Sequential(backbone).eval().train()
    assert parent.training
    for name, module in backbone.named_modules():
        if name.count(".") > 0:
            frozen = stage_of(name) is not None and stage_of(name) < 2
            assert module.training != (frozen or isinstance(module, nn.BatchNorm2d)), name
    assert not any(module.training for module in parent.eval().modules())


@families
def test_checkpointing_changes_no_number(family):
    results = []
    for checkpointing in (False, True):
        backbone = build(family, checkpointing=checkpointing).train()
        output = loss(backbone(images()))
        output.backward()
        results.append((output.detach(), {n: p.grad for n, p in backbone.named_parameters()}))
    torch.testing.assert_close(results[1], results[0], atol=1e-6, rtol=1e-6)


def saved_numbers(backbone):
    """How many numbers a forward pass keeps for the backward pass, parameters aside."""
    parameters = {parameter.data_ptr() for parameter in backbone.parameters()}
    storages = {}

    def pack(tensor):
        if tensor.data_ptr() not in parameters:
            storages[tensor.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        backbone(images())
    return sum(tensor.numel() for tensor in storages.values())


@families
def test_checkpointing_keeps_far_less_and_only_in_training(family):
    plain, checkpointed = (build(family, 0, on, depths=(3, 3, 3, 3)) for on in (False, True))
    assert saved_numbers(checkpointed.train()) < 0.6 * saved_numbers(plain.train())
    assert saved_numbers(checkpointed.eval()) == saved_numbers(plain.eval())


@families
def test_checkpointing_computes_again_what_learns_and_nothing_else(family):
    backbone = build(family, frozen_stages=1, checkpointing=True).train()
    calls = [0, 0]
    for stage in (0, 1):

        def count(*_, stage=stage):
            calls[stage] += 1

        backbone.stages[stage][0].register_forward_pre_hook(count)
    loss(backbone(images())).backward()
    assert calls == [1, 2]
