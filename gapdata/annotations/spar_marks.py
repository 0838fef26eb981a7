"""Read the marks of a SPAR question: which colour is a disc or a box, at which place of which image.

A mark is ``red_point: [[x, y]]`` or ``blue_bbox: [[x1, y1, x2, y2]]`` in thousandths of the image's sides. One image
has all marks; of several, ``point_img_idx: [[0, 2, 1]]`` or ``bbox_img_idx`` has the position of each mark's image, in
an order of colours of the type's own. Both follow SPAR's program that draws them (``datasets/draw_marker.py``). It
writes names beside the marks of some types on videos; these are not drawn here, so their questions are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gapdata.annotations.benchmark import ColorMark
from gapdata.annotations.kept_rows import LeftOut
from gapdata.files.checked_values import finite, integers

SIDE = 1000.0
"""The largest coordinate."""
LABELLED = frozenset(
    {
        *("spatial_imagination_map_mv", "distance_infer_center_oo_video"),
        *("spatial_imagination_oc_video", "spatial_imagination_oo_video"),
    }
)
"""Types whose marks have names written beside them."""


@dataclass(frozen=True, slots=True)
class MarkRule:
    """The shape of a type's marks and their colours in the order of the list of positions.

    ``on``: each mark has an image of its own in that list, or all are on the one that it begins with, or on the first
    image whatever it says. ``some``: not all of the colours need be there.
    """

    shape: Literal["point", "bbox"]
    colors: tuple[str, ...]
    on: Literal["each", "one", "first"] = "each"
    some: bool = False


RULES: Mapping[str, MarkRule] = {
    "obj_spatial_relation_oo": MarkRule("bbox", ("red", "blue")),
    "depth_prediction_oc": MarkRule("point", ("red", "blue")),
    "depth_prediction_oo": MarkRule("point", ("red", "blue", "green")),
    "distance_prediction_oc": MarkRule("point", ("red",)),
    "distance_prediction_oo": MarkRule("point", ("red", "blue")),
    "distance_infer_center_oo": MarkRule("point", ("red", "blue", "green")),
    "spatial_volume_infer": MarkRule("bbox", ("red",)),
    "spatial_imagination_oc": MarkRule("bbox", ("red", "blue", "green")),
    "spatial_imagination_oo": MarkRule("bbox", ("red", "blue", "green", "yellow")),
    "position_matching": MarkRule("bbox", ("red",), on="first"),
    "depth_prediction_oc_mv": MarkRule("point", ("red", "blue")),
    "depth_prediction_oo_mv": MarkRule("point", ("red", "blue", "green")),
    "distance_prediction_oc_mv": MarkRule("point", ("red",)),
    "distance_prediction_oo_mv": MarkRule("point", ("red", "blue")),
    "distance_prediction_oo_video": MarkRule("point", ("red", "blue")),
    "distance_infer_center_oo_mv": MarkRule("point", ("red", "green", "blue")),
    "obj_spatial_relation_oc_mv": MarkRule("bbox", ("red", "blue", "green"), on="one", some=True),
    "obj_spatial_relation_oo_mv": MarkRule("bbox", ("red", "blue", "green"), some=True),
    "spatial_imagination_oc_mv": MarkRule("bbox", ("green", "blue", "red")),
    "spatial_imagination_oo_mv": MarkRule("bbox", ("green", "blue", "red", "yellow")),
    "obj_frame_locate": MarkRule("bbox", ("red",)),
}
"""By type; the others have no marks."""


def spar_marks(kind: str, facts: Mapping[str, Any], images: int) -> tuple[ColorMark, ...]:
    """Return the marks of a question.

    Args:
        kind: its type.
        facts: the fields of its line.
        images: their number.

    Raises:
        LeftOut: a mark is missing, lies outside the image, or has no image; or marks of the type bear names.
    """
    if kind in LABELLED:
        raise LeftOut("marks_with_names_beside_them", kind)
    rule = RULES.get(kind)
    if rule is None:
        return ()
    there = [color for color in rule.colors if facts.get(f"{color}_{rule.shape}")]
    if there != list(rule.colors) and not (rule.some and there):
        raise LeftOut("question_without_its_marks", kind)
    frames = _frames(facts.get(f"{rule.shape}_img_idx"), rule, len(there), images)
    return tuple(
        (frame, color, _place(facts[f"{color}_{rule.shape}"], rule.shape))
        for frame, color in zip(frames, there, strict=True)
    )


def _frames(value: Any, rule: MarkRule, marks: int, images: int) -> tuple[int, ...]:
    """Return the position of the image of each mark."""
    if images == 1 or rule.on == "first":
        return (0,) * marks
    listed = value[0] if isinstance(value, list) and len(value) == 1 else value
    found = integers(listed, 2 * len(rule.colors))
    needed = 1 if rule.on == "one" else marks
    if found is None or len(found) < needed or max(found[:needed]) >= images:
        raise LeftOut("mark_without_an_image", str(value)[:60])
    return (found[0],) * marks if rule.on == "one" else found[:marks]


def _place(value: Any, shape: str) -> tuple[float, ...]:
    numbers = finite(value[0] if isinstance(value, list) and value else None, (2 if shape == "point" else 4,))
    if numbers is None or numbers.min() < 0 or numbers.max() > SIDE:
        raise LeftOut("mark_outside_the_image", str(value)[:60])
    if shape == "bbox" and not (numbers[2:] > numbers[:2]).all():
        raise LeftOut("mark_is_an_empty_box", str(value)[:60])
    return tuple(numbers.tolist())
