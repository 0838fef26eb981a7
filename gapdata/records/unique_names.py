"""Tell which objects of a scan have a name that no other object could be meant by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from gapdata.annotations.categories import normalised
from gapdata.annotations.object_names import could_mean, is_name, share_a_name
from gapdata.records.schema import SceneLabel


def scene_labels(labels: Mapping[int, Mapping[str, str]]) -> tuple[SceneLabel, ...]:
    """Return the names of all objects of a scene with their numbers, in the order of the first of each.

    Args:
        labels: of each object, by taxonomy.
    """
    counts = Counter(tuple(labels[object_id].items()) for object_id in sorted(labels))
    return tuple(SceneLabel(labels=dict(names), count=count) for names, count in counts.items())


def means_one(name: str, labels: Mapping[str, str], scene: Iterable[SceneLabel]) -> bool:
    """Return whether a name means one object of a scan only.

    Args:
        name: of the object, normalised.
        labels: of the object, by taxonomy.
        scene: all objects of the scan, with this one; without it nothing is known, and the name could mean anything.
    """
    own, known = dict(labels), False
    for other in scene:
        is_own = dict(other.labels) == own
        known |= is_own
        if other.count - is_own > 0 and is_like(name, labels, other.labels):
            return False
    return known


def is_like(name: str, labels: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether a name could mean an object with other labels, or both have one name in some taxonomy."""
    return share_a_name(labels, other) or any(could_mean(name, normalised(theirs)) for theirs in other.values())


def nameable_ids(labels: Mapping[int, Mapping[str, str]]) -> tuple[int, ...]:
    """Return the objects of a scene, by their labels, of which the name of some taxonomy means one object only."""
    listed = scene_labels(labels)
    found = []
    for object_id, own in labels.items():
        names = {normalised(name) for name in own.values()}
        if any(is_name(name) and means_one(name, own, listed) for name in sorted(names)):
            found.append(object_id)
    return tuple(found)
