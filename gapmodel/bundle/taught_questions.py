"""The questions that a model was taught, in the words of its training: it understands those best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from gapdata.tasks import captioning, detection, grounding, pointmap
from gapdata.tasks.wordings import Wording

USUAL = "consistent"
"""The wording of a recipe that does not say which."""


def taught_questions(taught: Sequence[str], recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of the question of each task that has one, without the places of its images.

    What is different in each question stands in angle brackets. Types of questions about space have many texts.
    """
    wording = str(recipe.get("data", {}).get("wording") or USUAL)
    asked = grounding.OURS if wording == USUAL else grounding.THEIRS
    texts = {
        "pointmap": pointmap.WITH_LABEL,
        "detection": detection.question_text(0, cast(Wording, wording)),
        "grounding": asked.replace("{text}", "<description>"),
        "captioning": captioning.PROMPT.replace("{point}", "<[x, y, z]>"),
    }
    return {task: text.strip() for task, text in texts.items() if task in taught}
