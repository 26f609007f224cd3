"""ImageNet weights from public files, under any of their usual namings, into a `Backbone`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from occflow_ros.errors import DataError
from occflow_ros.models.transformers_backbone import AnyBackbone, TransformersBackbone

Renames = Sequence[tuple[str, str]]

NAMINGS: dict[str, dict[str, Renames]] = {
    "convnext": {
        "transformers": (
            (r"^downsample\.0\.", "embeddings."),
            (r"^downsample\.(\d)", r"encoder.stages.\1.downsampling_layer"),
            (r"^stages\.(\d)", r"encoder.stages.\1.layers"),
            *((rf"^norms\.{stage}", f"hidden_states_norms.stage{stage + 1}") for stage in range(4)),
        ),
        "the official release": (  # SparK's too
            (r"^downsample\.0\.patch_embeddings", "downsample_layers.0.0"),
            (r"^downsample\.0\.layernorm", "downsample_layers.0.1"),
            (r"^downsample\.", "downsample_layers."),
            (r"\.layernorm\.", ".norm."),
            (r"\.layer_scale_parameter$", ".gamma"),
        ),
        "timm": (
            (r"^downsample\.0\.patch_embeddings", "stem.0"),
            (r"^downsample\.0\.layernorm", "stem.1"),
            (r"^downsample\.(\d)", r"stages.\1.downsample"),
            (r"^stages\.(\d)\.(\d+)", r"stages.\1.blocks.\2"),
            (r"\.dwconv\.", ".conv_dw."),
            (r"\.layernorm\.", ".norm."),
            (r"\.pwconv(\d)\.", r".mlp.fc\1."),
            (r"\.layer_scale_parameter$", ".gamma"),
        ),
    },
    "resnet": {
        "transformers": (
            (r"^downsample\.0\.", "embedder."),
            (r"^stages\.(\d)", r"encoder.stages.\1.layers"),
        ),
        "torchvision and timm": (
            (r"^downsample\.0\.embedder\.convolution", "conv1"),
            (r"^downsample\.0\.embedder\.normalization", "bn1"),
            *((rf"^stages\.{stage}", f"layer{stage + 1}") for stage in range(4)),
            (r"\.shortcut\.convolution", ".downsample.0"),
            (r"\.shortcut\.normalization", ".downsample.1"),
            *((rf"\.layer\.{index}\.convolution", f".conv{index + 1}") for index in range(3)),
            *((rf"\.layer\.{index}\.normalization", f".bn{index + 1}") for index in range(3)),
        ),
    },
}
"""Per family and naming, what turns a parameter's name in `Backbone` into its name in the file."""

_MAY_BE_MISSING = re.compile(r"^norms\.\d\.(weight|bias)$|\.num_batches_tracked$")
"""Parameters of `Backbone` that a file need not have: its output norms, which no classifier has,
and the counters of BatchNorm, which old files lack and nothing reads."""

_WRAPPERS = ("model", "state_dict", "module")
_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_HUB_PATTERNS = ("model*.safetensors*", "pytorch_model*.bin*")
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def load_imagenet_weights(backbone: AnyBackbone, source: str | Path) -> None:
    """Copy public weights into a backbone; where one tensor does not fit, none is copied.

    Namings are those of `NAMINGS`, behind any prefix and within the dictionaries that training
    scripts save. Classifiers are ignored; `_MAY_BE_MISSING` stay as they are.

    Args:
        backbone: of the same family and size as the weights.
        source: a file (safetensors, or what `torch.save` wrote), a folder with a file or shards
            under the usual names, or `owner/name` on the Hugging Face hub.

    Raises:
        DataError: where nothing can be read, a file holds more than tensors, or weights do not
            fit; names the source, how many do not fit and the first, expected and got.
    """
    if isinstance(backbone, TransformersBackbone):
        backbone.load(str(source))
        return
    tensors = {
        name: tensor
        for file in _weight_files(_local(str(source)))
        for name, tensor in _read(file).items()
    }
    own = backbone.state_dict()
    prefix, renames = _naming(tensors, next(iter(own)), backbone.family, source)
    theirs = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    own_names = {_rename(name, renames): name for name in own}
    _check_fit({their: own[name] for their, name in own_names.items()}, own_names, theirs, source)
    backbone.load_state_dict(
        own | {name: theirs[their] for their, name in own_names.items() if their in theirs}
    )


def _naming(
    tensors: Mapping[str, Tensor], first: str, family: str, source: str | Path
) -> tuple[str, Renames]:
    """The naming that a file follows, and what stands before its names."""
    for renames in NAMINGS[family].values():
        stem = _rename(first, renames)
        prefixes = [name.removesuffix(stem) for name in tensors if f".{name}".endswith(f".{stem}")]
        if prefixes:
            return min(prefixes, key=len), renames
    raise DataError(
        f"{source}: expected {family} weights as named by {', '.join(NAMINGS[family])}, "
        f"got {next(iter(tensors), 'no tensors')}"
    )


def _rename(name: str, renames: Renames) -> str:
    for pattern, replacement in renames:
        name = re.sub(pattern, replacement, name)
    return name


def _check_fit(
    expected: Mapping[str, Tensor],
    own_names: Mapping[str, str],
    theirs: Mapping[str, Tensor],
    source: str | Path,
) -> None:
    """Compare shapes by the file's names, also of what the file has beside the expected.

    A deeper network has all tensors of a shallower one, so what is left over must not be ignored.
    """
    roots = {_root(name) for name in expected}
    want = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    have = {name: tuple(tensor.shape) for name, tensor in theirs.items() if _root(name) in roots}
    wrong = [
        name
        for name in want | have
        if want.get(name) != have.get(name)
        and (name in have or not _MAY_BE_MISSING.search(own_names[name]))
    ]
    if wrong:
        first = wrong[0]
        raise DataError(
            f"{source}: {len(wrong)} tensors do not fit the backbone, the first is {first}: "
            f"expected {want.get(first, 'none')}, got {have.get(first, 'none')}"
        )


def _root(name: str) -> str:
    return name.partition(".")[0]


def _local(source: str) -> Path:
    """Where the source lies on this machine, downloaded if it is a name on the hub."""
    path = Path(source).expanduser()
    if path.exists():
        return path
    if not _HUB_NAME.fullmatch(source):
        raise DataError(f"{source}: expected a file, a folder or owner/name on the hub, got none")
    return _download(source)


def _download(repository: str) -> Path:
    """The folder where the hub's client keeps the weights; it looks there first when offline."""
    from huggingface_hub import snapshot_download

    try:
        for pattern in _HUB_PATTERNS:
            folder = Path(snapshot_download(repository, allow_patterns=pattern))
            if any((folder / name).is_file() for name in _FILES):
                return folder
    except Exception as error:  # the client has used three HTTP libraries, each with its own errors
        reason = " ".join(str(error).split())
        raise DataError(
            f"{repository}: no such file or folder, and the Hugging Face hub does not give it; "
            f"download the weights elsewhere and name the local file ({reason})"
        ) from None
    raise DataError(f"{repository}: expected one of {', '.join(_FILES)} on the hub, got none")


def _weight_files(path: Path) -> Iterator[Path]:
    """The path itself, or the file or shards in a folder."""
    if not path.is_dir():
        yield path
        return
    for file in (path / name for name in _FILES if (path / name).is_file()):
        if file.suffix == ".json":
            yield from _shards(file)
        else:
            yield file
        return
    raise DataError(f"{path}: expected one of {', '.join(_FILES)} in the folder")


def _shards(index: Path) -> list[Path]:
    try:
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return [index.parent / name for name in sorted(set(names))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{index}: expected JSON with a weight_map: {error!r}") from None


def _read(file: Path) -> dict[str, Tensor]:
    if file.suffix != ".safetensors":
        return _read_torch(file)
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file}: expected a safetensors file: {error}") from None


def _read_torch(file: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
    except Exception as error:  # damage can surface anywhere in the unpickler
        pickled = re.search(r"GLOBAL (\S+)", str(error))
        got = f"one that pickles {pickled[1]}" if pickled else "a damaged one or another kind"
        raise DataError(f"{file}: expected a file of tensors alone, got {got}") from None
    return _unwrap(content)


def _unwrap(content: Any) -> dict[str, Tensor]:
    """The tensors of a state dict that training scripts may have wrapped with other things."""
    while isinstance(content, Mapping):
        inner = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
        content = inner[0]
    return {}
