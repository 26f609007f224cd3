"""Backbones of `transformers` by their configuration: maps, strides, weights, what learns."""

import json
import math

import pytest
import torch
from tiny_network import batch, frame, tiny_config
from transformers import (
    AutoBackbone,
    ConvNextV2Config,
    Dinov2Config,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
)

from occflow_ros.config import BackboneConfig
from occflow_ros.engine import checkpoint
from occflow_ros.engine.inspection import part_sizes
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.models.build import build_network
from occflow_ros.models.transformers_backbone import TransformersBackbone

SWIN = SwinConfig(
    image_size=64, embed_dim=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4], window_size=2
)
WIDTHS = {"swin": (8, 16, 32, 64), "convnextv2": (8, 8, 16, 16), "resnet": (8, 8, 16, 16)}
CONFIGS = {
    "swin": SWIN,
    "convnextv2": ConvNextV2Config(depths=[1, 2, 1, 1], hidden_sizes=list(WIDTHS["convnextv2"])),
    "resnet": ResNetConfig(
        depths=[1, 1, 2, 1], hidden_sizes=list(WIDTHS["resnet"]), embedding_size=4
    ),
}
families = pytest.mark.parametrize("family", list(CONFIGS))


@pytest.fixture
def architectures(tmp_path):
    """A folder for each family with nothing but its configuration."""
    for name, settings in CONFIGS.items():
        settings.save_pretrained(tmp_path / name)
    return tmp_path


def build(folder, frozen=False, checkpointing=False):
    torch.manual_seed(0)
    return TransformersBackbone(str(folder), frozen, checkpointing)


def images(height=64, width=96):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def loss(maps):
    """A number that depends on every cell with another weight."""
    generator = torch.Generator().manual_seed(2)
    return sum((value * torch.randn(value.shape, generator=generator)).sum() for value in maps)


@families
@pytest.mark.parametrize("hw_px", [(64, 96), (50, 70), (33, 31)])
def test_the_last_four_stages_give_maps_of_strides_4_8_16_32(architectures, family, hw_px):
    backbone = build(architectures / family).eval()
    with torch.inference_mode():
        maps = backbone(images(*hw_px))
    assert backbone.widths == WIDTHS[family]
    assert [tuple(value.shape) for value in maps] == [
        (2, width, *(math.ceil(side / 4 / 2**level) for side in hw_px))
        for level, width in enumerate(WIDTHS[family])
    ]


@families
def test_a_config_json_is_as_good_as_its_folder(architectures, family):
    backbone = build(architectures / family / "config.json")
    assert backbone.widths == WIDTHS[family]


def test_four_stages_that_the_configuration_names_are_kept(tmp_path):
    """A fifth stage at stride 64 is built and not used."""
    settings = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1] * 5,
        num_heads=[1] * 5,
        window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    settings.save_pretrained(tmp_path)
    assert build(tmp_path).widths == (8, 16, 32, 64)


@pytest.mark.parametrize(
    ("settings", "strides"),
    [
        (Dinov2Config(hidden_size=8, num_hidden_layers=4, num_attention_heads=1, patch_size=16,
                      image_size=64), "16, 16, 16, 16"),
        (ResNetConfig(depths=[1] * 4, hidden_sizes=[4] * 4, embedding_size=4,
                      downsample_in_first_stage=True), "8, 16, 32, 64"),
        (SwinConfig(image_size=64, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=2),
         "4, 4, 8"),
    ],
)  # fmt: skip
def test_other_strides_are_refused(tmp_path, settings, strides):
    settings.save_pretrained(tmp_path)
    message = f"expected maps of strides 4, 8, 16, 32, got {strides} of '{tmp_path}'"
    with pytest.raises(ConfigError, match=message):
        build(tmp_path)


def test_what_is_no_backbone_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"backbone.architecture: expected a folder, .* got '"):
        build(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ConfigError, match=r"backbone.architecture: expected a folder"):
        build(tmp_path)


@families
def test_weights_of_a_folder_give_the_maps_of_the_network(architectures, tmp_path, family):
    settings = CONFIGS[family].from_pretrained(architectures / family)
    settings.out_features = settings.stage_names[-4:]
    torch.manual_seed(5)
    network = AutoBackbone.from_config(settings).eval()
    network.save_pretrained(tmp_path / "weights")
    backbone = build(architectures / family).eval()
    with torch.inference_mode():
        expected = network(images()).feature_maps
        assert not torch.allclose(backbone(images())[3], expected[3])
        backbone.load(str(tmp_path / "weights"))
        torch.testing.assert_close(backbone(images()), tuple(expected))


def test_weights_of_a_classifier_fit_and_its_missing_output_norms_stay(architectures, tmp_path):
    torch.manual_seed(5)
    classifier = SwinForImageClassification(SWIN)
    classifier.save_pretrained(tmp_path / "classifier")
    backbone = build(architectures / "swin")
    backbone.load(str(tmp_path / "classifier"))
    theirs = classifier.swin.state_dict()
    for name, value in backbone.network.state_dict().items():
        if "hidden_states_norms" in name:
            assert (value == (1 if name.endswith("weight") else 0)).all()
        else:
            assert torch.equal(value, theirs[name.removeprefix("swin.")]), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": [1, 1, 1, 1]}, r"are missing or too many, .*layers\.2\.blocks\.1\."),
        ({"depths": [1, 1, 3, 1]}, r"are missing or too many, .*layers\.2\.blocks\.2\."),
        ({"embed_dim": 16}, ""),
        ({"model_type": "resnet"}, ""),
    ],
)
def test_weights_that_do_not_fit_are_refused_whole(architectures, tmp_path, changes, message):
    if changes.get("model_type") == "resnet":
        other = ResNetForImageClassification(CONFIGS["resnet"])
    else:
        other = SwinForImageClassification(SwinConfig(**{**SWIN.to_dict(), **changes}))
    other.save_pretrained(tmp_path / "other")
    backbone = build(architectures / "swin")
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(DataError, match=f"{tmp_path}/other: expected weights of .*{message}"):
        backbone.load(str(tmp_path / "other"))
    after = backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_folder_without_weights_is_named(architectures):
    with pytest.raises(DataError, match=f"{architectures}/swin: expected weights of"):
        build(architectures / "swin").load(str(architectures / "swin"))


@families
@pytest.mark.parametrize("frozen", [True, False])
def test_all_but_a_frozen_network_learns(architectures, family, frozen):
    backbone = build(architectures / family, frozen=frozen).train()
    learning = [name for name, value in backbone.named_parameters() if value.requires_grad]
    assert all("hidden_states_norms" in name for name in learning) == frozen
    assert not any(
        module.training
        for module in backbone.network.modules()
        if frozen or isinstance(module, torch.nn.BatchNorm2d)
    )


def test_checkpointing_changes_no_number_and_keeps_less(architectures):
    results, kept = [], []
    for checkpointing in (False, True):
        backbone = build(architectures / "swin", checkpointing=checkpointing).train()
        for module in backbone.modules():  # random depth would differ between the passes
            if hasattr(module, "drop_prob"):
                module.drop_prob = 0.0
        sizes = {}

        def pack(tensor, sizes=sizes):
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = loss(backbone(images()))
        output.backward()
        results.append({name: value.grad for name, value in backbone.named_parameters()})
        kept.append(sum(sizes.values()))
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-4)
    assert kept[1] < kept[0]


def test_checkpointing_is_refused_where_the_architecture_cannot(architectures):
    with pytest.raises(ConfigError, match=r"backbone.checkpointing: expected false, .* got true"):
        build(architectures / "resnet", checkpointing=True)


def with_backbone(**settings):
    whole = tiny_config()
    backbone = BackboneConfig(name="transformers", **settings)
    return whole.model_copy(update={"model": whole.model.model_copy(update={"backbone": backbone})})


@families
def test_a_network_is_built_on_it_saved_and_loaded(architectures, tmp_path, family):
    settings = with_backbone(architecture=str(architectures / family))
    network = build_network(settings.model, seed=3)
    with torch.inference_mode():
        volume = network.lift(*batch(frame(0)))
    assert torch.isfinite(volume).all()
    checkpoint.save(tmp_path / "a.safetensors", network, settings)
    loaded = build_network(settings.model, weights=tmp_path / "a.safetensors", seed=4)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.lift(*batch(frame(0))), volume)


def test_pretrained_names_the_weights_and_the_network_says_so(architectures, tmp_path):
    SwinForImageClassification(SWIN).save_pretrained(tmp_path / "classifier")
    settings = with_backbone(
        architecture=str(architectures / "swin"), pretrained=str(tmp_path / "classifier")
    )
    network = build_network(settings.model)
    assert network.weights_source == f"untrained (seed 0), backbone from {tmp_path}/classifier"


def test_its_parameters_are_counted(architectures):
    model = with_backbone(architecture=str(architectures / "swin")).model
    expected = sum(value.numel() for value in build(architectures / "swin").parameters())
    part = next(part for part in part_sizes(model, 1) if part.name == "backbone")
    assert part.parameters == expected
    assert part.flops > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "transformers"}, "architecture: expected it with the name transformers"),
        ({"architecture": "a"}, "got 'a' with convnext_base"),
        ({"name": "transformers", "architecture": "a", "depths": (1, 1, 1, 1)}, "depths, widths"),
        ({"name": "transformers", "architecture": "a", "frozen_stages": 2}, "expected 0 or 4"),
    ],
)
def test_settings_that_do_not_belong_together_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BackboneConfig(**settings)


def test_only_named_backbones_have_a_size_without_their_files():
    with pytest.raises(ConfigError, match="backbone.name: expected one of convnext_nano, "):
        _ = BackboneConfig(name="transformers", architecture="a").size
