"""Written drives that several tests read; each is written once and only when asked for."""

from functools import lru_cache

import pytest
import training_drives


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """By kind of structure."""
    return lru_cache(lambda kind: training_drives.write(kind, tmp_path_factory.mktemp(kind)))
