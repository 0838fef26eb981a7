"""How a recipe's questions are put, as the tasks want it."""

from __future__ import annotations

from typing import cast

from gapdata.geometry.boxes import EulerConvention
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.targets import CaptionPoint, TargetBox
from gapdata.tasks.task import QuestionOptions
from gapdata.tasks.wordings import Wording, convention_of
from gapmodel.questions.recipe import DataRecipe


def euler_convention(recipe: DataRecipe) -> EulerConvention:
    """The convention in which the recipe's nine numbers are written."""
    named = cast("EulerConvention", recipe.convention) if recipe.convention else None
    return convention_of(cast("Wording", recipe.wording), named)


def question_options(recipe: DataRecipe) -> QuestionOptions:
    """How the recipe asks; its words were checked when it was read."""
    return QuestionOptions(
        wording=cast("Wording", recipe.wording),
        convention=euler_convention(recipe),
        taxonomy=recipe.taxonomy or None,
        missing_label=cast("MissingLabel", recipe.missing_label),
        min_visible_pixels=recipe.min_visible_pixels,
        max_objects=recipe.max_objects or None,
        marks=recipe.marks,
        boxes=cast("TargetBox", recipe.boxes),
        caption_point=cast("CaptionPoint", recipe.caption_point),
    )
