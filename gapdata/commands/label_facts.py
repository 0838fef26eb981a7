"""What the objects of a data set are called, and which of their labels have no name in our taxonomies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from gapdata.errors import SourceError
from gapdata.runtime.counting import counted, few
from gapdata.sources.base import Dataset

TAXONOMIES = ("nyu40", "embodiedscan")
"""Those that have a name for nearly every object; the others leave most objects out on purpose."""
SHOWN = 30
"""Labels that the text names, the most frequent first."""


def describe_labels(dataset: Dataset, progress: Callable[[int], None] = lambda scenes: None) -> dict[str, Any]:
    """Return how many objects have each label, and which labels lack a name, the most frequent first.

    Args:
        dataset: whose annotations are read, scene by scene.
        progress: called with the number of scenes that are done.
    """
    counts: Counter[str] = Counter()
    unreadable: dict[str, str] = {}
    annotated = [scene for scene in dataset.scene_ids if dataset.annotated(scene)]
    for scene_id in annotated:
        try:
            with dataset.open_scan(scene_id) as scan:
                annotation = scan.annotation()
        except SourceError as error:
            unreadable[scene_id] = error.problem
        else:
            counts.update(item.label for item in (annotation.objects if annotation is not None else ()))
        progress(1)
    ordered = dict(counts.most_common())
    return {
        "path": str(dataset.root),
        "annotated_scenes": len(annotated),
        "unreadable": unreadable,
        "objects": counts.total(),
        "labels": ordered,
        "without_a_name": {
            taxonomy: {label: count for label, count in ordered.items() if taxonomy not in dataset.labels(label)}
            for taxonomy in TAXONOMIES
        },
    }


def format_labels(facts: dict[str, Any]) -> str:
    """Return the facts of :func:`describe_labels` as text for a terminal."""
    objects, labels = counted(facts["objects"], "object"), counted(len(facts["labels"]), "label")
    lines = [
        f"{facts['path']}: {objects} with {labels} in {counted(facts['annotated_scenes'], 'annotated scene')}",
        f"  {_listed(facts['labels']) or 'no object'}",
    ]
    for taxonomy, without in facts["without_a_name"].items():
        lacking = f"{counted(len(without), 'label')} of {counted(sum(without.values()), 'object')}"
        lines.append(f"  without a name in {taxonomy}: {lacking}{': ' if without else ''}{_listed(without)}")
    lines += [f"  {scene} cannot be read: {problem}" for scene, problem in facts["unreadable"].items()]
    return "\n".join(lines)


def _listed(labels: dict[str, int]) -> str:
    return few([f"{count} {label}" for label, count in labels.items()], SHOWN)
