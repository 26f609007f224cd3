"""The network as a program of PyTorch's own operators, saved and loaded again."""

import pytest
import torch
from tiny_network import as_trained, batch, frame, pose, tiny_config

from occflow_ros import config
from occflow_ros.models.build import build_network


def arguments(model, cameras, index, dtype=torch.float64):
    """Another drive for each index: images, cameras turned with it, volumes, poses."""
    item = frame(index, cameras, model.image_hw_px)
    images, K, base_T_camera, present = batch(item)
    turned = pose(yaw_rad=0.4 * index).float() @ base_T_camera
    generator = torch.Generator().manual_seed(index)
    shape = (1, model.channels, *model.grid.voxels.coarsen(2).shape)
    history = [torch.randn(shape, generator=generator) for _ in range(model.temporal.history)]
    poses = torch.stack([pose(1.3 * back, 0.2 * index, 0.05 * back) for back in (1, 2)])[None]
    history = [volume.to(dtype) for volume in history]
    return images, K.to(dtype), turned.to(dtype), present, history, poses


@pytest.mark.parametrize(("name", "cameras"), [("tiny", 3), ("small", 1)])
def test_an_exported_program_gives_the_same_numbers(name, cameras, tmp_path):
    """Exported with one drive and run with another, so that nothing of the first is baked in."""
    model = tiny_config().model if name == "tiny" else config.preset(name).model
    network = as_trained(build_network(model)).double()  # so that no rounding hides a difference
    path = tmp_path / "network.pt2"
    with torch.no_grad():
        program = torch.export.export(network, arguments(model, cameras, 0), strict=False)
        torch.export.save(program, path)
        loaded = torch.export.load(path).module()
        expected, got = (module(*arguments(model, cameras, 3)) for module in (network, loaded))
    assert expected.sdf_m.std() > 0.5
    torch.testing.assert_close(got.sdf_m, expected.sdf_m, atol=1e-9, rtol=0)
    torch.testing.assert_close(got.flow_m, expected.flow_m, atol=1e-9, rtol=0)


def test_an_exported_program_needs_nothing_but_pytorch():
    model = tiny_config().model
    with torch.no_grad():
        program = torch.export.export(
            build_network(model), arguments(model, 3, 0, torch.float32), strict=False
        )
    names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert {name.split(".")[0] for name in names} <= {"aten", "<built-in function getitem>"}
