"""ScanRefer's ``ScanRefer_filtered_*.json``, which Scan2Cap reads as captions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gapdata.synthetic.releases.facts import SceneFacts
from gapdata.synthetic.releases.wording import tokens


def object_name(label: str) -> str:
    """ScanRefer's spelling of a raw category."""
    return label.replace(" ", "_")


def scanrefer_items(facts: SceneFacts) -> Iterator[dict[str, Any]]:
    """The items of one scene."""
    for description in facts.descriptions:
        yield {
            "scene_id": facts.scene_id,
            "object_id": str(description.object_id),
            "object_name": object_name(facts.things[description.object_id].label),
            "ann_id": str(description.ann_id),
            "description": description.text,
            "token": tokens(description.text),
        }
