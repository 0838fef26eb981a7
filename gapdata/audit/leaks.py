"""Does what one build trains on show a place that another one evaluates on? Told by the places that plans name.

Data sets scan a place several times, and different files put its scans into different splits: ARKitScenes' visits,
3RScan's rescans, ScanNet's ``scene0000_01``. A plan holds the places of each scene
(:meth:`gapdata.sources.base.Dataset.places`); two scenes of one place must not be in ``train`` and in ``val`` or
``test``, whichever builds they are in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gapdata.engine.plan import Plan, ScenePlan, read_plan
from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted, few

TRAINED, HELD_OUT = ("train",), ("val", "test")
SHOWN = 3
"""Scenes of a place that a line names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenScene:
    """A scene of one of the builds that are compared."""

    build: str
    source: str
    scene_id: str
    split: str
    places: tuple[str, ...]
    named: bool = True
    """Whether the source names its places; else the only one is the scan itself."""

    def __str__(self) -> str:
        return f"{self.scene_id} ({self.build}: {self.split})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPlace:
    """A place that is both trained and evaluated on."""

    place: str
    trained: tuple[SeenScene, ...]
    held_out: tuple[SeenScene, ...]

    def __str__(self) -> str:
        trained, held_out = (few([str(scene) for scene in part], SHOWN) for part in (self.trained, self.held_out))
        return f"{self.place} is trained on in {trained} and evaluated on in {held_out}"


def scenes_of(builds: Iterable[Location]) -> list[SeenScene]:
    """Return the scenes with records to come of all builds, by their plans.

    Raises:
        UsageError: a place does not hold a build of this engine version.
    """
    return [_seen(build, plan, scene) for build in builds for plan in [read_plan(build)] for scene in plan.scenes]


def shared_places(scenes: Sequence[SeenScene]) -> list[SharedPlace]:
    """Return the places that scenes of different splits show, in the order of their names."""
    found: dict[str, list[SeenScene]] = {}
    for scene in scenes:
        for place in scene.places:
            found.setdefault(place, []).append(scene)
    shared = []
    for place in sorted(found):
        trained = tuple(scene for scene in found[place] if scene.split in TRAINED)
        held_out = tuple(scene for scene in found[place] if scene.split in HELD_OUT)
        if trained and held_out:
            shared.append(SharedPlace(place=place, trained=trained, held_out=held_out))
    return shared


def leak_warnings(builds: Sequence[Location]) -> list[str]:
    """Return a line for each place of the builds that is in two splits, for a training that uses them together.

    A build without a plan of this engine version is passed over: it cannot be told what it shows.
    """
    scenes: list[SeenScene] = []
    for build in builds:
        with suppress(UsageError):
            scenes += scenes_of([build])
    shared = shared_places(scenes)
    more = [f"and {len(shared) - SHOWN} more; `gapdata verify BUILD ... --leaks` names all"] if shared[SHOWN:] else []
    return [f"warning: {line}" for line in (*map(str, shared[:SHOWN]), *more)]


def _seen(build: Location, plan: Plan, scene: ScenePlan) -> SeenScene:
    """Return a scene of a plan. Without the name of a place, the scan itself is one: two builds may split it."""
    scan = f"the scan {scene.scene_id} (files {scene.digest[:12]})"
    return SeenScene(
        build=str(build),
        source=plan.source,
        scene_id=scene.scene_id,
        split=scene.split,
        places=scene.places or (scan,),
        named=bool(scene.places),
    )


def describe_shared(shared: Sequence[SharedPlace], scenes: Sequence[SeenScene]) -> list[str]:
    """Return what was found as lines."""
    silent = sorted({scene.source for scene in scenes if not scene.named})
    if not shared:
        lines = [f"no place is in two splits, by the names of {counted(len(scenes), 'scene')}"]
    else:
        lines = [f"{counted(len(shared), 'place')} in two splits:", *(f"  {place}" for place in shared)]
    if silent:
        lines.append(f"  note: plans of {', '.join(silent)} do not name places; of these only equal scans are known")
    return lines
