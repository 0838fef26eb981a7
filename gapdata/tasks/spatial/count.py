"""How many objects of a kind the scan has, where the view shows them all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from gapdata.annotations.object_names import is_name, is_plural
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.spatial.view_facts import Named, ViewFacts

FEWEST, MOST = 2, 10
UNRELIABLE = frozenset(("towel", "pillow", "cushion", "book", "window", "door", "picture", "box"))
"""Kinds of which annotators leave some out, or take one for several (thinking-in-space, issue 40)."""
TWO_ASKED = 0.5
"""Share of the kinds with two objects that are asked about: more than half of all counts are 2, and a model that always
says so should not do well."""
TEXT = "How many objects of the kind {name} are in this room? Answer with the number."


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield the kinds of objects in random order."""
    counts: Counter[str] = Counter()
    for label in facts.record.scene_objects:
        counts[facts.name_of(label.labels, label.labels.get("raw", ""))] += label.count
    members: dict[str, list[Named]] = defaultdict(list)
    for item in facts.objects:
        members[item.name].append(item)
    names = sorted(name for name in counts if is_name(name))
    for place in rng.permutation(len(names)).tolist():
        name, chance = names[place], rng.random()
        reason = _obstacle(facts, name, counts[name], members[name])
        if reason is None and counts[name] == FEWEST and chance > TWO_ASKED:
            reason = "two of a kind are asked about half of the time"
        if reason is not None:
            yield NotAsked(reason)
            continue
        yield SpatialQuestion(
            kind="count",
            text=TEXT.format(name=name),
            answer=str(counts[name]),
            value=float(counts[name]),
            margin=0.0,
            object_ids=tuple(item.item.object_id for item in members[name]),
            names=(name,),
        )


def _obstacle(facts: ViewFacts, name: str, count: int, members: list[Named]) -> str | None:
    if not FEWEST <= count <= MOST:
        return "there are too few or too many of the kind"
    if is_plural(name):
        return "an object of the kind may be several things"
    if UNRELIABLE & set(name.split()):
        return "the kind is not annotated reliably"
    if len(members) < count or not all(item.seen for item in members):
        return "some object of the kind is not seen well"
    if any(facts.is_ambiguous(name, item.item.labels) for item in members):
        return "another kind has a name that contains it, or is contained in it"
    return None


KIND = Kind(name="count", metric="number", find=find, views=("scene",))
