"""Multi-to-multi local propagation: classes of a window of frames to better ones (section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from occflow_ros.models.refine.dual_flow import DualFlowTransformer
from occflow_ros.models.refine.encoder import BevEncoder
from occflow_ros.models.refine.head import SegmentationHead
from occflow_ros.models.refine.temporal import TemporalEncoding


class RefineNet(nn.Module):
    """Local and reference frames in, local frames out, all at once.

    Args:
        features, head: ready stages.
        positions: None: nobody knows where frames lie to each other.
        times: None: nobody knows in which order they come.
        propagation: None: each frame stays by itself.
        num_classes: C.
        weights_source: where the weights come from, for people to read.
    """

    def __init__(
        self,
        features: BevEncoder,
        positions: BevEncoder | None,
        times: TemporalEncoding | None,
        propagation: DualFlowTransformer | None,
        head: SegmentationHead,
        num_classes: int,
        weights_source: str,
    ) -> None:
        super().__init__()
        self.features = features
        self.positions = positions
        self.times = times
        self.propagation = propagation
        self.head = head
        self.num_classes = num_classes
        self.weights_source = weights_source

    def forward(self, classes: Tensor, coordinates: Tensor, local: int) -> Tensor:
        """Refine the local frames of a window.

        Args:
            classes: (B, T, X, Y, Z) int64 that the onboard model said, the local frames first,
                after them any number of references.
            coordinates: (B, T, 3, X, Y, Z) of `relative_coordinates`, in box units of the pivot.
            local: number of local frames, 1 to T.

        Returns:
            (B, local, C, X, Y, Z) logits.

        Raises:
            ValueError: where the shapes do not belong together.
        """
        _check(classes, coordinates, local)
        window = classes.shape[:2]
        maps = self.features(classes.flatten(0, 1))  # each (B · T, c, h, w)
        joined = maps[-1].unflatten(0, window)  # (B, T, c, h, w)
        if self.positions is not None:
            joined = joined + self.positions(coordinates.flatten(0, 1))[-1].unflatten(0, window)
        if self.times is not None:
            joined = joined + self.times(local, window[1] - local)[..., None, None]
        if self.propagation is not None:
            joined = self.propagation(joined)
        finer = [one.unflatten(0, window)[:, :local].flatten(0, 1) for one in maps[:-1]]
        logits = self.head(finer, joined[:, :local].flatten(0, 1), classes[:, :local].flatten(0, 1))
        return logits.unflatten(0, (-1, local))


def _check(classes: Tensor, coordinates: Tensor, local: int) -> None:
    if classes.ndim != 5:
        raise ValueError(f"classes: expected (B, T, X, Y, Z), got {tuple(classes.shape)}")
    batch, times, *shape = classes.shape
    expected = (batch, times, 3, *shape)
    if tuple(coordinates.shape) != expected:
        raise ValueError(f"coordinates: expected {expected}, got {tuple(coordinates.shape)}")
    if not 1 <= local <= times:
        raise ValueError(f"local: expected 1 to {times} frames, got {local}")
