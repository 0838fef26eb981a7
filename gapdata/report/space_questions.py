"""Questions about space with the frames that they are about, for a person to answer before the answer is uncovered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from gapdata.records.codec import member_name
from gapdata.records.schema import Record
from gapdata.report.contents import spread
from gapdata.report.markup import Markup, tag
from gapdata.report.opened import OpenedRecords
from gapdata.report.pictures import marked_picture, objects_picture, picture_size
from gapdata.report.plan_sketch import plan_sketch
from gapdata.seeding import generator_for
from gapdata.show.scene.palette import object_color
from gapdata.tasks.spatial.question import LETTERS, frame_name
from gapdata.tasks.spatial.question_file import AskedQuestion

SHOWN = 50
SHOWN_FRAMES = 4
WIDTH, FEW_WIDTH, MARKED_WIDTH = 272, 384, 512
"""Pixels of a frame's picture; one or two are larger, and so are marked ones, because marks are small."""
FEW = 2
CLEAR = 100  # pixels from which on an object can be told


def drawn_questions(questions: Sequence[AskedQuestion], wanted: int) -> list[AskedQuestion]:
    """Return so many questions drawn at random, of all forms in turn, whatever the order of ``questions``."""
    forms: dict[tuple[str, str], list[AskedQuestion]] = defaultdict(list)
    for item in sorted(questions, key=lambda item: generator_for(0, "shown", item.id).random()):
        forms[item.question.kind, item.question.form].append(item)
    turns = max(map(len, forms.values()), default=0)
    found = [items[turn] for turn in range(turns) for _, items in sorted(forms.items()) if turn < len(items)]
    return sorted(found[:wanted], key=lambda item: (item.question.kind, item.question.form, item.id))


def question_view(opened: OpenedRecords, position: int, asked: AskedQuestion) -> Markup | None:
    """Show one question about the record at a position of the index; ``None`` where the record is damaged."""

    def article(record: Record) -> Markup:
        item, frames = asked.question, frames_of(record, asked)
        marked = {mark.frame for mark in item.marks}
        pictures = []
        for frame in frames:
            names = tuple(member_name(frame, suffix) for suffix in ("jpg", "instance.png"))
            whole = opened.with_members(position, record, names)
            width = MARKED_WIDTH if frame in marked else FEW_WIDTH if len(frames) <= FEW else WIDTH
            pictures.append(_picture(whole, asked, frame, width))
        options = [tag("li", option) for option in item.options]
        more = len(record) - len(frames)
        note = f"{len(frames)} of {len(record)} frames" if more > 0 else None
        return tag(
            "article",
            tag("header", tag("h3", _title(asked)), tag("p", record.key, class_="meaning")),
            tag("p", item.text.partition("\n")[0], class_="ask"),
            tag("ol", *options, class_="options") if options else None,
            tag("div", *pictures, class_="strip"),
            tag("p", note, class_="note") if note else None,
            _answer(record, asked, frames),
            class_="view question",
        )

    return opened.read(position, article)


def frames_of(record: Record, asked: AskedQuestion) -> list[int]:
    """Return the frames to show: those that the question names, else those that show its objects, else a spread.

    Of an order of appearance they are the first ones that show each object.
    """
    item = asked.question
    if item.frames:
        return sorted(set(item.frames))
    objects = [other for other in record.objects if other.object_id in item.object_ids and max(other.visible_pixels)]
    if item.kind == "order":
        first = [_first(other.visible_pixels) for other in objects]
        return sorted({frame for frame in first if frame is not None})[:SHOWN_FRAMES]
    left, chosen = list(objects), list[int]()
    while left and len(chosen) < SHOWN_FRAMES:
        seen = {frame: [_share(other.visible_pixels, frame) for other in left] for frame in range(len(record))}
        frame = max(seen, key=lambda frame: sum(seen[frame]))
        chosen.append(frame)
        left = [other for other, share in zip(left, seen[frame], strict=True) if share < 0.5]
    return sorted(set(chosen)) or spread(len(record), SHOWN_FRAMES)


def _share(pixels: Sequence[int], frame: int) -> float:
    """Return the pixels of an object in a frame as a share of those in the frame that shows the most."""
    return pixels[frame] / max(*pixels, 1)


def _first(pixels: Sequence[int]) -> int | None:
    return next((frame for frame, count in enumerate(pixels) if count >= CLEAR), None)


def _picture(record: Record, asked: AskedQuestion, frame: int, width: int) -> Markup:
    size, item = picture_size(record, width), asked.question
    marks = {mark.number: mark.pixel for mark in item.marks if mark.frame == frame}
    shared = {"width": size[0], "height": size[1], "loading": "lazy", "decoding": "async"}
    name = f"{frame_name(frame)} of {len(record)}"
    text = f"{name} of {record.scene_id}" + (f" with {len(marks)} marks" if marks else "")
    layers = [tag("img", src=marked_picture(record, frame, marks, size), alt=text, **shared)]
    if item.object_ids and member_name(frame, "instance.png") in record.members:
        drawn = objects_picture(record, frame, item.object_ids, size)
        layers.append(tag("img", src=drawn, alt="", class_="mask", **shared))
    return tag(
        "figure", tag("div", *layers, class_="layers"), tag("figcaption", name), class_="marked" if marks else None
    )


def _answer(record: Record, asked: AskedQuestion, frames: Sequence[int]) -> Markup:
    """Return the answer with its provenance, closed until it is clicked."""
    item = asked.question
    answer = f"{item.answer}. {asked.answer_text}" if item.options else item.answer
    labels = {other.object_id: other.label for other in record.objects}
    labels |= dict(zip(item.object_ids, item.names, strict=False))
    chips = [
        tag(
            "li",
            tag("i", style="--color:rgb({},{},{})".format(*object_color(position))),
            labels.get(number, str(number)),
        )
        for position, number in enumerate(item.object_ids)
    ]
    facts = [("value", f"{item.value:.4g}"), *([("margin", f"{item.margin:.4g}")] if item.options else [])]
    facts += [("id", asked.id)]
    facts += [("distance of the meshes", f"{item.mesh_value:.4g} m")] if item.mesh_value is not None else []
    facts += [("marks", ", ".join(f"{mark.number}: {mark.pixel}" for mark in item.marks))] if item.marks else []
    facts += [("frames of the source", ", ".join(str(record.frame_ids[frame]) for frame in item.frames or frames))]
    rows = [part for name, value in facts for part in (tag("dt", name), tag("dd", value))]
    plan = plan_sketch(record, item.object_ids, item.frames) if item.object_ids or item.kind == "room" else None
    told = tag("div", tag("dl", *rows, class_="facts"), tag("ul", *chips, class_="chips", aria_label="Objects"))
    return tag(
        "details",
        tag("summary", "Show the answer"),
        tag("p", tag("b", answer), class_="answer"),
        tag("div", told, plan, class_="provenance"),
    )


def _title(asked: AskedQuestion) -> str:
    item = asked.question
    return item.kind.replace("_", " ") + (f", {item.form}" if item.form else "")


def letters_and_texts(questions: Sequence[AskedQuestion]) -> tuple[dict[str, int], dict[str, int]]:
    """Count the right letters and the texts of the right options of letter questions."""
    letters = dict.fromkeys(LETTERS[: max(len(item.question.options) for item in questions)], 0)
    texts: dict[str, int] = defaultdict(int)
    for item in questions:
        letters[item.question.answer] += 1
        texts[item.answer_text] += 1
    return letters, dict(sorted(texts.items(), key=lambda pair: (-pair[1], pair[0])))
