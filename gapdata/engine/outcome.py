"""The outcome of one scene, for its shard's commit record: what was made, dropped or quarantined, and why."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gapdata.engine.plan import ScenePlan
from gapdata.errors import SourceError
from gapdata.files.atomic import write_atomically
from gapdata.files.storage import Location
from gapdata.records.expressions import descriptions
from gapdata.records.schema import Record

FAILED_FOLDER = "failed"
LOST_VIEW = "its view could not be built"


@dataclass(slots=True, kw_only=True)
class SceneOutcome:
    """Counts of one scene.

    Descriptions that no record carries are counted in ``dropped_descriptions`` by reason, so that those read are those
    used plus those dropped; conversations likewise.
    """

    scene_id: str
    split: str
    frames: int = 0
    lost_tracking: int = 0
    empty_depth: int = 0
    annotated: bool = False
    unaligned: bool = False  # annotated, without the matrix to the aligned world
    objects: int = 0
    objects_seen: int = 0  # those that a record lists
    records: int = 0
    view_frames: int = 0  # frames of all records
    instances: int = 0  # listed objects that a frame shows, summed over all frames of all records
    prompts: int = 0
    descriptions: int = 0
    descriptions_used: int = 0
    descriptions_unaligned: int = 0  # those used without a known aligned box
    conversations: int = 0
    conversations_used: int = 0
    dropped_views: dict[str, int] = field(default_factory=dict)
    dropped_descriptions: dict[str, int] = field(default_factory=dict)
    dropped_conversations: dict[str, int] = field(default_factory=dict)
    suspicion: str | None = None  # what is likely wrong with its depth or its poses
    notes: dict[str, int] = field(default_factory=dict)
    prompts_by_label: dict[str, int] = field(default_factory=dict)
    quarantined: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, scene: ScenePlan) -> SceneOutcome:
        """Return the outcome of a planned scene before anything is made."""
        return cls(
            scene_id=scene.scene_id, split=scene.split, frames=scene.frame_count, lost_tracking=scene.lost_tracking
        )

    def count(self, record: Record) -> None:
        """Add a record."""
        self.records += 1
        self.view_frames += len(record)
        self.instances += sum(pixels > 0 for item in record.objects for pixels in item.visible_pixels)
        self.prompts += len(record.prompts)
        for prompt in record.prompts:
            note(self.prompts_by_label, prompt.label or "")

    def quarantine(self, error: SourceError, key: str | None = None) -> None:
        """Set a scene, or the view of a key, aside because of an error."""
        self.quarantined.append(
            {
                "scene_id": self.scene_id,
                "key": key,
                "frame": error.frame,
                "path": error.path,
                "problem": error.problem,
                "cure": error.cure,
                "traceback": "".join(traceback.format_exception(error)),
            }
        )

    def settle(self) -> None:
        """Count descriptions and conversations without a record because their view or scene could not be built."""
        for read, used, dropped in (
            (self.descriptions, self.descriptions_used, self.dropped_descriptions),
            (self.conversations, self.conversations_used, self.dropped_conversations),
        ):
            rest = read - used - sum(dropped.values())
            if rest:
                note(dropped, LOST_VIEW, rest)
        self.descriptions_unaligned = self.descriptions_used if self.unaligned else 0

    def write_failures(self, out: Location) -> None:
        """Write ``failed/<scene>.json`` with the tracebacks, or remove it where nothing is quarantined any more."""
        path = out / FAILED_FOLDER / f"{self.scene_id}.json"
        if self.quarantined:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, json.dumps(self.quarantined, indent=1).encode())
        else:
            path.unlink(missing_ok=True)

    def to_fields(self) -> dict[str, Any]:
        """Return plain values for the commit record, without tracebacks."""
        fields = {name: getattr(self, name) for name in SceneOutcome.__dataclass_fields__}
        brief = [{k: v for k, v in item.items() if k != "traceback"} for item in self.quarantined]
        return {**fields, "prompts_by_label": dict(sorted(self.prompts_by_label.items())), "quarantined": brief}


class Ledger:
    """The descriptions of a scene that still wait for a record, while its records are entered in its outcome.

    Args:
        outcome: of the scene.
        waiting: for each description, by object id and ``ann_id``, the reason to give if no record carries it.
    """

    def __init__(self, outcome: SceneOutcome, waiting: Mapping[tuple[int, str], str]) -> None:
        self.outcome = outcome
        self._waiting = dict(waiting)
        self._seen_objects: set[int] = set()

    def enter(self, record: Record) -> None:
        """Count a record and what it carries."""
        self.outcome.count(record)
        self._seen_objects |= {item.object_id for item in record.objects}
        for item in descriptions(record):
            if self._waiting.pop((item.object_id, item.ann_id), None) is not None:
                self.outcome.descriptions_used += 1
        self.outcome.conversations_used += sum(item["kind"] == "conversation" for item in record.expressions)

    def close(self) -> None:
        """Count by reason the descriptions that still wait; give a scene without views its reason, too."""
        outcome = self.outcome
        outcome.objects_seen = len(self._seen_objects)
        for reason in self._waiting.values():
            note(outcome.dropped_descriptions, reason)
        if not outcome.records and not outcome.quarantined and not outcome.dropped_views:
            note(outcome.dropped_views, "scan_too_short_for_any_view")


def note(counts: dict[str, int], name: str, count: int = 1) -> None:
    """Count something by its name."""
    counts[name] = counts.get(name, 0) + count
