"""What does not belong together is refused by name, before anything is computed."""

import pytest
import torch
from tiny_network import batch, frame, tiny_config

from occflow_ros.models.build import build_network

NAMES = ("images", "K", "base_T_camera", "present", "history", "past_T_current")


@pytest.fixture(scope="module")
def network():
    network = build_network(tiny_config().model)
    for stage in network.stages:
        stage.register_forward_pre_hook(lambda module, _: pytest.fail(f"{module} computed"))
    return network


def arguments(**changes):
    """Good arguments for a batch of two with one past volume, and what differs."""
    values = dict(zip(NAMES, batch(frame(0), frame(1))))
    values["history"] = [torch.zeros(2, 16, 8, 6, 2)]
    values["past_T_current"] = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1, 1)
    return {**values, **{name: change(values[name]) for name, change in changes.items()}}


def with_entry(index, value):
    def change(tensor):
        changed = tensor.clone()
        changed[index] = value
        return changed

    return change


def test_good_arguments_come_through():
    with torch.inference_mode():
        prediction = build_network(tiny_config().model)(**arguments())
    assert prediction.sdf_m.shape == (2, 16, 12, 4)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("images", lambda x: x[:, :, :1], r"images: expected \(B, N, 3, H, W\) uint8, got \(2, 3,"),
        ("images", lambda x: x.float(), r"uint8, got \(2, 3, 3, 32, 64\) float32"),
        ("images", lambda x: x[:, :2], r"K: expected shape \(2, 2, 3, 3\), got \(2, 3, 3, 3\)"),
        (
            "images",
            lambda x: x[..., :50],
            r"images: expected sides in multiples of 32 px, got 32×50",
        ),
        ("present", lambda x: x.float(), r"present: expected bool, got \(2, 3\) float32"),
        ("present", lambda x: x[:1], r"present: expected shape \(2, 3\), got \(1, 3\)"),
        ("K", with_entry((1, 0, 0, 0), -5.0), "K: expected finite intrinsics with positive"),
        ("K", with_entry((0, 2, 1, 2), float("nan")), "K: expected finite intrinsics"),
        (
            "base_T_camera",
            with_entry((1, 2, 0, 3), float("inf")),
            "base_T_camera: expected a finite 4x4",
        ),
        ("base_T_camera", lambda x: 2 * x, "base_T_camera: expected a rigid transform"),
        (
            "history",
            lambda x: [x[0][:, :8]],
            r"history\[0\]: expected \(2, 16, 8, 6, 2\) \(B, C, X, Y, Z\), got \(2, 8, 8, 6, 2\)",
        ),
        ("history", lambda x: [x[0], x[0][..., :1]], r"history\[1\]: expected .* of another grid"),
        ("history", lambda x: [], r"past_T_current: expected \(2, 0, 4, 4\) float64, got \(2, 1"),
        ("past_T_current", lambda x: x.float(), r"float64, got \(2, 1, 4, 4\) float32"),
        (
            "past_T_current",
            with_entry((0, 0, 1, 3), float("nan")),
            "past_T_current: expected a finite 4x4",
        ),
        (
            "past_T_current",
            with_entry((1, 0, 0, 1), 0.3),
            "past_T_current: expected a rigid transform",
        ),
    ],
)
def test_what_does_not_fit_is_named(network, name, change, message):
    with pytest.raises(ValueError, match=message):
        network(**arguments(**{name: change}))


def test_predict_names_a_volume_of_another_network(network):
    with pytest.raises(ValueError, match=r"volume: expected \(1, 16, 8, 6, 2\) .* got \(1, 8,"):
        network.predict(torch.zeros(1, 8, 8, 6, 2), [], torch.zeros(1, 0, 4, 4).double())


def test_matrices_of_an_absent_camera_do_not_matter():
    plain = arguments(present=with_entry((0, 1), False))
    nonsense = dict(plain, K=with_entry((0, 1), float("nan"))(plain["K"]))
    with torch.inference_mode():
        network = build_network(tiny_config().model)
        assert torch.equal(network(**nonsense).sdf_m, network(**plain).sdf_m)
