"""The quality figures of a view that the index holds: their names, which end is bad, and what limits them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gapdata.engine.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A column of ``index.parquet``. What is shown is the stored value times ``scale``, in ``unit``."""

    name: str
    title: str
    meaning: str
    unit: str
    scale: float
    digits: int
    worst_is_high: bool
    limit: Callable[[Recipe], float] | None = None
    """The stored value at which the recipe quarantines a view."""

    def text(self, value: float) -> str:
        """Return a stored value for people."""
        return f"{value * self.scale:.{self.digits}f}{self.unit and ' ' + self.unit}"


FIGURES = (
    Figure(
        name="valid_depth",
        title="Valid depth",
        meaning="share of pixels with depth, mean of the view's frames",
        unit="%",
        scale=100.0,
        digits=1,
        worst_is_high=False,
    ),
    Figure(
        name="sharpness",
        title="Sharpness",
        meaning="variance of the Laplacian over that of the image, mean of the view's frames",
        unit="",
        scale=1.0,
        digits=3,
        worst_is_high=False,
    ),
    Figure(
        name="reprojection_error",
        title="Reprojection error",
        meaning="distance between the surfaces that two frames see, worst pair of the view",
        unit="mm",
        scale=1000.0,
        digits=1,
        worst_is_high=True,
    ),
    Figure(
        name="misalignment",
        title="Misalignment",
        meaning="how far two frames would have to be moved to agree, worst pair of the view",
        unit="mm",
        scale=1000.0,
        digits=1,
        worst_is_high=True,
    ),
    Figure(
        name="free_space",
        title="Seen through",
        meaning="share of one frame's surfaces that are where another saw free space, worst pair of the view",
        unit="%",
        scale=100.0,
        digits=2,
        worst_is_high=True,
    ),
    Figure(
        name="neighbour_misalignment",
        title="Misalignment of neighbours",
        meaning="how far a frame would have to be moved to agree with most of its neighbours, worst frame of the view",
        unit="mm",
        scale=1000.0,
        digits=1,
        worst_is_high=True,
        limit=lambda recipe: recipe.quality.max_misalignment,
    ),
    Figure(
        name="neighbour_residual",
        title="Residual of neighbours",
        meaning="distance of a frame's surfaces from those of most neighbours, as a multiple of what noise explains, "
        "worst frame of the view",
        unit="",
        scale=1.0,
        digits=2,
        worst_is_high=True,
        limit=lambda recipe: recipe.quality.max_residual,
    ),
    Figure(
        name="overlap",
        title="Overlap",
        meaning="share of the surfaces of two adjacent frames that both see, median of the view",
        unit="%",
        scale=100.0,
        digits=1,
        worst_is_high=False,
    ),
)
