"""The third part of the page: chosen views as a model sees them, with their marks, instance masks and depth."""

from __future__ import annotations

from collections.abc import Iterable

from gapdata.records.codec import member_name
from gapdata.records.schema import Prompt, Record
from gapdata.report.contents import spread
from gapdata.report.figures import FIGURES
from gapdata.report.markup import Markup, joined, tag
from gapdata.report.opened import OpenedRecords
from gapdata.report.pictures import depth_picture, frame_picture, mask_picture, picture_size
from gapdata.runtime.counting import counted
from gapdata.show.scene.palette import object_color

SHOWN_FRAMES = 4
WIDTH = 320
SHOWN_LABELS = 24


def gallery(views: Iterable[Markup]) -> Markup:
    """Put the articles of all chosen views below the switches for marks, masks and depth."""
    switches = [
        tag("label", tag("input", type="checkbox", id=f"show-{name}", checked=on), text)
        for name, text, on in (("marks", "marks", True), ("masks", "instance masks", True), ("depth", "depth", False))
    ]
    controls = tag("fieldset", tag("legend", "Show over the frames"), *switches, class_="switches")
    return tag("div", controls, tag("div", *views, class_="gallery"), class_="gallery-part")


def gallery_view(opened: OpenedRecords, position: int) -> Markup | None:
    """Show a record with pictures of at most :data:`SHOWN_FRAMES` frames; ``None`` where it is damaged."""

    def article(record: Record) -> Markup:
        frames = []
        for frame in shown_frames(record):
            names = tuple(member_name(frame, suffix) for suffix in ("jpg", "depth.png", "instance.png"))
            frames.append(_frame(opened.with_members(position, record, names), frame))
        head = tag(
            "header",
            tag("h3", record.key),
            tag("p", f"{record.view} of {counted(len(record), 'frame')}, {record.split}", class_="meaning"),
            tag("button", "Show in 3D", type="button", class_="show-cloud", data_key=record.key),
        )
        more = len(record) - len(frames)
        text = f"{counted(more, 'more frame')} {'is' if more == 1 else 'are'} not shown."
        note = tag("p", text, class_="note") if more > 0 else None
        strip = tag("div", *frames, class_="strip")
        return tag("article", head, strip, note, _labels(record), _prompts(record), class_="view")

    return opened.read(position, article)


def shown_frames(record: Record) -> list[int]:
    """Choose the first frame, then those with the most prompts, then an even spread; in the view's order."""
    marked = [sum(prompt.frame == frame for prompt in record.prompts) for frame in range(len(record))]
    by_prompts = sorted((frame for frame in range(len(record)) if marked[frame]), key=lambda frame: -marked[frame])
    wanted = list(dict.fromkeys([0, *by_prompts[: SHOWN_FRAMES - 1], *spread(len(record), SHOWN_FRAMES)]))
    return sorted(wanted[: min(SHOWN_FRAMES, len(record))])


def _frame(record: Record, frame: int) -> Markup:
    size, frame_id = picture_size(record, WIDTH), record.frame_ids[frame]
    prompts = [prompt for prompt in record.prompts if prompt.frame == frame]
    named = ", ".join(prompt.label or "an unnamed point" for prompt in prompts)
    text = f"Frame {frame_id} of {record.scene_id}" + (f", marks on {named}" if named else "")
    shared = {"width": size[0], "height": size[1], "loading": "lazy", "decoding": "async"}
    layers = [
        tag("img", src=frame_picture(record, frame, size), alt=text, **shared),
        tag("img", src=depth_picture(record, frame, size), alt="", class_="depth", **shared),
    ]
    if member_name(frame, "instance.png") in record.members:
        layers.append(tag("img", src=mask_picture(record, frame, size), alt="", class_="mask", **shared))
    view_box = f"-0.5 -0.5 {record.image_size[0]} {record.image_size[1]}"
    marks = [_mark(record, prompt) for prompt in prompts]
    layers.append(tag("svg", *marks, viewBox=view_box, class_="marks", aria_hidden="true"))
    caption = tag("figcaption", tag("b", f"frame {frame_id}"), _frame_figures(record, frame))
    return tag("figure", tag("div", *layers, class_="layers"), caption)


def _mark(record: Record, prompt: Prompt) -> Markup:
    """Draw a ring and a number; its size follows the picture and not the training mark, which is a few pixels."""
    unit = record.image_size[0] / WIDTH
    sizes = {name: f"{value * unit:.2f}" for name, value in (("r", 5.5), ("halo", 3.4), ("ring", 1.6), ("edge", 2.6))}
    place = {"x": f"{8 * unit:.2f}", "y": f"{-5 * unit:.2f}", "font_size": f"{11 * unit:.2f}"}
    where = "({:.2f}, {:.2f}, {:.2f}) m".format(*prompt.point)
    return tag(
        "g",
        tag("title", f"{prompt.index}: {prompt.label or 'no label'} at {where}"),
        tag("circle", r=sizes["r"], class_="halo", stroke_width=sizes["halo"]),
        tag("circle", r=sizes["r"], stroke_width=sizes["ring"]),
        tag("text", str(prompt.index), **place, stroke_width=sizes["edge"]),
        transform="translate({} {})".format(*prompt.pixel),
    )


def _frame_figures(record: Record, frame: int) -> str:
    """Return the figures that a record holds for each frame, in words."""
    texts = []
    for figure in FIGURES:
        values = record.quality.get(figure.name)
        if isinstance(values, list) and len(values) == len(record) and isinstance(values[frame], (int, float)):
            texts.append(f"{figure.title.lower()} {figure.text(values[frame])}")
    return f" {', '.join(texts)}" if texts else ""


def _labels(record: Record) -> Markup:
    if not record.objects:
        return tag("p", "No annotated objects.", class_="note")
    most_visible = sorted(record.objects, key=lambda item: -max(item.visible_pixels, default=0))
    chips = [
        tag("li", tag("i", style="--color:rgb({},{},{})".format(*object_color(item.object_id))), item.label)
        for item in most_visible[:SHOWN_LABELS]
    ]
    more = len(record.objects) - SHOWN_LABELS
    return tag("ul", *chips, tag("li", f"and {more} more") if more > 0 else None, class_="chips", aria_label="Objects")


def _prompts(record: Record) -> Markup | None:
    if not record.prompts:
        return None
    rows = []
    for prompt in record.prompts:
        point = tag("span", "({:.2f}, {:.2f}, {:.2f}) m".format(*prompt.point), class_="number")
        name = tag("span", prompt.label or "(no label)")
        rows.append(tag("li", tag("b", str(prompt.index)), name, point, value=prompt.index))
    summary = tag("summary", counted(len(rows), "prompt"))
    return tag("details", summary, joined([tag("ol", *rows, class_="prompts")]))
