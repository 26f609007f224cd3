"""What the losses of a sample teach and what they leave alone, on a plane with a known field."""

from dataclasses import replace

import pytest
import torch
from tiny_network import as_trained, tiny_config
from tiny_samples import (
    FLOW_LOSSES,
    LOSSES,
    MOVED_PX,
    only,
    plane_sample,
    tiny_run,
    tiny_train,
    without_known_flow,
)

from occflow_ros.models.build import build_network
from occflow_ros.models.heads import Prediction
from occflow_ros.training.objective import Objective
from occflow_ros.training.occflow_learner import JOINT, STATIC, OccFlowLearner
from occflow_ros.training_config import LossesConfig

GRID = tiny_config().model.grid.voxels
BOTH_OFF = {"forward_static_flow": False, "backward_static_flow": False}


def plane(height_m=0.0, flow_mps=0.0):
    """A field whose surface is a horizontal plane, as leaves."""
    sdf_m = GRID.centers_m()[None, ..., 2] - height_m
    flow_m = torch.full((1, *GRID.shape, 2), flow_mps)
    return Prediction(sdf_m.requires_grad_(), flow_m.requires_grad_())


def loss_of(field, sample=None, joint=True, sharpness_per_m=20.0, seed=0, **settings):
    objective = Objective(GRID, tiny_train(**settings), joint)
    generator = torch.Generator().manual_seed(seed)
    return objective(
        field, plane_sample() if sample is None else sample, sharpness_per_m, generator
    )


def gradients_of(field, *args, **kwargs):
    """Largest gradient of the SDF and of the flow."""
    loss_of(field, *args, **kwargs).value.backward()
    grads = (field.sdf_m.grad, field.flow_m.grad)
    return tuple(0.0 if grad is None else float(grad.abs().max()) for grad in grads)


def test_the_sum_is_that_of_the_enabled_terms():
    weights = {name: 0.1 * (1 + number) for number, name in enumerate(LOSSES)}
    losses = LossesConfig.model_validate({n: {"weight": w} for n, w in weights.items()})
    loss = loss_of(plane(0.3, 0.2), losses=losses)
    assert set(loss.parts) == set(LOSSES)
    expected = sum(weights[name] * part for name, part in loss.parts.items())
    torch.testing.assert_close(loss.value.detach(), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_switched_off_by_its_setting(name):
    losses = only(*(other for other in LOSSES if other != name))
    assert set(loss_of(plane(0.3, 0.2), losses=losses).parts) == set(LOSSES) - {name}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_alone_is_the_same_as_among_the_others(name):
    field = plane(0.3, 0.2)
    alone = loss_of(field, losses=only(name))
    assert set(alone.parts) == {name}
    torch.testing.assert_close(alone.value.detach(), loss_of(field).parts[name])


def test_the_static_stage_has_no_flow_losses():
    static, joint = (loss_of(plane(), joint=joint) for joint in (False, True))
    assert set(joint.parts) - set(static.parts) == set(FLOW_LOSSES)


@pytest.mark.parametrize("joint", [False, True])
def test_the_flow_head_learns_in_the_joint_stage_only(joint):
    config = tiny_run()
    learner = OccFlowLearner(as_trained(build_network(config.model)), config)
    learner.begin_stage(JOINT if joint else STATIC)
    learner(plane_sample(), 0, torch.Generator().manual_seed(0)).value.backward()
    learned = [parameter.grad is not None for parameter in learner.network.heads.flow.parameters()]
    assert learned == [joint] * len(learned)
    assert all(parameter.grad is not None for parameter in learner.network.heads.sdf.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_part_of_the_network_learns(precision):
    # oneDNN's gradient of a bfloat16 3D convolution is noise where the volume has but 2×2×1 voxels
    larger = tiny_config(shape=(32, 24, 8)).model
    config = tiny_run(precision=precision).model_copy(update={"model": larger})
    learner = OccFlowLearner(as_trained(build_network(config.model)), config)
    learner.begin_stage(JOINT)
    learner(plane_sample(), 0, torch.Generator().manual_seed(0)).value.backward()
    still = [name for name, value in learner.network.named_parameters() if value.grad is None]
    assert still == []
    assert all(value.grad.isfinite().all() for value in learner.network.parameters())


# The surface is 0.3 m too high, so that geometry has something to learn. Static optical flow is
# then off by far less than 8 px, that of moving pixels by 20 px more than that.


@pytest.mark.parametrize("name", ["optical_flow", "reprojection"])
def test_dynamic_rays_teach_flow_and_not_geometry(name):
    sdf, flow = gradients_of(plane(0.3), plane_sample(moving=True), losses=only(name))
    assert sdf == 0.0
    assert flow > 0.0


@pytest.mark.parametrize("name", ["optical_flow", "reprojection"])
def test_static_rays_teach_geometry_and_not_flow(name):
    sdf, flow = gradients_of(plane(0.3), plane_sample(), losses=only(name))
    assert sdf > 0.0
    assert flow == 0.0


def test_without_disentanglement_each_ray_teaches_both():
    for moving in (False, True):
        sdf, flow = gradients_of(
            plane(0.3),
            plane_sample(moving=moving),
            losses=only("optical_flow"),
            motion={"disentanglement": False},
        )
        assert sdf > 0.0
        assert flow > 0.0


def test_only_static_rays_are_regularized():
    field = plane(flow_mps=0.4)
    losses = only("dynamic_regularization")
    # The flow of every ray is (0.4, 0.4) m, of those into the sky too: they end at the grid.
    assert loss_of(field, losses=losses).value.item() == pytest.approx(0.8, abs=1e-5)
    assert loss_of(field, plane_sample(moving=True), losses=losses).value.item() == 0.0


def test_in_the_static_stage_moving_rays_teach_no_optical_flow():
    losses = only("optical_flow")
    assert loss_of(plane(), plane_sample(moving=True), joint=False, losses=losses).value == 0.0


@pytest.mark.parametrize("joint", [False, True])
def test_each_static_flow_has_its_switch(joint):
    def value(**motion):
        settings = {"joint": joint, "losses": only("optical_flow"), "motion": motion}
        return loss_of(plane(0.3), **settings).value.item()

    both = value()
    forward, backward = value(backward_static_flow=False), value(forward_static_flow=False)
    assert forward > 0.0
    assert backward > 0.0
    assert both == pytest.approx(forward + backward, rel=1e-5)
    assert value(**BOTH_OFF) == 0.0


def test_the_switches_leave_dynamic_rays_alone():
    sample = plane_sample(moving=True)
    on, off = (
        loss_of(plane(), sample, losses=only("optical_flow"), motion=motion).value
        for motion in ({}, BOTH_OFF)
    )
    torch.testing.assert_close(on, off)
    # Rays that move are all there are, so γ = 1 and the loss is their mean error.
    assert on.item() == pytest.approx(MOVED_PX, rel=0.02)


FINE = {"sharpness_per_m": 200.0, "rendering": {"samples": 400, "camera_grid_hw": (8, 16)}}


@pytest.mark.parametrize(
    ("name", "bound", "raised"),
    [("optical_flow", 0.05, 1.0), ("lidar", 1e-4, 0.03), ("reprojection", 0.01, 0.002)],
)
def test_a_perfect_field_has_almost_no_loss_and_a_moved_surface_has(name, bound, raised):
    perfect, above, below = (
        loss_of(plane(height_m), losses=only(name), **FINE).value.item()
        for height_m in (0.0, 0.8, -0.8)
    )
    assert perfect < bound
    assert above > perfect + raised
    assert below > perfect + raised


def test_a_distance_has_no_eikonal_or_hessian_loss_and_another_field_has():
    names = ("eikonal", "hessian")
    perfect = loss_of(plane(), losses=only(*names)).parts
    assert all(float(perfect[name]) < 1e-8 for name in names)
    twice = Prediction(2.0 * plane().sdf_m, plane().flow_m)
    assert loss_of(twice, losses=only("eikonal")).value.item() == pytest.approx(1.0)
    bent = Prediction(plane().sdf_m ** 2, plane().flow_m)
    assert loss_of(bent, losses=only("hessian")).value.item() > 0.1


@pytest.mark.parametrize("joint", [False, True])
def test_the_loss_does_not_depend_on_the_samples_at_once(joint):
    results = []
    for bound in (2**20, 24 * 7):
        field = plane(0.3, 0.2)
        loss = loss_of(field, joint=joint, rendering={"max_samples_at_once": bound})
        loss.value.backward()
        results.append((loss.value.detach(), field.sdf_m.grad, field.flow_m.grad))
    whole, parts = results
    for one, other in zip(whole, parts):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_missing_camera_counts_nowhere(name):
    """Whatever lies in the arrays of a camera that is absent, the loss is that of the others."""
    alone = plane_sample(cameras=2, present=[True, False])
    images = alone.images.clone()
    images[1] = torch.randint(0, 255, images[1].shape, dtype=torch.uint8)
    absent = torch.tensor([False, True])[:, None, None]
    filled = replace(
        alone,
        images=images,
        movable=alone.movable | absent,
        previous=replace(alone.previous, known=alone.previous.known | absent),
        following=replace(alone.following, known=alone.following.known | absent),
    )
    one, other = (loss_of(plane(0.3, 0.2), sample, losses=only(name)) for sample in (alone, filled))
    assert one.value == other.value
    sky_m = plane(0.3, 0.2)
    behind = torch.zeros_like(sky_m.sdf_m)
    behind[:, : GRID.shape[0] // 2 - 2] = torch.linspace(0, 3, GRID.shape[1])[:, None]
    if name not in ("lidar", "eikonal", "hessian", "soft_sparsity"):
        # The absent camera looks back; the present one sees nothing of what changes there.
        changed = Prediction(sky_m.sdf_m + behind, sky_m.flow_m + behind.unsqueeze(-1))
        assert loss_of(changed, alone, losses=only(name)).value == one.value


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("joint", [False, True])
def test_nothing_is_nan_where_no_ray_is_valid(joint, moving):
    sample = without_known_flow(plane_sample(moving=moving))
    sample = replace(sample, lidar=replace(sample.lidar, points_m=torch.zeros(0, 3)))
    field = plane(0.3, 0.2)
    loss = loss_of(field, sample, joint=joint)
    loss.value.backward()
    assert loss.not_finite() == ()
    assert float(loss.parts["optical_flow"]) == float(loss.parts["lidar"]) == 0.0
    assert field.sdf_m.grad.isfinite().all()
    assert field.flow_m.grad is None or field.flow_m.grad.isfinite().all()


@pytest.mark.parametrize("height_m", [100.0, -100.0])
def test_nothing_is_nan_in_a_world_that_is_empty_or_solid(height_m):
    field = plane(height_m, 0.2)
    loss = loss_of(field)
    loss.value.backward()
    assert loss.not_finite() == ()
    assert field.sdf_m.grad.isfinite().all()
    assert field.flow_m.grad.isfinite().all()


def test_a_sample_without_lidar_has_no_lidar_loss():
    assert "lidar" not in loss_of(plane(), plane_sample(lidar=False)).parts
