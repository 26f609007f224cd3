"""The refining network as a whole: what it takes, who hears of whom, and how large it is."""

import pytest
import torch
from tiny_refine import NAMES, SHAPE, random_window, tiny_refine, tiny_refine_config

from occflow_ros.models.build import build_refine_network
from occflow_ros.models.refine.encoder import ColumnClasses
from occflow_ros.refine_config import REFINE_PRESETS, PropagationConfig, RefineModelConfig

PAPER_PARAMETERS = {"all": 4.51e6, "no transformer": 0.83e6}  # Table 5


def parameters(module):
    return sum(value.numel() for value in module.parameters())


def kitti(**changes):
    model = REFINE_PRESETS["refine_kitti"].model.model_copy(update=changes)
    with torch.device("meta"):
        return build_refine_network(model)


@pytest.mark.parametrize(("times", "local"), [(1, 1), (2, 2), (6, 4), (5, 1)])
def test_any_number_of_local_and_reference_frames(times, local):
    classes, coordinates = random_window(times, batch=2)
    logits = tiny_refine()(classes, coordinates, local)
    assert logits.shape == (2, local, len(NAMES), *SHAPE)
    assert logits.isfinite().all()


@pytest.mark.parametrize("shape", [(12, 8, 2), (7, 9, 4), (5, 5, 1)])
def test_grids_of_any_size(shape):
    grid = tiny_refine_config().grid.model_copy(update={"shape": shape})
    classes = torch.zeros(1, 2, *shape, dtype=torch.long)
    logits = tiny_refine(grid=grid)(classes, torch.zeros(1, 2, 3, *shape), 2)
    assert logits.shape == (1, 2, len(NAMES), *shape)


def test_before_it_has_learned_it_says_what_it_was_told():
    classes, coordinates = random_window()
    logits = tiny_refine(learned=False)(classes, coordinates, 3)
    assert torch.equal(logits.argmax(dim=2), classes[:, :3])


@pytest.mark.parametrize("changed", [0, 2, 3])
def test_what_one_frame_says_reaches_the_others(changed):
    network = tiny_refine()
    classes, coordinates = random_window()
    other = classes.clone()
    other[:, changed] = (other[:, changed] + 1) % len(NAMES)
    differs = (network(classes, coordinates, 3) - network(other, coordinates, 3)).abs()
    assert (differs.amax((0, 2, 3, 4, 5)) > 1e-5).all()  # neither only later nor only local ones


def test_without_propagation_frames_stay_by_themselves():
    network = tiny_refine(propagation={"blocks": 0})
    assert network.propagation is None
    classes, coordinates = random_window()
    other = classes.clone()
    other[:, 1:] = (other[:, 1:] + 1) % len(NAMES)
    before, after = (network(one, coordinates, 3) for one in (classes, other))
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.equal(before[:, 1], after[:, 1])


@pytest.mark.parametrize("temporal", [False, True])
def test_references_are_a_set(temporal):
    network = tiny_refine(temporal_embedding=temporal)
    window, swapped = random_window(5), [0, 1, 2, 4, 3]
    before = network(*window, 3)
    torch.testing.assert_close(network(*(one[:, swapped] for one in window), 3), before)


@pytest.mark.parametrize(("temporal", "same"), [(False, True), (True, False)])
def test_places_in_the_window_count_with_temporal_embedding_alone(temporal, same):
    network = tiny_refine(temporal_embedding=temporal)
    window, order = random_window(3), [1, 0, 2]
    before = network(*window, 3)
    after = network(*(one[:, order] for one in window), 3)
    assert torch.allclose(after, before[:, order], atol=1e-5) == same


@pytest.mark.parametrize("positional", [True, False])
def test_coordinates_count_where_they_are_embedded(positional):
    network = tiny_refine(positional_embedding=positional)
    classes, coordinates = random_window()
    moved = coordinates.clone()
    moved[:, 3] += 0.5  # of the reference alone
    before, after = (network(classes, one, 3) for one in (coordinates, moved))
    assert torch.equal(before, after) != positional


def test_an_embedded_column_is_a_linear_map_of_one_hot_classes():
    torch.manual_seed(0)
    embed = ColumnClasses(3, heights=2, channels=5)
    classes = torch.randint(0, 3, (2, 4, 3, 2))
    one_hot = torch.nn.functional.one_hot(classes, 3).float().flatten(3)  # (N, X, Y, Z · C)
    expected = embed.norm(one_hot @ embed.linear.weight + embed.bias)
    torch.testing.assert_close(embed(classes), expected.permute(0, 3, 1, 2))


def test_gradients_reach_every_parameter():
    network = tiny_refine(temporal_embedding=True).train()
    classes, coordinates = random_window()
    network(classes, coordinates, 3).square().mean().backward()
    without = [name for name, one in network.named_parameters() if one.grad is None]
    assert not without
    assert all(one.grad.isfinite().all() for one in network.parameters())


def test_size_beside_the_papers():
    """4.70 M to 4.51 M, and 0.98 M to 0.83 M without the transformer."""
    whole = parameters(kitti())
    bare = parameters(kitti(propagation=PropagationConfig(blocks=0)))
    assert whole == pytest.approx(PAPER_PARAMETERS["all"], rel=0.05)
    assert whole - bare == pytest.approx(4.51e6 - 0.83e6, rel=0.02)
    assert bare == pytest.approx(PAPER_PARAMETERS["no transformer"] + 0.15e6, rel=0.02)


def test_size_of_the_positional_encoder_beside_the_papers():
    """Table 5: 0.39 M."""
    bare = parameters(kitti(positional_embedding=False))
    assert parameters(kitti()) - bare == pytest.approx(0.39e6, rel=0.12)


@pytest.mark.parametrize(
    ("classes", "coordinates", "local", "message"),
    [
        ((1, 2, 4, 4), (1, 2, 3, 4, 4, 2), 1, r"expected \(B, T, X, Y, Z\)"),
        ((1, 2, 4, 4, 2), (1, 1, 3, 4, 4, 2), 1, r"expected \(1, 2, 3, 4, 4, 2\)"),
        ((1, 2, 4, 4, 2), (1, 2, 3, 4, 4, 2), 3, "expected 1 to 2 frames, got 3"),
        ((1, 2, 4, 4, 2), (1, 2, 3, 4, 4, 2), 0, "expected 1 to 2 frames, got 0"),
    ],
)
def test_what_does_not_belong_together_is_refused(classes, coordinates, local, message):
    with pytest.raises(ValueError, match=message):
        tiny_refine()(torch.zeros(classes, dtype=torch.long), torch.zeros(coordinates), local)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"propagation": {"patch": 4}}, "expected an odd patch"),
        ({"propagation": {"patch": 3, "stride": 3}}, "a stride of at most half of it"),
        ({"propagation": {"channels": 255}}, "expected a multiple of heads"),
        ({"propagation": {"channels": 36}}, "multiple of the 32 heights"),
        ({"classes": {"movable": ("cars",)}}, r"movable: .* got \['cars'\]"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        RefineModelConfig.model_validate(change)
