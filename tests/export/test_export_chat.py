"""Conversations for other trainers: what is asked, what is drawn, and what an interruption leaves."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.errors import ShardError, UsageError
from gapdata.export.asked import record_questions
from gapdata.export.chat_forms import FORMS
from gapdata.export.export_build import export_build
from gapdata.export.registry import TRAINERS
from gapdata.prompts.marks import draw_marks
from gapdata.records.expressions import Conversation
from gapdata.records.schema import Record, SceneLabel
from gapdata.seeding import generator_for
from gapdata.shards.reader import ShardReader
from gapdata.tasks.questions import TASKS, questions
from gapdata.tasks.task import QuestionOptions
from tests.support.builds import write_build
from tests.support.export_builds import first_clip, tree
from tests.support.showing import room_record

DRAWN = 6.0
"""Grey levels by which JPEG at quality 95 may move a pixel of a marked copy on average."""


def lines(folder: Path) -> list[dict[str, Any]]:
    """All lines of a folder for ms-swift, in the order of their files."""
    return [json.loads(text) for path in sorted(folder.glob("*.jsonl")) for text in path.read_text().splitlines()]


def test_the_trainers_of_the_command_line_are_those_that_have_a_form() -> None:
    assert tuple(FORMS) == TRAINERS


def test_every_question_of_every_task_is_exported_once(shards: Path, chats: Path) -> None:
    found = lines(chats / "swift")
    assert len({item["id"] for item in found}) == len(found)
    wanted: Counter[tuple[str, str, str, str]] = Counter()
    for record in ShardReader(shards):
        for task, asked, _ in record_questions(record, tuple(TASKS), QuestionOptions()):
            wanted.update((record.key, task, item.question.text, item.question.answer) for item in asked)
    said = Counter((item["key"], item["task"], *(turn["content"] for turn in item["messages"])) for item in found)
    assert said == wanted
    tasks = {task for _, task, *_ in said}
    assert {"pointmap", "detection", "grounding", "grounding_frame", "grounding_box", "captioning"} <= tasks
    assert "pixel_depth" in tasks
    report = json.loads((chats / "swift" / "report.json").read_text())
    assert sum(report["items"].values()) == len(found)
    assert report["left_out"]["captioning"] == {"the object has no proposal": 2}


def test_tasks_that_are_not_about_space_ask_what_training_asks(shards: Path) -> None:
    for record in ShardReader(shards):
        for task, asked, _ in record_questions(record, ("pointmap", "detection", "grounding"), QuestionOptions()):
            whole = questions(record, task, QuestionOptions(), generator_for(0))
            assert [item.question for item in asked] in ([], whole)


def test_the_images_are_the_stored_ones_with_the_marks_that_the_line_names(shards: Path, chats: Path) -> None:
    out, records = chats / "swift", {record.key: record for record in ShardReader(shards)}
    marked = 0
    for item in lines(out):
        record, about = records[item["key"]], json.loads(item["about"])
        assert about["frame_ids"] == list(record.frame_ids)
        assert len(item["images"]) == len(record)
        for frame, name in enumerate(item["images"]):
            drawn = {number: (u, v) for number, place, u, v in about["marks"] if place == frame}
            data = (out / name).read_bytes()
            if not drawn:
                assert data == record.members[f"{frame:02d}.jpg"]
                continue
            marked += 1
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            wanted = draw_marks(record.image(frame), drawn)
            assert np.abs(image.astype(float) - wanted).mean() < DRAWN
            touched = (wanted != record.image(frame)).any(axis=-1)
            # The cross is nearer to what was drawn than to what it covers.
            off = np.abs(image[touched].astype(float) - wanted[touched]).mean()
            assert off < np.abs(wanted[touched].astype(float) - record.image(frame)[touched]).mean()
    assert marked > 20
    frames = {(record.scene_id, frame) for record in records.values() for frame in record.frame_ids}
    plain = [path for path in out.glob("images/*/*.jpg") if "-" not in path.stem]
    assert len(plain) == len(frames) == json.loads((out / "report.json").read_text())["frames"]


def test_a_spatial_line_says_its_form_and_its_unrounded_value(tmp_path: Path) -> None:
    room = room_record(9, (320, 240), aligned=True)
    names = tuple(SceneLabel(labels=item.labels, count=1) for item in room.objects)
    out = tmp_path / "out"
    export_build("chat", write_build(tmp_path / "build", [replace(room, scene_objects=names)]), out)
    numbers = [item for item in lines(out) if item["task"] in ("size", "distance", "pixel_depth", "camera_distance")]
    assert {item["type"] for item in numbers} == {"size", "distance", "depth", "camera_distance"}
    for item in numbers:
        step = 1 if item["task"] == "size" else 0.01
        assert abs(item["value"] - float(item["solution"])) <= 0.51 * step
    letters = [item for item in lines(out) if item["task"] == "relation"]
    assert {item["type"] for item in letters} <= {"side", "height", "depth"}
    for item in letters:
        about = json.loads(item["about"])
        assert item["solution"] in "AB"[: len(about["options"])]
        assert item["value"] >= about["margin"] > 0
        assert all(f"the {name}" in item["messages"][0]["content"] for name in about["names"])


def test_the_same_command_goes_on_after_an_interruption_and_writes_the_same(
    shards: Path, chats: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def stop(count: int) -> None:
        seen.append(count)
        if len(seen) == 3:
            raise KeyboardInterrupt

    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        export_build("chat", shards, out, progress=stop, trainer="llamafactory")
    left = tree(out)
    assert {name.split("/")[0] for name in left} == {"export.json", "images"}
    assert not any(name.endswith(".tmp") for name in left)
    assert main(["export", str(shards), "--format", "chat", "--trainer", "llamafactory", "--out", str(out)]) == 0
    assert tree(out) == tree(chats / "llamafactory")


def test_an_image_that_holds_something_else_is_not_replaced(shards: Path, chats: Path, tmp_path: Path) -> None:
    out = shutil.copytree(chats / "swift", tmp_path / "out")
    image = next(out.glob("images/*/*.jpg"))
    image.write_bytes(b"mine")
    with pytest.raises(ShardError, match="differs from what this build holds; export to an empty folder"):
        export_build("chat", shards, out)
    assert image.read_bytes() == b"mine"


def test_tasks_and_their_options_are_chosen(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["export", str(shards), "--format", "chat", "--out", str(out), "--split", "val", "--tasks"]
    assert main([*command, "pixel_depth,pointmap", "--marks", "2", "--per-kind", "1", "--wording", "gap"]) == 0
    assert {path.name for path in out.glob("*.jsonl")} <= {"pointmap_val.jsonl", "pixel_depth_val.jsonl"}
    for item in lines(out):
        assert item["task"] == "pixel_depth" or len(json.loads(item["about"])["marks"]) == 2
    assert max(Counter(item["key"] for item in lines(out) if item["task"] == "pixel_depth").values()) == 1
    assert json.loads((out / "export.json").read_text())["tasks"] == ["pointmap", "pixel_depth"]
    capsys.readouterr()
    assert main([*command, "sizes"]) == 2
    assert "task 'sizes' is unknown; did you mean size?" in capsys.readouterr().err
    with pytest.raises(UsageError, match="trainer 'axolotl' is unknown"):
        export_build("chat", shards, tmp_path / "other", trainer="axolotl")


def told(record: Record, question: str, answer: str, **more: Any) -> Record:
    item = Conversation(task="vsi", question=question, answer=answer, mark=None, source="x.json", index=0, **more)
    return replace(record, expressions=(item.to_fields(),))


def test_conversations_keep_their_benchmark_and_foreign_placeholders_are_left_out(shards: Path, tmp_path: Path) -> None:
    record, images = first_clip(shards), "<image>" * 2
    good = told(record, f"{images}How many?", "3", benchmark="vsi-bench", question_type="object_counting")
    bad = told(record, f"{images}Is <video> a word?", "yes")
    worse = told(record, f"{images}What stands here?", "an <image>")
    short = told(record, "<image>One image?", "no")
    chosen = [replace(item, key=f"{record.key[:-1]}{index}") for index, item in enumerate((good, bad, worse, short))]
    out = tmp_path / "out"
    report = export_build("chat", write_build(tmp_path / "build", chosen), out, tasks=("conversation",))
    (item,) = lines(out)
    assert item["type"] == "object_counting"
    assert json.loads(item["about"])["benchmark"] == "vsi-bench"
    assert report["left_out"]["conversation"] == {
        "its words hold a placeholder such as <image>": 2,
        "the question does not have one image placeholder for each frame": 1,
    }


@pytest.mark.parametrize("change", [{"scene_id": "../../evil"}, {"split": "../train"}, {"frame_ids": (-1, 3)}])
def test_a_hostile_build_writes_nothing_outside_the_folder(
    shards: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    build = write_build(tmp_path / "build", [replace(first_clip(shards), **change)])
    before = tree(tmp_path)
    with pytest.raises(ShardError):
        export_build("chat", build, inner / "export")
    assert {name for name in tree(tmp_path) if not name.startswith("a/b/export/")} == set(before)


def walked(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_a_folder_can_be_moved_and_names_no_path_of_this_machine(chats: Path) -> None:
    for trainer in TRAINERS:
        for path in walked(chats / trainer):
            if path.suffix != ".jpg":
                assert str(chats).encode() not in path.read_bytes(), path
