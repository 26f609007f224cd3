"""The whole semantic network: shapes, gradients, and what its answer may not depend on."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_mono import IMAGE_HW_PX, NAMES, depth, tiny_mono, tiny_mono_config, views

from occflow_ros.config import BackboneConfig
from occflow_ros.models.build import build_mono_network
from occflow_ros.mono_config import MONO_PRESETS, ConditioningConfig, CrossViewConfig

AHEAD, LEFT, BACK = 0.0, math.pi / 2, math.pi


@pytest.fixture(scope="module")
def network():
    return tiny_mono()


def teacher(**changes):
    return tiny_mono(frames=3, cross_view=CrossViewConfig(enabled=True, heads=2), **changes)


def answer(network, seen, depth_m):
    with torch.no_grad():
        return network(seen, depth_m)


def one_of(seen, camera):
    """The same views of a single camera."""
    kept = slice(camera, camera + 1)
    return replace(
        seen,
        images=seen.images[:, :, kept],
        K=seen.K[:, :, kept],
        current_T_camera=seen.current_T_camera[:, :, kept],
        present=seen.present[:, :, kept],
    )


@pytest.mark.parametrize("yaws", [(AHEAD,), (AHEAD, LEFT, BACK)])
def test_any_number_of_cameras_and_any_resolution_of_depth(network, yaws):
    for hw in ((8, 16), (5, 7)):
        found = answer(network, views(yaws), depth(len(yaws), hw))
        assert found.logits.shape == (1, len(NAMES), 16, 16, 4)
        assert found.volume.shape == (1, 8, 8, 8, 2)
        assert found.proposals.shape == (1, len(yaws), 8, 8, 2)
        assert found.seen.shape == (1, 8, 8, 2)
        assert found.features.shape == (1, len(yaws), 8, 8, 16)
        decoded = network.semantic_decoder(found.features.flatten(0, 1))
        assert decoded.shape == (len(yaws), len(NAMES), 8, 16)


def test_cells_ahead_are_seen_and_those_behind_are_not(network):
    seen = answer(network, views((AHEAD,)), depth()).seen[0]
    assert seen[6, 4].any()
    assert not seen[:4].any()


def test_an_absent_camera_changes_nothing(network):
    alone = answer(network, views((AHEAD,)), depth())
    both = views((AHEAD, LEFT), present=[True, False])
    both.images[:, :, :1] = views((AHEAD,)).images
    beside = answer(network, both, torch.cat((depth(), depth(seed=1)), dim=1))
    torch.testing.assert_close(beside.logits, alone.logits)
    assert torch.equal(beside.seen, alone.seen)


def test_where_one_camera_sees_the_answer_is_that_of_the_camera_alone(network):
    both, depths = views((AHEAD, BACK)), depth(2)
    merged = answer(network, both, depths)
    for camera in range(2):
        alone = answer(network, one_of(both, camera), depths[:, camera : camera + 1])
        mask = alone.seen.unsqueeze(1).expand_as(alone.volume)  # the two see disjoint cells
        torch.testing.assert_close(merged.volume[mask], alone.volume[mask])


def test_the_order_of_the_cameras_does_not_matter(network):
    seen, depths = views((AHEAD, LEFT, BACK)), depth(3)
    order = [2, 0, 1]
    shuffled = replace(
        seen,
        images=seen.images[:, :, order],
        K=seen.K[:, :, order],
        current_T_camera=seen.current_T_camera[:, :, order],
        present=seen.present[:, :, order],
    )
    torch.testing.assert_close(
        answer(network, shuffled, depths[:, order]).logits, answer(network, seen, depths).logits
    )


def test_a_turned_rig_gives_the_turned_volume():
    """A quarter turn of the camera turns the volume with it: positions and offsets are its own.

    No query is proposed, as the correcting network does not turn.
    """
    network = tiny_mono()
    network.threshold = 1.0
    ahead, left = views((AHEAD,)), views((LEFT,))
    found, turned = (answer(network, seen, depth()) for seen in (ahead, left))
    assert torch.equal(turned.seen, found.seen.rot90(1, (1, 2)))
    torch.testing.assert_close(turned.volume, found.volume.rot90(1, (2, 3)))


def test_a_batch_of_two_is_two_batches_of_one(network):
    rows = [views((AHEAD, LEFT), seed=seed) for seed in (0, 1)]
    depths = [depth(2, seed=seed) for seed in (0, 1)]
    both = replace(
        rows[0],
        images=torch.cat([row.images for row in rows]),
        K=torch.cat([row.K for row in rows]),
        current_T_camera=torch.cat([row.current_T_camera for row in rows]),
        present=torch.cat([row.present for row in rows]),
    )
    together = answer(network, both, torch.cat(depths))
    for number in range(2):
        alone = answer(network, rows[number], depths[number])
        torch.testing.assert_close(together.logits[number], alone.logits[0])


def test_older_frames_than_the_network_looks_at_are_left_out(network):
    seen = views((AHEAD,), times=3)
    torch.testing.assert_close(
        answer(network, seen, depth()).logits, answer(network, seen.newest(1), depth()).logits
    )


def test_the_teacher_hears_of_every_frame():
    network, seen = teacher(), views((AHEAD,), times=3)
    before = answer(network, seen, depth()).volume
    for time in range(3):
        images = seen.images.clone()
        images[:, time] = 255 - images[:, time]
        changed = answer(network, replace(seen, images=images), depth()).volume
        assert not torch.allclose(changed, before)


def test_the_teacher_takes_a_drive_that_has_just_begun():
    found = answer(teacher(), views((AHEAD,), times=1), depth())
    assert found.logits.isfinite().all()


def test_without_conditioning_the_image_has_no_say_where_nothing_is_proposed():
    """Equation 4 against 5: no query, no image feature in the volume."""
    seen, other = views((AHEAD,), seed=0), views((AHEAD,), seed=1)
    for enabled in (True, False):
        network = tiny_mono(conditioning=ConditioningConfig(enabled=enabled, heads=2, points=2))
        network.threshold = 1.0  # never reached
        first, second = (answer(network, one, depth()).volume for one in (seen, other))
        assert torch.allclose(first, second) != enabled


def test_every_parameter_receives_a_gradient():
    network = teacher().train()
    found = network(views((AHEAD, LEFT), times=3), depth(2))
    decoded = network.semantic_decoder(found.features.flatten(0, 1))
    torch.manual_seed(0)
    total = sum(
        (part * torch.randn_like(part)).sum() for part in (found.logits, found.proposals, decoded)
    )
    total.backward()
    without = [
        name
        for name, value in network.named_parameters()
        if value.grad is None or not value.grad.abs().sum() > 0
    ]
    # A key's bias moves all logits of a softmax alike.
    assert without in ([], ["cross_view.key.bias"])


def test_the_same_seed_gives_the_same_weights_and_leaves_the_caller_s_alone():
    state = torch.get_rng_state()
    first, second = tiny_mono(seed=3).state_dict(), tiny_mono(seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("depth_m", "message"),
    [
        (depth(2), r"depth_m: expected \(1, 1, h, w\), got \(1, 2, 8, 16\)"),
        (depth()[0], r"depth_m: expected \(1, 1, h, w\), got \(1, 8, 16\)"),
    ],
)
def test_depth_of_other_images_is_named(network, depth_m, message):
    with pytest.raises(ValueError, match=message):
        network(views(), depth_m)


def test_a_set_without_an_image_is_refused(network):
    with pytest.raises(ValueError, match="expected an image of one of the cameras"):
        network(views((AHEAD,), present=[False]), depth())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_hw_px": (30, 64)}, "multiples of 32"),
        ({"channels": 7}, "channels: expected a multiple of"),
        ({"cross_view": CrossViewConfig(enabled=True, heads=2)}, "frames: expected 2 or more"),
    ],
)
def test_a_configuration_that_cannot_be_built_says_why(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_mono_config(**changes)


def test_presets_of_one_network_differ_in_backbone_and_frames_only():
    student, master = (MONO_PRESETS[name].model for name in ("mono_nano", "mono_nano_teacher"))
    assert student.grid == master.grid
    assert student.channels == master.channels
    assert student.classes == master.classes
    assert master.frames > student.frames == 1


def test_other_backbones_fit():
    backbone = BackboneConfig(name="resnet50", depths=(1, 1, 1, 1), widths=(8, 16, 32, 64))
    network = build_mono_network(tiny_mono_config(backbone=backbone))
    assert answer(network, views(hw_px=IMAGE_HW_PX), depth()).logits.isfinite().all()
