"""Depth of single images by a network of `transformers` that is trained for metres."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from occflow_ros.data.drive import Drive
from occflow_ros.data.sensors import load_view
from occflow_ros.depth.folder import Depth
from occflow_ros.depth.source import SetDepths
from occflow_ros.errors import DataError
from occflow_ros.geometry.camera import Image


class TransformersDepth:
    """Metric depth, as of Depth Anything's metric checkpoints, ZoeDepth or GLPN, one by one.

    A network for relative depth gives numbers that are no metres; where its configuration says that
    it is one, it is refused.

    Args:
        name: folder or owner/name on the hub.
        device: to compute on.

    Raises:
        DataError: where the network cannot be had, lacks weights, or is not for metric depth.
    """

    def __init__(self, name: str, device: torch.device | str = "cpu") -> None:
        self._name, self._device = name, torch.device(device)
        self._network, self._processor = _load(name)
        self._network.to(self._device).eval()

    @property
    def maker(self) -> Mapping[str, str]:
        """The name of the network."""
        return {"source": "transformers", "model": self._name}

    def depths(self, drive: Drive, sets: Sequence[int]) -> Iterator[SetDepths]:
        """Raises DataError where an image cannot be read."""
        for index in sets:
            yield (
                index,
                {
                    name: self._depth(load_view(drive.cameras[name], file).image)
                    for name, file in drive.sets[index].images.items()
                },
            )

    def _depth(self, image: Image) -> Depth:
        """Image (H, W, 3) to (h, w) in metres, at the size that the network gives."""
        inputs = self._processor(images=image, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            return self._network(**inputs).predicted_depth[0].float().cpu().numpy()


def _load(name: str) -> tuple[Any, Any]:
    """The network and what prepares images for it: the whole image, without a border around it."""
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    try:
        network, loading = AutoModelForDepthEstimation.from_pretrained(
            name, output_loading_info=True
        )
        processor = AutoImageProcessor.from_pretrained(name, do_pad=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{name}: expected a network of transformers for depth in a folder or on the hub: "
            f"{reason}"
        ) from None
    if missing := sorted(loading["missing_keys"]):
        raise DataError(f"{name}: {len(missing)} weights are missing, the first is {missing[0]}")
    kind = getattr(network.config, "depth_estimation_type", "metric")
    if kind != "metric":
        raise DataError(f"{name}: expected a network for metric depth, got one for {kind} depth")
    return network, processor
