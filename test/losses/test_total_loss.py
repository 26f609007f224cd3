"""The weighted sum: what enters, what is logged, what is refused."""

import pytest
import torch

from occflow_ros.losses.total import LossTerm, total_loss

TERMS = {"reprojection": LossTerm(1.0, True), "eikonal": LossTerm(0.1, True)}


def scalar(value):
    return torch.tensor(value, requires_grad=True)


def test_sum_of_weight_times_value_and_its_parts():
    values = {"eikonal": scalar(3.0), "reprojection": scalar(0.5)}
    total = total_loss(values, TERMS)
    assert total.value.item() == pytest.approx(0.8)
    assert {name: part.item() for name, part in total.parts.items()} == {
        "reprojection": 0.5,
        "eikonal": 3.0,
    }
    assert not any(part.requires_grad for part in total.parts.values())
    total.value.backward()
    assert values["reprojection"].grad.item() == pytest.approx(1.0)
    assert values["eikonal"].grad.item() == pytest.approx(0.1)


def test_a_term_that_is_off_enters_nowhere_and_needs_no_value():
    terms = TERMS | {"lidar": LossTerm(0.2, False)}
    total = total_loss({"reprojection": scalar(0.5), "eikonal": scalar(0.0)}, terms)
    assert total.value.item() == pytest.approx(0.5)
    values = {name: scalar(1.0) for name in terms} | {"lidar": scalar(torch.nan)}
    total = total_loss(values, terms)
    assert total.value.item() == pytest.approx(1.1)
    assert "lidar" not in total.parts
    assert total.not_finite() == ()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_parts_that_are_not_finite_are_named(bad):
    total = total_loss({"reprojection": scalar(0.5), "eikonal": scalar(bad)}, TERMS)
    assert total.not_finite() == ("eikonal",)
    assert not total.value.isfinite()


@pytest.mark.parametrize(
    ("values", "terms", "message"),
    [
        (
            {"reprojection": scalar(1.0), "eikonal": scalar(1.0), "eikonla": scalar(1.0)},
            TERMS,
            r"expected only \['eikonal', 'reprojection'\], got unknown \['eikonla'\]",
        ),
        ({"reprojection": scalar(1.0)}, TERMS, r"\['eikonal'\] missing"),
        (
            {"reprojection": torch.ones(3), "eikonal": scalar(1.0)},
            TERMS,
            r"expected scalars, got shapes \{'reprojection': \(3,\)\}",
        ),
        ({}, {"eikonal": LossTerm(1.0, False)}, "expected at least one enabled"),
    ],
)
def test_what_does_not_fit_is_named(values, terms, message):
    with pytest.raises(ValueError, match=message):
        total_loss(values, terms)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_is_a_finite_number(weight):
    with pytest.raises(ValueError, match="weight: expected a finite number ≥ 0"):
        LossTerm(weight, True)
