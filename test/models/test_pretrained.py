"""Weights under each public naming give the maps of the network that they come from."""

import json
import os

import pytest
import torch
from safetensors.torch import save_file
from tiny_network import tiny_config
from torch.nn import functional
from transformers import (
    ConvNextBackbone,
    ConvNextConfig,
    ConvNextForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
)

from occflow_ros.config import BackboneConfig
from occflow_ros.engine import checkpoint
from occflow_ros.errors import DataError
from occflow_ros.models.backbone import Backbone
from occflow_ros.models.build import build_network
from occflow_ros.models.pretrained import NAMINGS as NAMINGS_OF
from occflow_ros.models.pretrained import _rename, load_imagenet_weights

DEPTHS, WIDTHS = (1, 2, 1, 1), (8, 8, 16, 16)
IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def backbone_of(family, depths=DEPTHS, widths=WIDTHS):
    return Backbone(family, depths, widths, frozen_stages=0, checkpointing=False).eval()


def by_chance(network):
    """Every parameter and running statistic away from where it starts."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(0.5 * torch.rand(value.shape, generator=generator) + 0.1)
    return network.eval()


def reference(family):
    """A classifier of transformers."""
    if family == "convnext":
        sizes = ConvNextConfig(depths=list(DEPTHS), hidden_sizes=list(WIDTHS), num_labels=5)
        return by_chance(ConvNextForImageClassification(sizes))
    sizes = ResNetConfig(
        depths=list(DEPTHS), hidden_sizes=list(WIDTHS), embedding_size=2, num_labels=5
    )
    return by_chance(ResNetForImageClassification(sizes))


def expected_maps(network):
    """Its stages' outputs; ConvNeXt's normalised as by a LayerNorm that has learned nothing."""
    with torch.inference_mode():
        maps = network(IMAGES, output_hidden_states=True).hidden_states[1:]
        if isinstance(network, ResNetForImageClassification):
            return maps
        return [
            functional.layer_norm(value.movedim(1, -1), value.shape[1:2], eps=1e-6).movedim(-1, 1)
            for value in maps
        ]


def convnext_names():
    """Rows of what one tensor is called by transformers, the official release and timm."""
    rows = [
        ("convnext.embeddings.patch_embeddings", "downsample_layers.0.0", "stem.0"),
        ("convnext.embeddings.layernorm", "downsample_layers.0.1", "stem.1"),
        ("convnext.layernorm", "norm", "head.norm"),
        ("classifier", "head", "head.fc"),
    ]
    for stage, depth in enumerate(DEPTHS):
        ours = f"convnext.encoder.stages.{stage}"
        for part in (0, 1) if stage else ():
            official, timm = (
                f"downsample_layers.{stage}.{part}",
                f"stages.{stage}.downsample.{part}",
            )
            rows.append((f"{ours}.downsampling_layer.{part}", official, timm))
        for block in range(depth):
            official, timm = f"stages.{stage}.{block}", f"stages.{stage}.blocks.{block}"
            for names in (
                ("dwconv", "dwconv", "conv_dw"),
                ("layernorm", "norm", "norm"),
                ("pwconv1", "pwconv1", "mlp.fc1"),
                ("pwconv2", "pwconv2", "mlp.fc2"),
                ("layer_scale_parameter", "gamma", "gamma"),
            ):
                places = (f"{ours}.layers.{block}", official, timm)
                rows.append(tuple(".".join(pair) for pair in zip(places, names)))
    return rows


def resnet_names():
    """Rows of what one tensor is called by transformers and torchvision."""
    rows = [
        ("resnet.embedder.embedder.convolution", "conv1"),
        ("resnet.embedder.embedder.normalization", "bn1"),
        ("classifier.1", "fc"),
    ]
    for stage, depth in enumerate(DEPTHS):
        for block in range(depth):
            ours, theirs = (
                f"resnet.encoder.stages.{stage}.layers.{block}",
                f"layer{stage + 1}.{block}",
            )
            rows += [
                (f"{ours}.shortcut.convolution", f"{theirs}.downsample.0"),
                (f"{ours}.shortcut.normalization", f"{theirs}.downsample.1"),
            ]
            for index in range(3):
                rows += [
                    (f"{ours}.layer.{index}.convolution", f"{theirs}.conv{index + 1}"),
                    (f"{ours}.layer.{index}.normalization", f"{theirs}.bn{index + 1}"),
                ]
    return rows


def renamed(network, rows, column):
    """The state of a network of transformers under the names of a column."""
    names = {row[0]: row[column] for row in rows}
    state = {}
    for name, value in network.state_dict().items():
        module, _, last = name.rpartition(".")
        state[names[name] if name in names else f"{names[module]}.{last}"] = value
    return state


def under(prefix, state):
    return {prefix + name: value for name, value in state.items()}


def state_as(naming):
    """Family and state dict of a reference network as a public file has it."""
    match naming:
        case "transformers convnext":
            return "convnext", reference("convnext").state_dict()
        case "transformers convnext without prefix":
            return "convnext", reference("convnext").convnext.state_dict()
        case "official convnext":
            return "convnext", renamed(reference("convnext"), convnext_names(), 1)
        case "timm convnext":
            return "convnext", renamed(reference("convnext"), convnext_names(), 2)
        case "transformers resnet":
            return "resnet", reference("resnet").state_dict()
        case "torchvision resnet":
            return "resnet", renamed(reference("resnet"), resnet_names(), 1)
    raise AssertionError(naming)


NAMINGS = [
    "transformers convnext",
    "transformers convnext without prefix",
    "official convnext",
    "timm convnext",
    "transformers resnet",
    "torchvision resnet",
]


def assert_loads(family, source):
    backbone = backbone_of(family)
    load_imagenet_weights(backbone, source)
    with torch.inference_mode():
        maps = backbone(IMAGES)
    for actual, expected in zip(maps, expected_maps(reference(family)), strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("naming", NAMINGS)
def test_each_naming_gives_the_maps_of_the_network(tmp_path, naming):
    family, state = state_as(naming)
    save_file(state, tmp_path / "a.safetensors")
    assert_loads(family, tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["convnext_tiny", "convnext_base", "convnext_xlarge", "resnet50"])
def test_public_weights_of_each_size_fit_by_name_and_shape(name):
    """Those of transformers, on the meta device; other namings are the same but for the names."""
    settings = BackboneConfig(name=name)
    depths, widths = (list(numbers) for numbers in settings.size)
    with torch.device("meta"):
        if settings.family == "convnext":
            sizes = ConvNextConfig(depths=depths, hidden_sizes=widths)
            network = ConvNextForImageClassification(sizes).convnext
        else:
            sizes = ResNetConfig(depths=depths, hidden_sizes=widths)
            network = ResNetForImageClassification(sizes).resnet
        own = Backbone(settings.family, *settings.size, 0, False).state_dict()
    theirs = network.state_dict()
    for name in ("layernorm.weight", "layernorm.bias"):  # before the classifier
        theirs.pop(name, None)
    for one, value in own.items():
        if not one.startswith("norms."):
            their = _rename(one, NAMINGS_OF[settings.family]["transformers"])
            assert theirs.pop(their).shape == value.shape
    assert not theirs


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state, "optimizer": {"lr": 0.1}, "epoch": 3},
        lambda state: {"state_dict": under("module.", state), "state_dict_ema": {}},
        lambda state: {
            "arch": "convnext",
            "module": {**under("sparse_encoder.sp_cnn.", state), "mask_tokens.0": torch.zeros(1)},
        },
        lambda state: under("backbone.", state),
    ],
    ids=["official", "data parallel", "SparK with its decoder", "detector"],
)
@pytest.mark.parametrize("naming", ["official convnext", "torchvision resnet"])
def test_weights_are_found_within_what_training_scripts_save(tmp_path, wrap, naming):
    family, state = state_as(naming)
    torch.save(wrap(state), tmp_path / "a.pth")
    assert_loads(family, str(tmp_path / "a.pth"))


def test_output_norms_load_where_a_file_has_them(tmp_path):
    sizes = ConvNextConfig(
        depths=list(DEPTHS),
        hidden_sizes=list(WIDTHS),
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    network = by_chance(ConvNextBackbone(sizes))
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    backbone = backbone_of("convnext")
    load_imagenet_weights(backbone, tmp_path / "a.safetensors")
    with torch.inference_mode():
        torch.testing.assert_close(backbone(IMAGES), network(IMAGES).feature_maps)


def test_counters_of_old_torchvision_files_may_be_missing(tmp_path):
    family, state = state_as("torchvision resnet")
    old = {name: value for name, value in state.items() if "num_batches" not in name}
    torch.save(old, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert_loads(family, tmp_path / "a.pth")


def refuse(tmp_path, state, family="convnext", match="", **sizes):
    """Loading fails with that message and leaves the backbone as it was."""
    torch.save(state, tmp_path / "a.pth")
    backbone = backbone_of(family, **sizes)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(DataError, match=rf"a\.pth: {match}"):
        load_imagenet_weights(backbone, tmp_path / "a.pth")
    after = backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("naming", "sizes", "message"),
    [
        (
            "official convnext",
            {"depths": (1, 1, 1, 1)},
            r"9 tensors do not fit .* stages.1.1.gamma: expected none, got \(8,\)",
        ),
        (
            "timm convnext",
            {"depths": (1, 2, 1, 2)},
            r"9 tensors do not fit .* stages.3.blocks.1.gamma: expected \(16,\), got none",
        ),
        (
            "transformers convnext",
            {"widths": (16, 16, 16, 16)},
            r".* embeddings.patch_embeddings.weight: expected \(16, 3, 4, 4\), got \(8, 3, 4, 4\)",
        ),
        (
            "torchvision resnet",
            {"depths": (1, 2, 1, 2)},
            r"15 tensors do not fit .* layer4.1.conv1.weight: expected \(4, 16, 1, 1\), got none",
        ),
    ],
)
def test_weights_of_another_size_are_refused_whole(tmp_path, naming, sizes, message):
    family, state = state_as(naming)
    refuse(tmp_path, state, family, message, **sizes)


def test_one_missing_tensor_is_named_and_nothing_is_loaded(tmp_path):
    family, state = state_as("official convnext")
    del state["stages.3.0.pwconv2.bias"]
    message = r"1 tensors do not fit .* stages.3.0.pwconv2.bias: expected \(16,\), got none"
    refuse(tmp_path, state, family, message)


@pytest.mark.parametrize(
    ("state", "got"),
    [
        ({"conv1.weight": torch.zeros(8, 3, 7, 7)}, "conv1.weight"),
        ({"epoch": 3}, "no tensors"),
        ([torch.zeros(3)], "no tensors"),
    ],
)
def test_weights_of_something_else_are_refused(tmp_path, state, got):
    message = f"expected convnext weights as named by transformers, .*, timm, got {got}"
    refuse(tmp_path, state, match=message)


class Harmful:
    """What makes a careless reader run a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_file_that_pickles_code_is_refused_and_not_run(tmp_path, as_zip):
    file, made = tmp_path / "a.pth", tmp_path / "made"
    torch.save({"model": Harmful(made)}, file, _use_new_zipfile_serialization=as_zip)
    message = r"a\.pth: expected a file of tensors alone, got one that pickles \w+\.mkdir"
    with pytest.raises(DataError, match=message):
        load_imagenet_weights(backbone_of("convnext"), file)
    assert not made.exists()


@pytest.mark.parametrize("name", ["a.pth", "a.bin", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", None])
def test_a_damaged_file_is_named(tmp_path, name, content):
    file = tmp_path / name
    if content is None:
        torch.save({"stem.0.weight": torch.zeros(1000)}, file)
        content = file.read_bytes()[:-300]
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: (expected|cannot be read)"):
        load_imagenet_weights(backbone_of("convnext"), file)


def in_shards(folder, state, name, save):
    """Write a state dict in two files and their index."""
    keys = list(state)
    shards = {f"part{index}-{name}": keys[index::2] for index in range(2)}
    for file, names in shards.items():
        save({key: state[key] for key in names}, folder / file)
    index = {key: file for file, names in shards.items() for key in names}
    (folder / f"{name}.index.json").write_text(json.dumps({"weight_map": index}))


@pytest.mark.parametrize("shards", [True, False])
@pytest.mark.parametrize(
    ("name", "save"), [("model.safetensors", save_file), ("pytorch_model.bin", torch.save)]
)
def test_a_folder_may_hold_one_file_or_shards(tmp_path, name, save, shards):
    state = reference("convnext").state_dict()
    if shards:
        in_shards(tmp_path, state, name, save)
    else:
        save(state, tmp_path / name)
    assert_loads("convnext", tmp_path)


def test_a_missing_shard_and_a_damaged_index_are_named(tmp_path):
    in_shards(tmp_path, reference("convnext").state_dict(), "model.safetensors", save_file)
    (tmp_path / "part1-model.safetensors").unlink()
    with pytest.raises(DataError, match="part1-model.safetensors"):
        load_imagenet_weights(backbone_of("convnext"), tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(DataError, match="index.json: expected JSON with a weight_map"):
        load_imagenet_weights(backbone_of("convnext"), tmp_path)


def test_a_folder_without_weights_says_which_names_are_known(tmp_path):
    with pytest.raises(DataError, match=r"expected one of model.safetensors, .* in the folder"):
        load_imagenet_weights(backbone_of("convnext"), tmp_path)


def test_a_path_that_is_nowhere_is_no_name_on_the_hub(tmp_path):
    with pytest.raises(DataError, match=r"expected a file, a folder or owner/name on the hub"):
        load_imagenet_weights(backbone_of("convnext"), tmp_path / "none.pth")


@pytest.fixture
def offline_hub(tmp_path, monkeypatch):
    """The hub's client without a network, and the folder of its cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_without_a_network_the_error_names_the_local_way(offline_hub):
    message = "nobody/nothing: no such file or folder, .* name the local file"
    with pytest.raises(DataError, match=message):
        load_imagenet_weights(backbone_of("convnext"), "nobody/nothing")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_without_a_network_what_the_hub_gave_before_is_used(offline_hub, name):
    repository, revision = offline_hub / "models--owner--name.v1", "0" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    save = save_file if name.endswith("safetensors") else torch.save
    save(reference("convnext").state_dict(), snapshot / name)
    assert_loads("convnext", "owner/name.v1")


def test_the_hub_is_asked_for_safetensors_first(tmp_path, monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot_download(repository, allow_patterns):
        asked.append((repository, allow_patterns))
        if "bin" in allow_patterns:
            torch.save(reference("convnext").state_dict(), tmp_path / "pytorch_model.bin")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert_loads("convnext", "owner/name")
    assert asked == [
        ("owner/name", "model*.safetensors*"),
        ("owner/name", "pytorch_model*.bin*"),
    ]


def with_pretrained(source):
    model = tiny_config().model
    backbone = BackboneConfig(depths=DEPTHS, widths=WIDTHS, pretrained=str(source))
    return model.model_copy(update={"backbone": backbone})


def test_a_network_starts_from_the_named_backbone_and_says_so(tmp_path):
    file = tmp_path / "a.safetensors"
    _, state = state_as("official convnext")
    save_file(state, file)
    network = build_network(with_pretrained(file), seed=4)
    assert network.weights_source == f"untrained (seed 4), backbone from {file}"
    stem = network.backbone.state_dict()["downsample.0.patch_embeddings.weight"]
    assert torch.equal(stem, state["downsample_layers.0.0.weight"])
    plain = build_network(with_pretrained(""), seed=4).state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, plain[name]) != name.startswith(("backbone.d", "backbone.s")), (
            name
        )


def test_a_checkpoint_needs_no_pretrained_file(tmp_path):
    config = tiny_config().model_copy(update={"model": with_pretrained("")})
    network = build_network(config.model, seed=3)
    checkpoint.save(tmp_path / "a.safetensors", network, config)
    loaded = build_network(with_pretrained("/nowhere.pth"), weights=tmp_path / "a.safetensors")
    assert loaded.weights_source == str(tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="/nowhere.pth"):
        build_network(with_pretrained("/nowhere.pth"))
