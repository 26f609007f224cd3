"""Where torch computes."""

from __future__ import annotations

import torch

from occflow_ros.errors import ConfigError


def available_device(name: str) -> str:
    """The name of a torch device, after a look whether it is there.

    Raises:
        ConfigError: where torch does not know it or cannot use it here.
    """
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device: expected one that torch has here, got {name!r}: {reason}"
        ) from None
    return name
