"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each of the workers has a core; two that spin on both of them are many times slower than one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from tests.support.ray_heads import cluster

__all__ = ["cluster"]

# How long an example takes says something about the machine's load, nothing about the product.
settings.register_profile("any load", deadline=None)
settings.load_profile("any load")

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLES = Path(os.environ.get("GAPDATA_SAMPLES", REPOSITORY.parent / "shared" / "data"))
"""Small real data, which lie beside the checkout and not in it."""
LEFT_OUT = pytest.StashKey[set[str]]()
"""The tests that need :data:`SAMPLES` and do not run, because that folder does not exist."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = set()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _leave_out_what_needs_samples(config, items)
    if config.pluginmanager.hasplugin("xdist"):
        _group(items)


def _leave_out_what_needs_samples(config: pytest.Config, items: list[pytest.Item]) -> None:
    if SAMPLES.is_dir():
        return
    left_out = [item for item in items if "samples" in getattr(item, "fixturenames", ())]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    config.stash[LEFT_OUT].update(item.nodeid.partition("[")[0] for item in left_out)


def _group(items: list[pytest.Item]) -> None:
    """Under pytest-xdist a file's tests share a worker, because they share what the file's fixtures made, and all that
    submit jobs share one, because they share a Ray head; the latter start first, because they take longest.
    """
    for item in items:
        group = "ray" if item.path.name.startswith("test_ray") else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: not item.path.name.startswith("test_ray"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the names to the process that prints the summary."""
    if hasattr(session.config, "workeroutput"):
        left_out: set[str] = session.config.stash[LEFT_OUT]
        session.config.workeroutput["left_out"] = sorted(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the names from a worker of pytest-xdist."""
    node.config.stash[LEFT_OUT].update(getattr(node, "workeroutput", {}).get("left_out", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say once which tests did not run for want of real data."""
    left_out: set[str] = config.stash[LEFT_OUT]
    if left_out:
        why = f"{len(left_out)} tests need the real data of {SAMPLES}, which does not exist (set GAPDATA_SAMPLES)"
        terminalreporter.write_line(f"{why}: {', '.join(sorted(left_out))}")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of small real data."""
    return SAMPLES


@pytest.fixture
def color_camera() -> Intrinsics:
    return Intrinsics(fx=146.0, fy=145.5, cx=80.4, cy=59.7, width=162, height=121)


@pytest.fixture
def depth_camera() -> Intrinsics:
    return Intrinsics(fx=72.1, fy=72.4, cx=39.5, cy=30.2, width=80, height=60)


def look_from(position: tuple[float, float, float], yaw: float, pitch: float = 0.0) -> NDArray[np.float64]:
    """A camera_to_world (4, 4) with z up in the world: heading ``yaw`` about z, looking down by ``pitch`` radians."""
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(forward, right), forward, position
    return pose


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minute scenes, for builds of four shards."""
    from tests.support.executors import SCENES
    from tests.support.scannet_scenes import write_scene

    root = tmp_path_factory.mktemp("small")
    for index in range(SCENES):
        write_scene(root / "scans" / f"scene000{index}_00", frames=8, lost=(4,))
    return root


@pytest.fixture(scope="session")
def inline_build(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every other build of ``small_dataset`` must equal."""
    from gapdata.engine.driver import run_build
    from gapdata.engine.executors.inline import InlineExecutor
    from tests.support.executors import request_for

    out = tmp_path_factory.mktemp("inline") / "shards"
    run_build(request_for(small_dataset, out), InlineExecutor())
    return out
