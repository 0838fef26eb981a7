"""One build of synthetic rooms that all tests of spatial questions share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.spatial_rooms import spatial_rooms


@pytest.fixture(scope="session")
def spatial_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and views of the whole scan of three furnished rooms, without sensor noise."""
    return spatial_rooms(tmp_path_factory)
