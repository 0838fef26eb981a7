"""The fifth part of the page: for each quality figure the views that look worst by it, with the frames that say why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from gapdata.records.codec import member_name
from gapdata.records.schema import Record
from gapdata.report.contents import BuildContents, worst_views
from gapdata.report.figures import FIGURES, Figure
from gapdata.report.markup import Markup, joined, tag
from gapdata.report.opened import OpenedRecords
from gapdata.report.pictures import depth_thumbnail, thumbnail

SHOWN = 20
WIDTH = 152


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstView:
    """One view of a list: its value, and two small pictures as ``data:`` addresses with what they show."""

    key: str
    value: str
    pictures: tuple[tuple[str, str], ...]


def worst_of_build(contents: BuildContents, opened: OpenedRecords) -> dict[str, list[WorstView]]:
    """By the figure's name, worst first; figures that no view has are left out."""
    found: dict[str, list[WorstView]] = {}
    drawn: dict[tuple[int, int, str], str] = {}
    for figure in FIGURES:
        values = contents.columns[figure.name]
        views = []
        for position in worst_views(values, figure, SHOWN):
            view = opened.read(position, partial(_worst_view, opened, position, figure, drawn))
            if view is not None:
                views.append(replace(view, value=figure.text(float(values[position]))))
        if views:
            found[figure.name] = views
    return found


def worst(lists: dict[str, list[WorstView]], clouds: Sequence[str]) -> Markup:
    """A fold for each figure; the first is open. ``clouds`` are the keys that the 3D view has."""
    if not lists:
        return tag("p", "No view of this build has a quality figure.", class_="empty")
    named = {figure.name: figure for figure in FIGURES}
    folds: list[Markup] = []
    for name, views in lists.items():
        figure = named[name]
        end = "highest" if figure.worst_is_high else "lowest"
        summary = tag(
            "summary", tag("b", figure.title), tag("span", f" {end} first: {figure.meaning}", class_="meaning")
        )
        items = [_item(view, view.key in clouds) for view in views]
        folds.append(tag("details", summary, tag("ol", *items, class_="worst"), open=not folds))
    return joined(folds)


def _item(view: WorstView, in_3d: bool) -> Markup:
    pictures = [
        tag("img", src=address, alt=text, title=text, loading="lazy", decoding="async")
        for address, text in view.pictures
    ]
    button = tag(
        "button", "3D", type="button", class_="show-cloud", data_key=view.key, aria_label=f"Show {view.key} in 3D"
    )
    caption = tag("figcaption", tag("b", view.value), tag("span", view.key, class_="key"), button if in_3d else None)
    return tag("li", tag("figure", tag("div", *pictures, class_="pair"), caption))


def _worst_view(
    opened: OpenedRecords, position: int, figure: Figure, drawn: dict[tuple[int, int, str], str], record: Record
) -> WorstView:
    """The frame with the least valid depth and that depth; the least sharp frame and the sharpest; the pair of frames
    that agree worst.
    """
    per_frame = _frame_values(record, figure)
    if per_frame:
        low, high = per_frame.index(min(per_frame)), per_frame.index(max(per_frame))
        if figure.name == "valid_depth":
            wanted = [(low, "jpg", "least depth: frame {}"), (low, "depth.png", "its depth")]
        else:
            wanted = [(low, "jpg", "least sharp: frame {}"), (high, "jpg", "sharpest: frame {}")]
    else:
        pair = _outlier(record) if figure.name.startswith("neighbour_") else _pair(record)
        wanted = [(frame, "jpg", "disagrees: frame {}") for frame in pair]
    shown = []
    for frame, suffix, text in wanted:
        place = (position, frame, suffix)
        if place not in drawn:
            whole = opened.with_members(position, record, (member_name(frame, suffix),))
            drawn[place] = (thumbnail if suffix == "jpg" else depth_thumbnail)(whole, frame, WIDTH)
        shown.append((drawn[place], text.format(record.frame_ids[frame])))
    return WorstView(key=record.key, value="", pictures=tuple(shown))


def _frame_values(record: Record, figure: Figure) -> list[float]:
    values = record.quality.get(figure.name)
    if not isinstance(values, list) or len(values) != len(record):
        return []
    return [float(value) for value in values] if all(isinstance(value, (int, float)) for value in values) else []


def _outlier(record: Record) -> list[int]:
    """The frame that disagrees most with its neighbours, as the record says, and one of these neighbours."""
    frame = record.quality.get("outlier")
    if isinstance(frame, int) and 0 <= frame < len(record) and len(record) > 1:
        order = sorted(range(len(record)), key=lambda at: record.frame_ids[at])
        place = order.index(frame)
        return [frame, order[place - 1] if place else order[1]]
    return _pair(record)


def _pair(record: Record) -> list[int]:
    """The two frames that are misaligned most, as the record says; its first and last where it says nothing."""
    pair = record.quality.get("misaligned")
    if isinstance(pair, list) and all(isinstance(at, int) and 0 <= at < len(record) for at in pair):
        return pair[:2]
    return sorted({0, len(record) - 1})
