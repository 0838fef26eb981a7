"""Spatial questions as a task of lmms-eval: what it shows, asks and scores, and what a blind model is shown."""

from __future__ import annotations

import ast
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gapdata.annotations.vsi_bench import LETTER_TYPES, NUMBER_TYPES
from gapdata.commands.main import main
from gapdata.export.asked import record_questions
from gapdata.export.lmms_eval import VSI_NAMES
from gapdata.records.schema import SceneLabel
from gapdata.shards.reader import ShardReader
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.mra import relative_accuracy
from gapdata.tasks.spatial.question import parse_letter, parse_number
from gapdata.tasks.task import QuestionOptions
from tests.support.builds import write_build
from tests.support.export_builds import tree
from tests.support.showing import room_record

TEXTS = ("B", "b.", "(C) left", "**A**", "The answer is A", "", "12", "about 1,250.5 cm", "-0.4", "\u22120.4 m", "1e5",
         "NaN", "3 or 4", "Answer: 2.50", "no", "\n\n D: behind", "0", "007")  # fmt: skip


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = room_record(9, (320, 240), aligned=True)
    labels = tuple(SceneLabel(labels=item.labels, count=1) for item in room.objects)
    return write_build(tmp_path_factory.mktemp("lmms") / "build", [replace(room, scene_objects=labels, split="val")])


@pytest.fixture(scope="module")
def folder(build: Path) -> Path:
    out = build.parent / "task"
    assert main(["export", str(build), "--format", "lmms-eval", "--out", str(out)]) == 0
    return out


def module_of(folder: Path) -> ModuleType:
    """The task's functions, loaded as lmms-eval loads them: from the file beside the YAML."""
    spec = importlib.util.spec_from_file_location("utils", folder / "utils.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def task_of(folder: Path, name: str) -> dict[str, Any]:
    """A task's file with its functions, read as lmms-eval reads it."""
    yaml = pytest.importorskip("yaml")

    loader_type = type("Loader", (yaml.SafeLoader,), {})

    def function(loader: Any, node: Any) -> Any:
        module, _, called = loader.construct_scalar(node).partition(".")
        assert module == "utils"
        return getattr(module_of(folder), called)

    yaml.add_constructor("!function", function, loader_type)
    task: dict[str, Any] = yaml.load((folder / f"{name}.yaml").read_text(), loader_type)
    assert task["task"] == name
    return task


def docs(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "questions_val.jsonl").read_text().splitlines()]


def test_the_task_shows_the_frames_of_each_question_and_its_twin_shows_none(build: Path, folder: Path) -> None:
    seeing, blind = (task_of(folder, f"gapdata_spatial_val{twin}") for twin in ("", "_blind"))
    (record,) = ShardReader(build)
    asked = {item.id: item for _, items, _ in record_questions(record, tuple(KINDS), QuestionOptions())
             for item in items}  # fmt: skip
    found = docs(folder)
    assert {doc["id"] for doc in found} == set(asked)
    for doc in found:
        question = asked[doc["id"]].question
        frames = seeing["doc_to_visual"](doc)
        assert [frame.size for frame in frames] == [record.image_size] * len(record)
        marked = {mark.frame for mark in question.marks}
        for place, frame in enumerate(frames):
            differs = np.abs(np.asarray(frame).astype(int) - record.image(place)).max() > 60
            assert differs == (place in marked)
        text = question.text.replace("<image>", "")
        for task in (seeing, blind):
            said = task["doc_to_text"](doc, lmms_eval_specific_kwargs=task["lmms_eval_specific_kwargs"]["default"])
            assert said == f"These are frames of a video.\n{text}"
        assert blind["doc_to_visual"](doc) == []
    own = ("task", "doc_to_visual")
    assert {key for key in seeing if key not in own} == {key for key in blind if key not in own}


def test_the_truth_scores_one_and_the_overall_score_is_the_mean_of_types(folder: Path) -> None:
    task, found = task_of(folder, "gapdata_spatial_val"), docs(folder)
    assert {doc["question_type"] for doc in found} >= {"object_abs_distance", "object_size_estimation", "relation"}
    metrics = {item["metric"]: item["aggregation"] for item in task["metric_list"]}
    assert set(metrics) == {"overall", *(doc["question_type"] for doc in found)}
    right = [task["process_results"](doc, [doc["ground_truth"]]) for doc in found]
    assert all(result[doc["question_type"]] == 1 for doc, result in zip(found, right, strict=True))
    assert metrics["overall"]([result["overall"] for result in right]) == 1
    mixed = [{"type": "a", "score": 1.0}] * 9 + [{"type": "b", "score": 0.0}]
    assert metrics["overall"](mixed) == 0.5


def test_answers_are_read_and_scored_as_this_package_does(folder: Path) -> None:
    utils = module_of(folder)
    for text in TEXTS:
        letter, number = parse_letter(text), parse_number(text)
        assert utils.read_letter(text) == (None if isinstance(letter, Unparsable) else letter)
        assert utils.read_number(text) == (None if isinstance(number, Unparsable) else number)
    rng = np.random.default_rng(0)
    for guess, truth in [*rng.uniform(-3, 3, (200, 2)).tolist(), (0.0, 0.0), (1.0, 0.0), (1.5, 1.0), (2.1, 2.0)]:
        assert utils.relative_accuracy(guess, truth) == float(relative_accuracy(guess, truth))


def test_the_copied_file_needs_nothing_of_this_package(folder: Path) -> None:
    nodes = ast.walk(ast.parse((folder / "utils.py").read_text()))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    nodes = ast.walk(ast.parse((folder / "utils.py").read_text()))
    found |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert found == {"re", "numpy", "PIL", "pathlib", "collections.abc", "typing"}


def test_types_that_vsi_bench_has_carry_its_names_and_options(folder: Path) -> None:
    assert set(VSI_NAMES.values()) == NUMBER_TYPES | LETTER_TYPES
    assert {task for task, _ in VSI_NAMES} < set(KINDS)
    for doc in docs(folder):
        assert (doc["metric"] == "letter") == bool(doc["options"]) == (doc["ground_truth"] in "ABCDEFGH")
        assert all(option.startswith(f"{'ABCDEFGH'[place]}. ") for place, option in enumerate(doc["options"]))


def test_types_are_chosen_and_an_interrupted_export_goes_on(
    build: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(build), "--format", "lmms-eval", "--out"]
    assert main([*command, str(tmp_path / "some"), "--tasks", "size,relation", "--per-kind", "1"]) == 0
    assert [doc["task"] for doc in docs(tmp_path / "some")] == ["size", "relation"]
    (folder / "report.json").unlink()
    before = tree(folder)
    assert main([*command, str(folder)]) == 0
    assert before.items() <= tree(folder).items()
    capsys.readouterr()
    assert main([*command, str(tmp_path / "other"), "--tasks", "pointmap"]) == 2
    assert "task 'pointmap' is unknown" in capsys.readouterr().err


def test_lmms_eval_itself_scores_the_truth_with_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = pytest.importorskip("lmms_eval.evaluator")
    from lmms_eval.api.model import lmms
    from lmms_eval.protocol import ChatMessages
    from lmms_eval.tasks import TaskManager

    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.chdir(folder)
    seen: dict[str, set[int]] = {}

    class Knowing(lmms):  # type: ignore[misc]
        is_simple = False

        def generate_until(self, requests: list[Any]) -> list[str]:
            answers = []
            for request in requests:
                _, to_messages, _, number, task, split = request.args
                doc = self.task_dict[task][split][number]
                images, *_ = ChatMessages(messages=to_messages(doc)).extract_media()
                seen.setdefault(task, set()).add(len(images))
                answers.append(doc["ground_truth"])
            return answers

        def loglikelihood(self, requests: list[Any]) -> list[Any]:
            raise NotImplementedError

        def generate_until_multi_round(self, requests: list[Any]) -> list[Any]:
            raise NotImplementedError

    tasks = ["gapdata_spatial_val", "gapdata_spatial_val_blind"]
    manager = TaskManager(include_path=str(folder))
    found = evaluator.simple_evaluate(
        model=Knowing(), tasks=tasks, task_manager=manager, batch_size=1, bootstrap_iters=0
    )
    assert [found["results"][task]["overall,none"] for task in tasks] == [1.0, 1.0]
    assert seen == {"gapdata_spatial_val": {9}, "gapdata_spatial_val_blind": {0}}
