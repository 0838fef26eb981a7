"""The fifth part of the page: the views that look worst by each quality figure, with the frames that show why."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from gapdata.records.codec import member_name
from gapdata.records.schema import Record
from gapdata.report.contents import BuildContents, worst_views
from gapdata.report.figures import FIGURES, Figure
from gapdata.report.markup import Markup, joined, tag
from gapdata.report.opened import OpenedRecords
from gapdata.report.pictures import depth_picture, frame_picture, picture_size

SHOWN = 20
WIDTH = 152


def worst(contents: BuildContents, opened: OpenedRecords, clouds: Collection[str]) -> Markup:
    """Show a section for each figure that opens and closes; figures that no view has are left out.

    Args:
        contents: the build.
        opened: its records.
        clouds: keys of the records that the 3D view has.
    """
    folds: list[Markup] = []
    drawn: dict[tuple[int, int, str], str] = {}
    for figure in FIGURES:
        values, items = contents.columns[figure.name], []
        for position in worst_views(values, figure, SHOWN):
            value = figure.text(float(values[position]))
            item = opened.read(position, partial(_item, opened, position, figure, value, drawn, clouds))
            items += [] if item is None else [item]
        if items:
            meaning = f" {'highest' if figure.worst_is_high else 'lowest'} first: {figure.meaning}"
            summary = tag("summary", tag("b", figure.title), tag("span", meaning, class_="meaning"))
            folds.append(tag("details", summary, tag("ol", *items, class_="worst"), open=not folds))
    return joined(folds) if folds else tag("p", "No view of this build has a quality figure.", class_="empty")


def _item(
    opened: OpenedRecords,
    position: int,
    figure: Figure,
    value: str,
    drawn: dict[tuple[int, int, str], str],
    clouds: Collection[str],
    record: Record,
) -> Markup:
    """Show one view of a list: its value and two small pictures, which ``drawn`` keeps for further lists."""
    pictures = []
    size = picture_size(record, WIDTH)
    for frame, suffix, text in _evidence(record, figure):
        place, title = (position, frame, suffix), text.format(record.frame_ids[frame])
        if place not in drawn:
            whole = opened.with_members(position, record, (member_name(frame, suffix),))
            drawn[place] = (frame_picture if suffix == "jpg" else depth_picture)(whole, frame, size)
        pictures.append(tag("img", src=drawn[place], alt=title, title=title, loading="lazy", decoding="async"))
    key = record.key
    button = tag("button", "3D", type="button", class_="show-cloud", data_key=key, aria_label=f"Show {key} in 3D")
    caption = tag("figcaption", tag("b", value), tag("span", key, class_="key"), button if key in clouds else None)
    return tag("li", tag("figure", tag("div", *pictures, class_="pair"), caption))


def _evidence(record: Record, figure: Figure) -> list[tuple[int, str, str]]:
    """Return frame, member and caption of the two pictures that show why a view looks bad.

    They are the frame with the least valid depth and that depth; the least sharp frame and the sharpest; or the pair of
    frames that agree worst.
    """
    values = record.quality.get(figure.name)
    numbers = isinstance(values, list) and all(isinstance(value, (int, float)) for value in values)
    if isinstance(values, list) and numbers and len(values) == len(record):
        low, high = values.index(min(values)), values.index(max(values))
        if figure.name == "valid_depth":
            return [(low, "jpg", "least depth: frame {}"), (low, "depth.png", "its depth")]
        return [(low, "jpg", "least sharp: frame {}"), (high, "jpg", "sharpest: frame {}")]
    pair = _outlier(record) if figure.name.startswith("neighbour_") else _pair(record)
    return [(frame, "jpg", "disagrees: frame {}") for frame in pair]


def _outlier(record: Record) -> list[int]:
    """Return the frame that disagrees most with its neighbours, as the record says, and one of these neighbours."""
    frame = record.quality.get("outlier")
    if isinstance(frame, int) and 0 <= frame < len(record) and len(record) > 1:
        order = sorted(range(len(record)), key=lambda at: record.frame_ids[at])
        place = order.index(frame)
        return [frame, order[place - 1] if place else order[1]]
    return _pair(record)


def _pair(record: Record) -> list[int]:
    """Return the two frames that are misaligned most, as the record says; else its first and last."""
    pair = record.quality.get("misaligned")
    if isinstance(pair, list) and all(isinstance(at, int) and 0 <= at < len(record) for at in pair):
        return pair[:2]
    return sorted({0, len(record) - 1})
