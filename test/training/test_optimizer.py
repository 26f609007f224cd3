"""Rates per module, decay, schedule and clipping, by hand-made numbers."""

import math

import pytest
import torch
from tiny_network import tiny_config
from torch import nn

from occflow_ros.models.build import build_network
from occflow_ros.training.optimizer import (
    build_optimizer,
    clip_gradients,
    scheduled_rate,
    set_rate,
)
from occflow_ros.training_config import FactorsConfig, OptimizerConfig

FACTORS = FactorsConfig(backbone=0.1, neck=0.25, lifter=0.5, temporal=0.4, refiner=2.0, heads=3.0)
CONFIG = OptimizerConfig(
    learning_rate=1.0, weight_decay=0.01, warm_up_steps=10, milestones=(0.6, 0.8), decay=0.4
)


def settings_of(optimizer):
    """Rate and decay of each parameter."""
    return {
        parameter: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_each_parameter_has_the_rate_of_its_module_and_only_matrices_decay():
    network = build_network(tiny_config().model)
    sharpness = nn.Parameter(torch.tensor(0.1))
    optimizer = build_optimizer(network, [sharpness], CONFIG, FACTORS)
    set_rate(optimizer, 0.5)
    got = settings_of(optimizer)
    for name, parameter in network.named_parameters():
        factor = getattr(FACTORS, name.partition(".")[0])
        assert got[parameter] == (0.5 * factor, 0.01 if parameter.ndim > 1 else 0.0), name
    assert got[sharpness] == (0.5, 0.0)
    assert len(got) == len(list(network.parameters())) + 1


def test_what_is_not_learned_is_left_out():
    network = build_network(tiny_config().model)
    network.heads.flow.requires_grad_(False)
    sharpness = nn.Parameter(torch.tensor(0.1), requires_grad=False)
    got = settings_of(build_optimizer(network, [sharpness], CONFIG, FACTORS))
    assert sharpness not in got
    assert not any(parameter in got for parameter in network.heads.flow.parameters())
    assert all(parameter in got for parameter in network.heads.sdf.parameters())


def test_a_vector_without_gradient_stays_where_decay_shrinks_a_matrix():
    network = build_network(tiny_config().model)
    optimizer = build_optimizer(network, [], CONFIG, FACTORS)
    set_rate(optimizer, 1.0)
    layer = network.heads.sdf[0]
    before = [layer.weight.detach().clone(), layer.bias.detach().clone()]
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before[0] * (1 - 3.0 * 0.01))
    assert torch.equal(layer.bias.detach(), before[1])


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (59, 1.0), (60, 0.4), (79, 0.4), (80, 0.16)],
)
def test_the_rate_warms_up_and_decays_at_the_milestones(step, rate):
    assert scheduled_rate(step, 100, CONFIG) == pytest.approx(rate)


def test_without_warm_up_the_first_step_has_the_full_rate():
    config = CONFIG.model_copy(update={"warm_up_steps": 0})
    assert scheduled_rate(0, 100, config) == 1.0


def of_gradients(*gradients):
    """An optimizer whose parameters have these gradients."""
    parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient.clone()
    return torch.optim.AdamW([{"params": [parameter]} for parameter in parameters])


def gradients(optimizer):
    return [value.grad for group in optimizer.param_groups for value in group["params"]]


def test_a_long_gradient_is_shortened_as_one_vector():
    optimizer = of_gradients(torch.tensor([3.0, 0.0]), torch.tensor([[4.0]]))
    assert clip_gradients(optimizer, 1.0).item() == pytest.approx(5.0)
    first, second = gradients(optimizer)
    torch.testing.assert_close(first, torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(second, torch.tensor([[0.8]]))


def test_a_short_gradient_stays_and_one_that_is_missing_does_not_count():
    optimizer = of_gradients(torch.tensor([3.0]), torch.tensor([4.0]))
    optimizer.param_groups[1]["params"][0].grad = None
    assert clip_gradients(optimizer, 3.5).item() == pytest.approx(3.0)
    assert gradients(optimizer) == [torch.tensor([3.0]), None]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_length_that_is_not_finite_is_told(value):
    assert not clip_gradients(of_gradients(torch.tensor([value, 1.0])), 1.0).isfinite()
