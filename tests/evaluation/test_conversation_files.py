"""Evaluation files of GAP-MLLM and VG-LLM: asked verbatim about a folder's images, scored by their truth."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gapdata.commands.main import main as gapdata
from gapdata.errors import FileError, UsageError
from gapdata.records.keys import around_key
from gapdata.tasks import grounding
from gapdata.tasks.grounding_box import answer_text
from gapdata.tasks.grounding_frame import answer_text as frame_text
from gapmodel.commands.main import main
from gapmodel.evaluation.answering import missing
from gapmodel.evaluation.asking import TASKS, TOKENS, around_views, second_id, second_stage
from gapmodel.evaluation.conversation_files import ConversationFile
from gapmodel.evaluation.given_asking import given_tasks
from gapmodel.evaluation.given_records import GivenRecord
from gapmodel.evaluation.report import as_dict
from gapmodel.evaluation.run import score
from tests.conftest import REPOSITORY
from tests.support.authors_checkpoints import load_small, write_checkpoint
from tests.support.builds import write_build
from tests.support.evaluations import clip, scene_view

FILES = {
    "pointmap": "scannet_recons_val_2frames.json",
    "detection": "scannet_det_val_2frames.json",
    "grounding": "scanrefer_val_4frames.json",
    "captioning": "scan2cap_val_4frames.json",
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """By task the file that asks it, and the folder of its images."""
    root = tmp_path_factory.mktemp("exported")
    found: dict[str, tuple[Path, Path]] = {}
    for view, tasks in ((clip, ("pointmap", "detection")), (scene_view, ("grounding", "captioning"))):
        build = write_build(root / f"{view.__name__}-build", [view(seed, "val") for seed in (1, 2)])
        out = root / view.__name__
        assert gapdata(["export", str(build), "--format", "gap-json", "--out", str(out)]) == 0
        found |= {task: (out / "annotations" / FILES[task], out) for task in tasks}
    return found


def right_texts(reader: ConversationFile, answer: Callable[[GivenRecord], str] | None = None) -> dict[str, str]:
    """The file's own answers to all questions, or what ``answer`` makes of a record."""
    texts = {}
    for task in given_tasks(reader, TASKS):
        for item in task.asked:
            record = reader.given[item.index]
            text = record.question.answer if answer is None else answer(record)
            texts[item.id] = text
            if task.task == "grounding_two_stage":
                read = grounding.parse(record.question.answer)
                assert isinstance(read, grounding.GroundingAnswer)
                texts[item.id] = frame_text(read.frame) if answer is None else text
                frames = range(len(record)) if answer is not None else [read.frame]
                second = answer_text(read.values) if answer is None else text
                texts |= {second_id(item, frame): second for frame in frames}
    return texts


def results(reader: ConversationFile, texts: dict[str, str]) -> dict[str, Any]:
    questions = given_tasks(reader, TASKS)
    assert not missing(questions, texts)
    return as_dict(score(reader, questions, texts))


def main_scores(found: dict[str, Any]) -> dict[str, float]:
    """Every task's main score, ours and the authors'."""
    scores = {}
    for name in (name for task in TASKS for name in (task, f"{task}_gap") if name in found):
        fields = found[name]
        if "pointmap" in name:
            scores[name] = fields["within"]["0.10"]
        elif "detection" in name:
            scores[name] = fields["overall"]["0.50"]["f1"]
        elif "grounding" in name:
            scores[name] = fields["accuracy"]["0.50"]
        else:
            scores[name] = fields["scores"]["0.50"]["ROUGE-L"]
    return scores


@pytest.mark.parametrize("task", FILES)
def test_a_files_own_answers_score_perfectly_and_garbage_nothing(
    exported: dict[str, tuple[Path, Path]], task: str
) -> None:
    reader = ConversationFile(*exported[task])
    asked = json.loads(exported[task][0].read_text())
    assert (len(reader), reader.left_out, reader.split) == (len(asked), {}, "val")
    assert [record.question.text for record in reader.given] == [item["conversations"][0]["value"] for item in asked]
    found = main_scores(results(reader, right_texts(reader)))
    assert task in found
    assert f"{task}_gap" in found
    # The first object of a scene has a proposal that overlaps it by 0.3: its caption counts as empty.
    perfect = dict.fromkeys(found, 1.0) if task != "captioning" else found
    if task == "detection":
        # Their overlaps of boxes that were rounded to two decimals differ, and they read angles in another way.
        assert found.pop("detection_gap") > 0
        perfect.pop("detection_gap")
    assert found == pytest.approx(perfect)
    assert min(found.values()) > 0.5
    bad = results(reader, right_texts(reader, lambda record: "I see a room."))
    nothing = main_scores(bad)
    if task == "captioning":  # every text is a caption
        assert max(nothing.values()) < min(found.values())
    else:
        assert set(nothing.values()) == {0.0}
        assert bad[task]["unparsable"] == len(asked)


def test_found_captions_have_all_references(exported: dict[str, tuple[Path, Path]]) -> None:
    reader = ConversationFile(*exported["captioning"])
    found = results(reader, right_texts(reader))["captioning"]
    assert found["objects"] == len(reader)
    overlaps = [item["iou"] for item in json.loads(exported["captioning"][0].read_text())]
    assert found["found"] == {limit: sum(iou >= float(limit) for iou in overlaps) for limit in ("0.25", "0.50")}
    assert found["found"]["0.50"] < found["objects"]
    assert found["scores"]["0.25"]["ROUGE-L"] == pytest.approx(1.0)


@pytest.mark.parametrize("task", ["detection", "grounding"])
def test_the_order_of_rows_changes_no_score(exported: dict[str, tuple[Path, Path]], tmp_path: Path, task: str) -> None:
    file, images = exported[task]
    rows = json.loads(file.read_text())
    (tmp_path / file.name).write_text(json.dumps(rows[::-1]))

    def half(record: GivenRecord) -> str:
        right = sum(map(ord, record.question.text + record.scene_id)) % 2
        return record.question.answer if right else "[]"

    found = [
        main_scores(results(reader, right_texts(reader, half)))
        for reader in (ConversationFile(file, images), ConversationFile(tmp_path / file.name, images))
    ]
    assert found[0] == pytest.approx(found[1])


def test_the_second_stage_sees_the_neighbours_that_are_on_disk_nearest_first(
    exported: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    file, images = exported["grounding"]
    reader = ConversationFile(file, images)
    (task,) = given_tasks(reader, ["grounding_two_stage"])
    first = task.asked[0]
    record = reader.given[first.index]
    assert record.frame_ids[1] - record.frame_ids[0] == 30
    second = second_stage(reader, around_views(reader), first, record, 1, task.asking)
    shown = reader[second.index]
    chosen = record.frame_ids[1]
    assert shown.key == around_key(record.scene_id, chosen)
    assert shown.frame_ids == (chosen, chosen + 30, chosen + 60, chosen - 30)
    assert np.array_equal(shown.image(0), record.image(1))
    assert second.question.text.count("<image>") == 4


def test_with_proposals_grounding_is_also_scored_by_the_one_that_overlaps_most(
    exported: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    file, images = exported["grounding"]
    boxes: dict[str, list[list[float]]] = {}
    for row in json.loads(file.read_text()):
        box = row["gt_bbox"][:6]
        boxes.setdefault(f"scannet/{row['metadata']['scene_id']}", []).extend([box, [90.0, *box[1:]]])
    (tmp_path / "pred_box.json").write_text(json.dumps(boxes))
    reader = ConversationFile(file, images, tmp_path / "pred_box.json")

    def wide(record: GivenRecord) -> str:
        read = grounding.parse(record.question.answer)
        assert isinstance(read, grounding.GroundingAnswer)
        return grounding.answer_text(
            read.frame, [*read.values[:3], *(1.4 * v for v in read.values[3:6]), *read.values[6:]]
        )

    found = results(reader, right_texts(reader, wide))
    assert found["grounding"]["accuracy"]["0.50"] == 0.0
    assert found["grounding"]["refined"] == {"0.25": 1.0, "0.50": 1.0}
    assert found["grounding_gap"]["refined"] == {}
    nothing = results(reader, right_texts(reader, lambda record: "?"))
    assert nothing["grounding"]["refined"] == {"0.25": 0.0, "0.50": 0.0}
    assert results(ConversationFile(file, images), right_texts(reader))["grounding"]["refined"] == {}


def test_images_are_what_pillow_reads(exported: dict[str, tuple[Path, Path]]) -> None:
    file, images = exported["detection"]
    reader = ConversationFile(file, images)
    path = images / json.loads(file.read_text())[0]["images"][1]
    with Image.open(path) as image:
        assert np.array_equal(reader[0].image(1), np.asarray(image.convert("RGB")))
    assert np.array_equal(reader[0].image(-1), reader[0].image(1))


def spoilt(rows: list[dict[str, Any]]) -> list[Any]:
    """One row of each kind of damage, after the good ones."""
    row = rows[0]
    says = row["conversations"]
    return [
        *rows,
        {**row, "images": [row["images"][0], "../" + row["images"][1]]},
        {**row, "images": ["/" + path for path in row["images"]]},
        {**row, "images": [re.sub(r"\d+\.jpg", "77777.jpg", path) for path in row["images"]]},
        {**row, "images": row["images"][:1]},
        {**row, "conversations": says[:1]},
        {**row, "boxes": [{"label": "chair", "bbox_3d": [1, 2]}]},
        {**row, "conversations": [says[0], {"from": "gpt", "value": "none"}], "boxes": []},
        7,
    ]


def test_damaged_rows_are_left_out_and_counted(exported: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    file, images = exported["detection"]
    rows = json.loads(file.read_text())
    (tmp_path / file.name).write_text(json.dumps(spoilt(rows)))
    reader = ConversationFile(tmp_path / file.name, images)
    assert len(reader) == len(rows)
    assert reader.left_out == {
        "an image's path leads out of the folder of images": 2,
        "an image is missing or cannot be read": 1,
        "box without label or nine finite numbers": 1,
        "neither boxes nor an answer that lists them": 1,
        "not an object": 1,
        "not one question and one answer": 1,
        "placeholders and images differ in number": 1,
    }
    assert results(reader, right_texts(reader))["detection"]["overall"]["0.50"]["f1"] == 1.0


def test_without_cameras_or_boxes_the_answer_is_the_truth(
    exported: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    for task, lacking in (("detection", ("boxes",)), ("grounding", ("gt_bbox",))):
        file, images = exported[task]
        rows = [{k: v for k, v in row.items() if k not in lacking} for row in json.loads(file.read_text())]
        (tmp_path / file.name).write_text(json.dumps(rows))
        reader = ConversationFile(tmp_path / file.name, images)
        assert main_scores(results(reader, right_texts(reader)))[task] == 1.0
    rows = [{k: v for k, v in row.items() if k != "cam2global"} for row in rows]
    (tmp_path / file.name).write_text(json.dumps(rows))
    with pytest.raises(UsageError, match=rf"{len(rows)} no cameras, without which boxes of different frames"):
        ConversationFile(tmp_path / file.name, images)


def test_a_wrong_file_or_folder_is_one_clear_error(exported: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    file, images = exported["detection"]
    (tmp_path / "no.json").write_text("{")
    with pytest.raises(FileError, match=r"no\.json"):
        ConversationFile(tmp_path / "no.json", images)
    with pytest.raises(UsageError, match=r"is not a folder; name the folder of the file's images with --images"):
        ConversationFile(file, tmp_path / "gone")
    with pytest.raises(UsageError, match=r"holds no question that can be asked: 2 an image is missing"):
        ConversationFile(file, tmp_path)
    reader = ConversationFile(file, images)
    with pytest.raises(UsageError, match=r"asks nothing of captioning; name what it asks: detection"):
        given_tasks(reader, ["captioning"])
    assert replace(reader.given[0], key="x").paths == reader.given[0].paths


def documented(option: str) -> list[str]:
    """The words after `gapmodel` of the page's command with this option."""
    page = (REPOSITORY / "gapmodel" / "README.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("gapmodel evaluate --gap-mllm") and option in line]
    return line.split()[1:]


def test_a_file_is_scored_by_one_command_and_resumed(
    exported: dict[str, tuple[Path, Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load_small(monkeypatch)
    monkeypatch.setattr("gapmodel.evaluation.authors_view.MAX_TOKENS", 8)
    for kind in ("grounding_frame", "grounding_box", "grounding"):
        monkeypatch.setitem(TOKENS, kind, 8)
    checkpoint = write_checkpoint(tmp_path / "released")
    file, images = exported["grounding"]
    there = {"DIR": checkpoint, "scannet_det_val_4frames.json": file, "data/media": images, "scores": tmp_path / "out"}
    words = [str(there.get(word, word)) for word in documented("--conversations")]
    words += ["--limit", "1", "--geometry", "strange", "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["split"], said["view"]["name"]) == ("val", "authors")
    assert said["grounding"]["questions"] == said["grounding_two_stage"]["questions"] == 1
    assert set(said["geometry"]["tasks"]) == {"grounding", "grounding_two_stage"}
    assert any("are read as extrinsic_zxy" in remark for remark in said["remarks"])
    part = next((tmp_path / "out" / "predictions").iterdir())
    before, report = part.read_bytes(), (tmp_path / "out" / "report.json").read_bytes()
    part.write_bytes(before[: len(before) // 2])
    assert main(words) == 0
    assert part.read_bytes() == before
    assert (tmp_path / "out" / "report.json").read_bytes() == report
    capsys.readouterr()
    assert main([word for word in words if word not in ("--images", str(images))]) == 2
    assert "--conversations needs its images" in capsys.readouterr().err
    assert main([*words, "--shards", str(tmp_path)]) == 2
    assert "name either a build with --shards or a file" in capsys.readouterr().err
