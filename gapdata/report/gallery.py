"""The third part of the page: chosen views as a model meets them, with their marks, instance masks and depth."""

from __future__ import annotations

from dataclasses import dataclass

from gapdata.records.schema import Prompt, Record
from gapdata.report.contents import spread
from gapdata.report.figures import FIGURES
from gapdata.report.markup import Markup, joined, tag
from gapdata.report.opened import OpenedRecords
from gapdata.report.pictures import FramePicture, frame_members, frame_picture
from gapdata.runtime.counting import counted
from gapdata.show.scene.palette import object_color

SHOWN_FRAMES = 4
WIDTH = 320
SHOWN_LABELS = 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GalleryView:
    """A record without its members, and pictures of some of its frames."""

    record: Record
    pictures: tuple[FramePicture, ...]


def gallery_view(opened: OpenedRecords, position: int) -> GalleryView | None:
    """Pictures of at most :data:`SHOWN_FRAMES` frames of a record; ``None`` where it is damaged."""

    def take(record: Record) -> GalleryView:
        pictures = []
        for frame in shown_frames(record):
            whole = opened.with_members(position, record, frame_members(frame))
            pictures.append(frame_picture(whole, frame, WIDTH))
        return GalleryView(record=record, pictures=tuple(pictures))

    return opened.read(position, take)


def shown_frames(record: Record) -> list[int]:
    """The first frame, then those with the most prompts, then an even spread, in the view's order."""
    marked = [sum(prompt.frame == frame for prompt in record.prompts) for frame in range(len(record))]
    by_prompts = sorted((frame for frame in range(len(record)) if marked[frame]), key=lambda frame: -marked[frame])
    wanted = list(dict.fromkeys([0, *by_prompts[: SHOWN_FRAMES - 1], *spread(len(record), SHOWN_FRAMES)]))
    return sorted(wanted[: min(SHOWN_FRAMES, len(record))])


def gallery(views: list[GalleryView]) -> Markup:
    """All chosen views, each an article, under the switches of what is laid over them."""
    switches = [
        tag("label", tag("input", type="checkbox", id=f"show-{name}", checked=on), text)
        for name, text, on in (("marks", "marks", True), ("masks", "instance masks", True), ("depth", "depth", False))
    ]
    controls = tag("fieldset", tag("legend", "Lay over the frames"), *switches, class_="switches")
    return tag(
        "div", controls, tag("div", *(_article(view) for view in views), class_="gallery"), class_="gallery-part"
    )


def _article(view: GalleryView) -> Markup:
    record = view.record
    head = tag(
        "header",
        tag("h3", record.key),
        tag("p", f"{record.view} of {counted(len(record), 'frame')}, {record.split}", class_="meaning"),
        tag("button", "Show in 3D", type="button", class_="show-cloud", data_key=record.key),
    )
    strip = tag("div", *(_frame(record, picture) for picture in view.pictures), class_="strip")
    more = len(record) - len(view.pictures)
    note = (
        tag("p", f"{counted(more, 'more frame')} {'is' if more == 1 else 'are'} not shown.", class_="note")
        if more > 0
        else None
    )
    return tag("article", head, strip, note, _labels(record), _prompts(record), class_="view")


def _frame(record: Record, picture: FramePicture) -> Markup:
    width, height = picture.size
    frame_id = record.frame_ids[picture.frame]
    named = ", ".join(prompt.label or "an unnamed point" for prompt in picture.prompts)
    text = f"Frame {frame_id} of {record.scene_id}" + (f", marks on {named}" if named else "")
    shared = {"width": width, "height": height, "loading": "lazy", "decoding": "async"}
    layers = [
        tag("img", src=picture.image, alt=text, **shared),
        tag("img", src=picture.depth, alt="", class_="depth", **shared),
    ]
    if picture.mask is not None:
        layers.append(tag("img", src=picture.mask, alt="", class_="mask", **shared))
    marks = [_mark(record, prompt) for prompt in picture.prompts]
    view_box = f"-0.5 -0.5 {record.image_size[0]} {record.image_size[1]}"
    layers.append(tag("svg", *marks, viewBox=view_box, class_="marks", aria_hidden="true"))
    caption = tag("figcaption", tag("b", f"frame {frame_id}"), _frame_figures(record, picture.frame))
    return tag("figure", tag("div", *layers, class_="layers"), caption)


def _mark(record: Record, prompt: Prompt) -> Markup:
    """A ring and a number; its size follows the picture and not the training mark, which is a few pixels."""
    u, v = prompt.pixel
    unit = record.image_size[0] / WIDTH
    where = "({:.2f}, {:.2f}, {:.2f}) m".format(*prompt.point)
    return tag(
        "g",
        tag("title", f"{prompt.index}: {prompt.label or 'no label'} at {where}"),
        tag("circle", r=f"{5.5 * unit:.2f}", class_="halo", stroke_width=f"{3.4 * unit:.2f}"),
        tag("circle", r=f"{5.5 * unit:.2f}", stroke_width=f"{1.6 * unit:.2f}"),
        tag(
            "text",
            str(prompt.index),
            x=f"{8 * unit:.2f}",
            y=f"{-5 * unit:.2f}",
            font_size=f"{11 * unit:.2f}",
            stroke_width=f"{2.6 * unit:.2f}",
        ),
        transform=f"translate({u} {v})",
    )


def _frame_figures(record: Record, frame: int) -> str:
    """The figures that a record holds for every frame."""
    texts = []
    for figure in FIGURES:
        values = record.quality.get(figure.name)
        if isinstance(values, list) and len(values) == len(record) and isinstance(values[frame], (int, float)):
            texts.append(f"{figure.title.lower()} {figure.text(values[frame])}")
    return f" {', '.join(texts)}" if texts else ""


def _labels(record: Record) -> Markup | None:
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
    rows = [
        tag(
            "li",
            tag("b", str(prompt.index)),
            tag("span", prompt.label or "(no label)"),
            tag("span", "({:.2f}, {:.2f}, {:.2f}) m".format(*prompt.point), class_="number"),
            value=prompt.index,
        )
        for prompt in record.prompts
    ]
    summary = tag("summary", counted(len(rows), "prompt"))
    return tag("details", summary, joined([tag("ol", *rows, class_="prompts")]))
