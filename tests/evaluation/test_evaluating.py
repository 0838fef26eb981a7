"""Whole evaluations: the truth scores perfectly, workers share the questions, and a kill costs nothing but time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from gapdata.errors import UsageError
from gapdata.records.expressions import descriptions
from gapdata.records.keys import around_key
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.shards.records import RecordList
from gapdata.tasks import captioning, detection, grounding_frame
from gapdata.tasks.box_text import nine_numbers
from gapdata.tasks.predictions import FOLDER, Asking
from gapdata.tasks.targets import camera_box, described
from gapdata.tasks.task import QuestionOptions
from gapmodel.evaluation.answering import frames_to_ask, missing, shared
from gapmodel.evaluation.asking import (
    TASKS,
    Asked,
    TaskQuestions,
    around_views,
    second_id,
    second_stage,
    task_questions,
    truth,
)
from gapmodel.evaluation.meteor import meteor_is_there
from gapmodel.evaluation.predictions import PredictionFile, read_answers, settle
from gapmodel.evaluation.report import as_dict, as_markdown, as_table
from gapmodel.evaluation.run import asked_tasks, belongings, score, score_directory
from tests.conftest import REPOSITORY
from tests.support.builds import write_build
from tests.support.evaluations import make_records, write_model
from tests.support.object_stores import s3_server

RECORDS = RecordList(make_records())
ASKING = Asking(options=QuestionOptions(min_visible_pixels=50, caption_point="proposal"))


def all_questions(asking: Asking = ASKING, records: RecordList = RECORDS) -> list[TaskQuestions]:
    return asked_tasks(records, lambda task: asking, ["all"])


def right_answers(questions: list[TaskQuestions]) -> dict[str, str]:
    """What a perfect model writes, boxes unrounded."""
    texts = {}
    for task in questions:
        for item in task.asked:
            record = task.records[item.index]
            if task.task == "pointmap":
                point = list(record.prompts[item.number].point)
                texts[item.id] = json.dumps({"label": record.prompts[item.number].label, "pointmap": point})
            elif task.task == "detection":
                lines = [json.dumps({"label": b.label, "bbox_3d": list(b.values)}) for b in truth(record, task.asking)]
                texts[item.id] = "```json\n[\n\t" + ",\n\t".join(lines) + "\n]```"
            else:
                texts |= language_answers(item, record)
    return texts


def language_answers(item: Asked, record: Record) -> dict[str, str]:
    expression = descriptions(record)[item.number]
    target = described(record, expression)
    if item.kind == "captioning":
        return {item.id: expression.text}
    frame = target.best_frame()
    values = nine_numbers(camera_box(record, target, frame), "extrinsic_zxy")
    if item.kind == "grounding":
        return {item.id: json.dumps({"frame": frame, "bbox_3d": values})}
    second = json.dumps({"bbox_3d": values})
    return {item.id: grounding_frame.answer_text(frame), second_id(item, frame): second}


def test_a_perfect_model_scores_perfectly_in_every_task() -> None:
    questions = all_questions()
    assert [task.task for task in questions] == list(TASKS)
    results = score(RECORDS, questions, right_answers(questions))
    found = as_dict(results)
    assert found["pointmap"]["median_error"] == pytest.approx(0, abs=1e-9)
    assert found["pointmap"]["label_accuracy"] == 1.0
    assert found["reconstruction"]["raw"]["overall"] == pytest.approx(0, abs=1e-9)
    assert found["detection"]["overall"]["0.50"]["f1"] == 1.0
    assert found["detection"]["mean_ap"]["0.50"] == 1.0
    for task in ("grounding", "grounding_two_stage"):
        for column in (task, f"{task}_gap"):
            assert found[column]["accuracy"]["0.50"] == 1.0
            assert found[column]["best_frame"] == 1.0
        assert found[task]["unique"]["questions"] == found[task]["multiple"]["questions"] > 0
    # One object of each scene has no proposal, one a proposal with IoU 0.3.
    captions = found["captioning"]
    assert captions["found"] == {"0.25": captions["objects"] - 2, "0.50": captions["objects"] - 4}
    assert captions["reasons"] == {"the object has no proposal": 2}
    assert captions["scores"]["0.25"]["CIDEr"] > captions["scores"]["0.50"]["CIDEr"] > 0
    json.dumps(found, allow_nan=False)


def test_given_the_true_boxes_every_object_is_captioned() -> None:
    asking = replace(ASKING, options=replace(ASKING.options, caption_point="truth"))
    task = task_questions(RECORDS, asking, "captioning")
    results = score(RECORDS, [task], right_answers([task]))
    captions = as_dict(results)["captioning"]
    assert captions["found"] == {"0.25": captions["objects"], "0.50": captions["objects"]}
    assert captions["scores"]["0.50"]["ROUGE-L"] == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["", "?", "[]", "NaN", '{"bbox_3d": [NaN]}'])
def test_answers_that_cannot_be_read_are_wrong_and_counted_apart(text: str) -> None:
    questions = all_questions()
    texts = dict.fromkeys(right_answers(questions), text)
    texts |= {second_id(item, 0): text for task in questions for item in task.asked if item.kind == "grounding_frame"}
    found = as_dict(score(RECORDS, questions, texts))
    assert found["pointmap"]["unparsable"] == found["pointmap"]["questions"]
    assert found["detection"]["overall"]["0.25"]["f1"] == 0.0
    assert found["detection"]["unparsable"] == (0 if text == "[]" else found["detection"]["views"])
    for task in ("grounding", "grounding_two_stage"):
        assert found[task]["unparsable"] == found[task]["questions"] == sum(found[task]["reasons"].values())
        assert found[task]["accuracy"]["0.25"] == 0.0
    assert found["reconstruction"]["raw"]["overall"] is None


def test_both_columns_and_the_reason_of_their_difference_are_shown() -> None:
    questions = all_questions()
    results = score(RECORDS, questions, right_answers(questions))
    table = as_table(results)
    assert "authors'" in table.splitlines()[0]
    assert '"towl" never matches' in table
    if not meteor_is_there():
        assert [line.split()[-2:] for line in table.splitlines() if "METEOR at" in line] == [["n/a", "n/a"]] * 2
    assert "the model gives none" in table
    assert "authors'" not in as_table(results, "none").splitlines()[0]
    assert "ours" not in as_table(results, "gap").splitlines()[0]
    document = as_markdown(results)
    rows = [line for line in document.splitlines() if line.startswith("|")]
    assert any(line.startswith("| F1 at IoU 0.50 |") and line.count("100.0 %") >= 2 for line in rows)
    assert "## Detection by class" in document
    assert as_dict(results)["intervals"]["detection"]["F1 at IoU 0.50"] == [1.0, 1.0]


def test_every_question_has_a_name_of_its_own_and_a_limit_keeps_some() -> None:
    questions = all_questions()
    names = [item.id for task in questions for item in task.asked]
    assert len(set(names)) == len(names)
    few = asked_tasks(RECORDS, lambda task: ASKING, ["all"], 2)
    assert [len(task.asked) for task in few] == [2] * len(few)
    assert {item.id for task in few for item in task.asked} <= set(names)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_workers_share_the_questions_without_a_repeat_or_a_hole(workers: int) -> None:
    for task in all_questions():
        parts = [shared(task, (rank, workers)) for rank in range(workers)]
        names = [item.id for part in parts for item in part]
        assert sorted(names) == sorted(item.id for item in task.asked)
        for part in parts:  # a view belongs to one worker
            others = [item.index for other in parts if other is not part for item in other]
            assert not {item.index for item in part} & set(others)


def test_a_second_stage_begins_with_the_chosen_frame() -> None:
    task = task_questions(RECORDS, ASKING, "grounding_two_stage")
    first = task.asked[0]
    record = task.records[first.index]
    second = second_stage(RECORDS, {}, first, record, 2, ASKING)
    assert second.order == (2, 3, 1, 0)
    assert second.question.text.count("<image>") == 4
    around = replace(record, key=around_key(record.scene_id, record.frame_ids[2]), view="around")
    records = RecordList([*RECORDS, around])
    found = second_stage(records, around_views(records), first, record, 2, ASKING)
    assert (found.index, found.order) == (len(RECORDS), ())
    assert frames_to_ask("frame unknown", 4) == [0]
    assert frames_to_ask('I say {"frame": 3}', 4) == [0, 3]  # read by us, and not by the authors


def test_a_split_without_questions_is_refused_and_names_the_tasks() -> None:
    with pytest.raises(UsageError, match="split test has no questions for pointmap"):
        asked_tasks(RECORDS, lambda task: replace(ASKING, split="test"), ["pointmap"])
    with pytest.raises(UsageError, match="task 'pointmaps' is unknown"):
        asked_tasks(RECORDS, lambda task: ASKING, ["pointmaps"])
    clips = RecordList([record for record in RECORDS if record.view == "clip"])
    assert [task.task for task in all_questions(records=clips)] == ["pointmap", "detection"]


def line(name: str, text: str = "?") -> dict[str, str]:
    return {"id": name, "task": "pointmap", "key": "k", "text": text}


def test_a_line_that_was_cut_off_is_forgotten_and_nothing_else(tmp_path: Path) -> None:
    texts = {"a": 'quotes "and\nlines', "b": "\ud800 é \u2028", "c": ""}
    with PredictionFile(tmp_path) as file:
        file.append([line(name, text) for name, text in texts.items()])
    path = tmp_path / FOLDER / "part-000.jsonl"
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        kept = read_answers(tmp_path)
        assert kept == {name: texts[name] for name in list(texts)[: whole[:cut].count(b"\n")]}
    with PredictionFile(tmp_path) as file:
        file.append([line("c", "new")])
    assert read_answers(tmp_path) == {**{name: texts[name] for name in "ab"}, "c": "new"}
    assert path.read_bytes().count(b"\n") == 3


def test_two_processes_never_write_one_file(tmp_path: Path) -> None:
    with PredictionFile(tmp_path), pytest.raises(UsageError, match="another evaluation is writing here"):
        PredictionFile(tmp_path)
    with PredictionFile(tmp_path), PredictionFile(tmp_path, 1):
        pass


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    with PredictionFile(tmp_path) as file:
        file.append([line("a")])
    with (tmp_path / FOLDER / "part-000.jsonl").open("a") as file:
        file.write("[]\n")
    with pytest.raises(UsageError, match="line 2 is not a prediction"):
        read_answers(tmp_path)


def test_predictions_of_another_model_are_refused_with_the_difference(tmp_path: Path) -> None:
    settle(tmp_path, {"model": "a", "build": None})
    settle(tmp_path, {"model": "a", "build": None})
    with pytest.raises(UsageError, match="model was a and is b"):
        settle(tmp_path, {"model": "b", "build": None})


def test_an_unfinished_evaluation_is_not_scored(tmp_path: Path) -> None:
    questions = all_questions()
    texts = right_answers(questions)
    dropped = next(name for name in texts if name.startswith("grounding_box"))
    with PredictionFile(tmp_path) as file:
        file.append([line(name, text) for name, text in texts.items() if name != dropped])
    assert missing(questions, read_answers(tmp_path)) == 1
    with pytest.raises(UsageError, match="1 question without an answer yet"):
        score_directory(RECORDS, questions, tmp_path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build and a model on disk."""
    folder = tmp_path_factory.mktemp("evaluation")
    write_build(folder / "shards", [*RECORDS])
    write_model(folder / "model", {"task": "detection", "min_visible_pixels": 50, "max_objects": 2})
    return folder


def test_predictions_belong_to_the_fingerprint_of_a_build_also_in_an_object_store(place: Path) -> None:
    plan = place / "shards" / "plan.json"
    plan.write_text('{"fingerprint": "one"}')
    with s3_server() as store:
        there = ShardReader(store.copy_in(place / "shards", "shards"))
        here = ShardReader(place / "shards")
        known = [belongings(place / "model", reader, lambda task: ASKING) for reader in (here, there)]
        assert known[0] == known[1]
        assert known[1]["build"] == "one"
        store.write("shards/plan.json", b'{"fingerprint": "another"}')
        again = belongings(place / "model", there, lambda task: ASKING)
        assert {name for name in again if again[name] != known[1][name]} == {"build"}
    plan.unlink()


def command(place: Path, *options: str) -> list[str]:
    script = REPOSITORY / "pipelines" / "evaluate.py"
    where = ["--shards", str(place / "shards"), "--model", str(place / "model")]
    asked = ["--task", "pointmap,grounding_two_stage", "--limit", "4", "--batch-size", "1"]
    return [sys.executable, str(script), *where, *asked, *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment(), check=False)


def lines_of(out: Path) -> list[dict[str, str]]:
    return [json.loads(row) for path in sorted((out / FOLDER).iterdir()) for row in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(place: Path) -> Path:
    done = run(command(place, "--compat", "gap"))
    assert done.returncode == 0, done.stderr
    assert "authors'" in done.stdout
    (out,) = (place / "evaluation").iterdir()
    return out


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_without_a_repeat_or_a_hole(place: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = command(place, "--out", str(out), "--json")
    part = out / FOLDER / "part-000.jsonl"
    for target in (2, 7):
        process = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 120
            while not part.is_file() or part.read_bytes().count(b"\n") < target:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
        with part.open("ab") as file:
            file.write(b'{"id": "pointmap/half')
    assert not (out / "report.json").exists()
    done = run(words)
    assert done.returncode == 0, done.stderr
    assert lines_of(out) == lines_of(undisturbed)
    assert (out / "report.json").read_bytes() == (undisturbed / "report.json").read_bytes()
    assert json.loads(done.stdout) == json.loads((out / "report.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ray", "torchrun"])
def test_workers_give_the_answers_of_a_single_process(place: Path, undisturbed: Path, tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    words = command(place, "--out", str(out), "--json")
    if how == "ray":
        words += ["--workers", "2"]
    else:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
        words = [*launcher, *words[1:]]
    done = run(words)
    assert done.returncode == 0, done.stderr
    assert len(list((out / FOLDER).iterdir())) == 2
    texts = {row["id"]: row["text"] for row in lines_of(out)}
    assert texts == {row["id"]: row["text"] for row in lines_of(undisturbed)}
    assert max(Counter(row["id"] for row in lines_of(out)).values()) == 1
    assert json.loads((out / "report.json").read_text()) == json.loads((undisturbed / "report.json").read_text())


@pytest.mark.slow
def test_an_evaluation_whose_cluster_cannot_be_reached_leaves_nothing(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    words = command(place, "--out", str(tmp_path / "new" / "out"), "--workers", "2")
    done = subprocess.run(
        words, env=environment() | {"RAY_ADDRESS": "http://127.0.0.1:1"}, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "no Ray cluster can be reached at RAY_ADDRESS=" in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_the_default_place_is_beside_the_model_and_named_by_the_split_and_what_is_asked(undisturbed: Path) -> None:
    assert undisturbed.name.split("-")[0] == "val"
    assert (undisturbed / "report.md").read_text().startswith("# Evaluation on split val")
    assert json.loads((undisturbed / "asked.json").read_text())["asking"]["pointmap"]["split"] == "val"


def test_captions_are_asked_once_an_object_and_detection_knows_its_longest_answer() -> None:
    captions = task_questions(RECORDS, ASKING, "captioning")
    objects = {(item.key, descriptions(captions.records[item.index])[item.number].object_id) for item in captions.asked}
    assert len(objects) == len(captions.asked)
    assert captioning.PROMPT.split("{")[0] in captions.asked[0].question.text
    boxes = task_questions(RECORDS, ASKING, "detection")
    longest = max(len(truth(record, ASKING)) for record in boxes.records.values())
    assert len({item.tokens for item in boxes.asked}) == 1
    assert boxes.asked[0].tokens > 75 * longest
    assert detection.PROMPT in boxes.asked[0].question.text
