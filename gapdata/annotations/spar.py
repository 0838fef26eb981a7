"""Read SPAR's questions about one or several frames of a scan: SPAR-7M's JSON lines, and SPAR-Bench.

A line of SPAR-7M has ``id, conversations`` (one turn of each side), ``image`` (paths such as
``scene0261_00/image_color/543.jpg`` or ``.../video_color/frame3_106.jpg``, which end in the raw index), ``type``, and
marks: ``red_point``, ``blue_bbox`` and so on, ``[[x, y]]`` or ``[[x1, y1, x2, y2]]`` from 0 to 1000 of the image's
sides, with the position of each mark's image in ``point_img_idx`` or ``bbox_img_idx``. VG-LLM's selection
(``spar_234k.json``) has ``images``, and type and marks as a JSON text in ``spar_info``. SPAR-Bench
(``data/test-*.parquet``: ``id, img_type, format_type, task, source, image, question, answer``) holds the images
themselves, with marks drawn in; a question of it is kept only where the path of each image names scene and frame.

Raw indices of ScanNet alone are those of its frames here: ScanNet++'s video has twice as many.

The placeholders of images stand where SPAR's loader puts them (``datasets/toy_dataset.py``): before the question, each
on a line, and named ``Frame-1`` and so on where there are more than ten. SPAR-Bench's questions end as in lmms-eval
(``tasks/sparbench``: ``sparbench_doc_to_text``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from gapdata.annotations.benchmark import (
    IMAGE,
    BenchmarkQuestion,
    Questions,
    asked,
    question_id,
)
from gapdata.annotations.frame_names import MAX_FRAME_ID, MAX_PATH
from gapdata.annotations.kept_rows import LeftOut, fields_of, keep_rows
from gapdata.annotations.rows import annotation_rows
from gapdata.annotations.spar_marks import spar_marks
from gapdata.files.checked_values import MAX_TEXT, text
from gapdata.files.json_text import decode_json
from gapdata.files.storage import Location

KIND, BENCH_KIND = "SPAR-7M", "SPAR-Bench"
BENCH_COLUMNS = ("id", "task", "source", "image", "question", "answer")
TYPE = re.compile(
    r"(?:depth_prediction|distance_prediction|distance_infer_center|obj_spatial_relation|spatial_imagination"
    r"|position_matching|camera_motion_infer|view_change_infer|spatial_volume_infer|obj_count|room_size"
    r"|appearance_order|obj_frame_locate|nav)(?:_(?:oc|oo|map|mv|video|hard))*"
)
"""The names of SPAR's types; by them its lines are told from GAP-MLLM's and VG-LLM's, which look alike."""
NUMBER_TYPE = re.compile(r"(?:depth|distance)_prediction_.*")
UNWORDED_TYPE = "view_change_infer"
BOX_TYPES = frozenset({"position_matching", "camera_motion_infer"})
AFTER_NUMBER = "Please answer the question using a single word or phrase."
AFTER_LETTER = "Answer with the option's letter from the given choices directly."
AFTER_BOXES = (
    "The values represent the bounding box coordinates normalized to a 0-1000 scale, with the top-left corner as the "
    "origin of the image."
)
FRAME = re.compile(
    r"(?:.*/)?(?P<scene>scene[0-9]{4}_[0-9]{2})/(?:image|video)_color/(?:frame[0-9]{1,6}_)?(?P<frame>[0-9]{1,6})"
    r"\.(?:jpg|jpeg|png)",
    re.IGNORECASE,
)
OTHER_SCENE = re.compile(r"(?:.*/)?[A-Za-z0-9_-]{1,100}/(?:image|video)_color/[A-Za-z0-9_-]{1,40}\.(?:jpg|jpeg|png)")
MAX_IMAGES = 64
NAMED_FROM = 11
"""Images from which on SPAR's loader names each of them."""
LEADING = re.compile(r"(?:(?:Frame-[0-9]{1,2}: ?)?<image>\n?|<video>\n?)+")


def is_spar(item: Mapping[str, Any]) -> bool:
    """Return whether a conversation with images is SPAR's."""
    kind = item.get("type")
    return "spar_info" in item or (isinstance(kind, str) and TYPE.fullmatch(kind) is not None)


def read_spar(path: Location, scene_ids: Collection[str] | None = None) -> Questions:
    """Read SPAR-7M's lines, or a list of them, and keep the scenes named (all by default).

    Raises:
        FileError: the file cannot be read or is not JSON.
    """
    rows = annotation_rows(path, ())
    return keep_rows(path, KIND, rows, lambda row, index: _line(row, path.name, index), scene_ids)


def read_spar_bench(path: Location, scene_ids: Collection[str] | None = None) -> Questions:
    """Read SPAR-Bench's rows and keep the scenes named (all by default).

    Raises:
        FileError: the file cannot be read, or is neither JSON nor Parquet.
    """
    rows = annotation_rows(path, BENCH_COLUMNS)
    return keep_rows(path, BENCH_KIND, rows, lambda row, index: _bench_row(row, path.name, index), scene_ids)


def _line(row: Any, source: str, index: int) -> BenchmarkQuestion:
    fields = fields_of(row)
    facts = _facts(fields)
    kind = _type(facts.get("type"))
    scene_id, frame_ids = _places(fields.get("image", fields.get("images")))
    question, answer = _turns(fields.get("conversations"))
    marks = spar_marks(kind, facts, len(frame_ids))
    return BenchmarkQuestion(
        scene_id=scene_id,
        benchmark="spar-7m",
        question=_placeholders(len(frame_ids)) + question,
        answer=answer,
        answers=(answer,),
        question_type=kind,
        id=question_id(fields.get("id")),
        frame_ids=frame_ids,
        marks=marks,
        source=source,
        index=index,
    )


def _bench_row(row: Any, source: str, index: int) -> BenchmarkQuestion:
    fields = fields_of(row)
    kind, question = _type(fields.get("task")), asked(fields.get("question"))
    images = fields.get("image")
    paths = [image.get("path") if isinstance(image, dict) else image for image in _listed(images)]
    if not any(paths):
        raise LeftOut("images_are_in_the_file_and_name_no_frame", fields.get("id"))
    scene_id, frame_ids = _places(paths)
    answer = _answer(fields.get("answer"))
    return BenchmarkQuestion(
        scene_id=scene_id,
        benchmark="spar-bench",
        question=_placeholders(len(frame_ids)) + _worded(question, kind),
        answer=answer,
        answers=(answer,),
        question_type=kind,
        id=question_id(fields.get("id")),
        frame_ids=frame_ids,
        source=source,
        index=index,
    )


def _type(value: Any) -> str:
    if not isinstance(value, str) or not TYPE.fullmatch(value):
        raise LeftOut("unknown_question_type", value)
    return value


def _turns(turns: Any) -> tuple[str, str]:
    """Return question and answer, the question without placeholders at its beginning."""
    if not isinstance(turns, list) or len(turns) != 2 or not all(isinstance(turn, dict) for turn in turns):
        raise LeftOut("not_one_question_and_one_answer", len(turns) if isinstance(turns, list) else turns)
    roles = [turn.get("from") for turn in turns]
    if roles != ["human", "gpt"]:
        raise LeftOut("not_one_question_and_one_answer", str(roles))
    said = turns[0].get("value")
    if isinstance(said, str) and len(said) <= MAX_TEXT and (leading := LEADING.match(said)):
        said = said[leading.end() :]
    return asked(said), _answer(turns[1].get("value"))


def _answer(value: Any) -> str:
    answer = text(value)
    if answer is None:
        raise LeftOut("answer_is_not_text", value)
    return answer


def _worded(question: str, kind: str) -> str:
    """Return a question of SPAR-Bench with the end that lmms-eval gives it."""
    if NUMBER_TYPE.fullmatch(kind):
        return f"{question}\n{AFTER_NUMBER}"
    if kind == UNWORDED_TYPE:
        return f"{question}\n\n"
    return f"{question}\n{AFTER_BOXES if kind in BOX_TYPES else ''}\n{AFTER_LETTER}"


def _placeholders(images: int) -> str:
    if images < NAMED_FROM:
        return f"{IMAGE}\n" * images
    return "".join(f"Frame-{place}: {IMAGE}\n" for place in range(1, images + 1))


def _facts(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return type and marks, which VG-LLM's selection has as a text."""
    info = fields.get("spar_info")
    if info is None:
        return fields
    written = text(info)
    try:
        facts = None if written is None else decode_json(written.encode())
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        raise LeftOut("spar_info_is_not_an_object", info)
    return facts


def _places(images: Any) -> tuple[str, tuple[int, ...]]:
    """Return scene and raw frames of a question's images."""
    places = [_place(image) for image in _listed(images)]
    scenes, frames = {scene for scene, _ in places}, tuple(frame for _, frame in places)
    if len(scenes) > 1:
        raise LeftOut("images_of_several_scenes", ", ".join(sorted(scenes)))
    if len(set(frames)) < len(frames):
        raise LeftOut("image_named_twice", places[0][0])
    return places[0][0], frames


def _listed(images: Any) -> list[Any]:
    listed = [images] if isinstance(images, str) else images
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_IMAGES:
        raise LeftOut("no_images", images)
    return listed


def _place(image: Any) -> tuple[str, int]:
    if not isinstance(image, str) or len(image) > MAX_PATH:
        raise LeftOut("image_path_without_scene_and_frame", image)
    path = image.replace("\\", "/")
    match = FRAME.fullmatch(path)
    if match is None and OTHER_SCENE.fullmatch(path):
        raise LeftOut("frames_of_another_data_set_than_scannet", image)
    if match is None or int(match["frame"]) > MAX_FRAME_ID:
        raise LeftOut("image_path_without_scene_and_frame", image)
    return match["scene"], int(match["frame"])
