"""Make sure that a shard is built from the scans that were planned: a worker compares them before and after.

Between plan and commit a scan may be replaced (a download that finishes, a repair), or a worker may see another scan
than the driver did (a mount that is missing on its node). Records of such a scan under the plan's digest would be
wrong in a way that nobody can find later, and calling it damaged would set a sound scan aside.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gapdata.engine.make_plan import planned_digest
from gapdata.engine.open_upright import open_upright
from gapdata.engine.plan import ScenePlan
from gapdata.engine.recipe import Recipe
from gapdata.errors import SourceChanged, SourceError
from gapdata.files.object_store import ObjectPath
from gapdata.sources.base import Dataset, Scan
from gapdata.sources.stamps import Stamps, changed_file

CURE = "run the same command again, with --retry-failed to build the scene as it is now"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStamps:
    """The stamps of a scene's files as one machine sees them."""

    host: str  # empty: as every machine sees them
    stamps: Stamps


def comparable_stamps(dataset: Dataset, scene_ids: Sequence[str]) -> dict[str, HostStamps]:
    """Return the stamps of scenes before they are planned, and the machine that sees them so."""
    host = "" if isinstance(dataset.root, ObjectPath) else socket.gethostname()
    return {scene_id: HostStamps(host=host, stamps=dataset.stamps(scene_id)) for scene_id in scene_ids}


@contextmanager
def unchanged(dataset: Dataset, scene: ScenePlan, planned: HostStamps | None = None) -> Iterator[None]:
    """Make sure that a scene stays as it was planned while a block reads it.

    Args:
        dataset: where the scene is.
        scene: its plan.
        planned: the stamps of its files before it was planned. They are not compared on another machine, because each
            may have a copy of the scan on its own disk, made at another time.

    Raises:
        SourceChanged: a file of the scene was changed since it was planned, or while the block ran.
    """
    before = dataset.stamps(scene.scene_id)
    if planned is not None and planned.host in ("", socket.gethostname()):
        _refuse(changed_file(planned.stamps, before), scene, "since the build was planned")
    yield
    _refuse(changed_file(before, dataset.stamps(scene.scene_id)), scene, "while it was read")


@contextmanager
def open_as_planned(dataset: Dataset, scene: ScenePlan, recipe: Recipe) -> Iterator[Scan]:
    """Open a scan and make sure that it is the planned one.

    Raises:
        SourceError: it is damaged, as it was when it was planned.
        SourceChanged: it differs from the planned one, or can no longer be opened.
    """
    try:
        scan = open_upright(dataset, scene.scene_id, recipe)
    except SourceError as error:
        if scene.problem is None:
            problem = f"could be read when the build was planned, but now: {error.problem}"
            raise SourceChanged(problem, path=error.path, scene=scene.scene_id, cure=CURE) from error
        raise
    with scan:
        if planned_digest(scan, recipe) != scene.digest:
            problem = "differs from the scan that the build was planned with"
            raise SourceChanged(problem, path=scan.path, scene=scene.scene_id, cure=CURE)
        yield scan


def _refuse(place: str | None, scene: ScenePlan, when: str) -> None:
    if place is not None:
        raise SourceChanged(f"was changed {when}", path=place, scene=scene.scene_id, cure=CURE)
