"""Options and fixtures of every test: device and dtype, an own ROS domain, real recordings."""

import os
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

# A robot on this network, or another run of the tests, must not hear this one.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)

if "PYTEST_XDIST_WORKER" in os.environ:  # they share the cores
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="device of the tensors in tests: cpu or cuda")
    parser.addoption("--dtype", default="float32", help="dtype of the tensors in tests")


@pytest.fixture(scope="session")
def device(request):
    name = request.config.getoption("--device")
    if torch.device(name).type == "cuda" and not torch.cuda.is_available():
        pytest.skip(f"--device {name}: this machine has no CUDA device")
    return torch.device(name)


@pytest.fixture(scope="session")
def dtype(request):
    return getattr(torch, request.config.getoption("--dtype"))


@pytest.fixture(scope="session")
def shared_data():
    """Real recordings beside the repository; tests that need them skip where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no recordings in ../shared/data")
    return SHARED_DATA
