"""``gapdata verify BUILD ... --leaks``: what is both trained and evaluated on, by names of places and by looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gapdata.audit.alike_rooms import AlikeRooms, alike_rooms, pairs_to_compare, shapes_of
from gapdata.audit.leaks import SeenScene, SharedPlace, describe_shared, scenes_of, shared_places
from gapdata.files.storage import Location
from gapdata.geometry.room_shape import ALIKE, RoomShape
from gapdata.runtime.counting import counted

SHOWN = 20
"""Pairs of rooms that the text names, the most alike first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """What was found over some builds."""

    scenes: tuple[SeenScene, ...]
    shared: tuple[SharedPlace, ...]
    compared: int
    """Pairs of rooms that were compared because names could not tell."""
    unseen: int
    """Scenes among them of which too little is seen."""
    alike: tuple[AlikeRooms, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "scenes": len(self.scenes),
            "shared_places": [asdict(place) for place in self.shared],
            "compared": self.compared,
            "too_little_seen": self.unseen,
            "alike_rooms": [asdict(pair) for pair in self.alike],
        }

    def lines(self) -> list[str]:
        """Return lines for people."""
        lines = describe_shared(self.shared, self.scenes)
        if self.compared:
            lines.append(
                f"{counted(self.compared, 'pair')} of rooms of different splits compared by shape, because names cannot"
                f" tell: {counted(len(self.alike), 'pair')} with a likeness of {ALIKE:g} or more"
                + (f"; {counted(self.unseen, 'scene')} with too little in view" if self.unseen else "")
            )
            lines += [f"  warning: {pair}" for pair in self.alike[:SHOWN]]
            if len(self.alike) > SHOWN:
                lines.append(f"  and {len(self.alike) - SHOWN} more, in --json")
        return lines


def find_leaks(
    builds: Sequence[Location],
    *,
    progress: Callable[[int], None] = lambda steps: None,
    announce: Callable[[int], None] = lambda steps: None,
) -> Leaks:
    """Compare the scenes of all builds.

    Args:
        builds: finished ones.
        progress: called with the number of scenes and pairs that are done.
        announce: called once with the number of them.

    Raises:
        UsageError: a place does not hold a finished build.
        ShardError: one is damaged.
    """
    scenes = scenes_of(builds)
    pairs = pairs_to_compare(scenes)
    wanted = dict.fromkeys(scene for pair in pairs for scene in pair)
    announce(len(wanted) + len(pairs))
    shapes: dict[SeenScene, RoomShape] = {}
    for build in builds:
        shapes |= shapes_of(build, [scene for scene in wanted if scene.build == str(build)], progress)
    return Leaks(
        scenes=tuple(scenes),
        shared=tuple(shared_places(scenes)),
        compared=len(pairs_to_compare(list(shapes))),
        unseen=len(wanted) - len(shapes),
        alike=tuple(alike_rooms(shapes, progress)),
    )
