"""DualFlow4D transformer: frames tell each other what they see (equations 3 to 6)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from occflow_ros.models.attention import feed_forward
from occflow_ros.models.refine.focal_attention import FocalAttention
from occflow_ros.models.refine.patches import SoftComposition, SoftSplit
from occflow_ros.models.refine.pillar_attention import PillarAttention


class DualFlowBlock(nn.Module):
    """Both branches of one block, joined, and an FFN.

    Args:
        channels: c_e.
        bev: attention of the BEV branch.
        pillar: attention of the pillar branch.
        ffn_channels: hidden width of the FFN.
    """

    def __init__(
        self, channels: int, bev: FocalAttention, pillar: PillarAttention, ffn_channels: int
    ) -> None:
        super().__init__()
        self.norm, self.ffn_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.bev, self.pillar = bev, pillar
        self.from_bev = nn.Linear(channels, channels)
        self.from_pillar = nn.Linear(channels, channels)
        self.ffn = feed_forward(channels, ffn_channels)
        # P_bev stands in the way of the tokens themselves; at the start it lets them pass.
        nn.init.eye_(self.from_bev.weight)
        nn.init.zeros_(self.from_bev.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, H, W, C) to as many."""
        query, key, value = self.qkv(self.norm(tokens)).chunk(3, dim=-1)
        along_bev = self.bev(query, key, value) + tokens  # equation 4
        along_pillar = self.pillar(query, key, value)  # equation 5
        joined = self.from_pillar(along_pillar) + self.from_bev(along_bev)  # equation 6
        return joined + self.ffn(self.ffn_norm(joined))


class DualFlowTransformer(nn.Module):
    """Blocks between soft split and soft composition; what they find is added to the features.

    Args:
        split, blocks, compose: ready stages.
    """

    def __init__(
        self, split: SoftSplit, blocks: Sequence[DualFlowBlock], compose: SoftComposition
    ) -> None:
        super().__init__()
        self.split = split
        self.blocks = nn.ModuleList(blocks)
        self.compose = compose
        # What the tokens say at random would be noise for the head; they begin with nothing.
        nn.init.zeros_(compose.linear.weight)
        nn.init.zeros_(compose.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Maps (B, T, c, h, w) of all frames to as many."""
        tokens = self.split(features)
        for block in self.blocks:
            tokens = block(tokens)
        rows, columns = features.shape[3:]
        return features + self.compose(tokens, (rows, columns))
