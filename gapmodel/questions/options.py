"""The options of the tasks' questions, out of a recipe."""

from __future__ import annotations

from gapdata.geometry.boxes import EulerConvention
from gapdata.tasks.task import QuestionOptions
from gapdata.tasks.wordings import convention_of
from gapmodel.questions.recipe import DataRecipe


def euler_convention(recipe: DataRecipe) -> EulerConvention:
    """Return the convention in which a box's nine numbers are written."""
    return convention_of(recipe.wording, recipe.convention or None)


def question_options(recipe: DataRecipe) -> QuestionOptions:
    """Return the options with which questions are asked."""
    return QuestionOptions(
        wording=recipe.wording,
        convention=euler_convention(recipe),
        taxonomy=recipe.taxonomy or None,
        missing_label=recipe.missing_label,
        min_visible_pixels=recipe.min_visible_pixels,
        max_objects=recipe.max_objects or None,
        marks=recipe.marks,
        boxes=recipe.boxes,
        caption_point=recipe.caption_point,
        per_kind=recipe.per_kind,
    )
