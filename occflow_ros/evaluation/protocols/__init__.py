"""The protocols of `occflow evaluate`, by name."""

from __future__ import annotations

from typing import Any

from occflow_ros.evaluation.protocol import Protocol
from occflow_ros.evaluation.protocols.depth import DepthProtocol
from occflow_ros.evaluation.protocols.kitti_flow import KittiFlowProtocol
from occflow_ros.evaluation.protocols.nuscenes import NuscenesProtocol
from occflow_ros.evaluation.protocols.offboard import OffboardProtocol
from occflow_ros.evaluation.protocols.semantic_kitti import SemanticKittiProtocol
from occflow_ros.evaluation.protocols.synthetic import SyntheticProtocol

PROTOCOLS: dict[str, Protocol[Any]] = {
    protocol.name: protocol
    for protocol in (
        NuscenesProtocol(),
        SemanticKittiProtocol(),
        KittiFlowProtocol(),
        DepthProtocol(),
        SyntheticProtocol(),
        OffboardProtocol(),
    )
}
