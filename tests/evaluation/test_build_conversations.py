"""The conversations that a build holds are asked verbatim and scored, where there was nothing to ask."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gapdata.annotations.conversation import TASKS as KINDS
from gapdata.errors import UsageError
from gapdata.export.items import record_items
from gapdata.records.expressions import Conversation
from gapdata.records.schema import Record
from gapdata.shards.records import RecordList
from gapdata.tasks import grounding
from gapdata.tasks.grounding_box import answer_text
from gapmodel.commands.main import main
from gapmodel.evaluation.answering import missing
from gapmodel.evaluation.asking import TASKS, TOKENS, second_id
from gapmodel.evaluation.build_conversations import BuildConversations, holds_conversations_alone
from gapmodel.evaluation.given_asking import given_tasks
from gapmodel.evaluation.report import as_dict
from gapmodel.evaluation.run import score
from tests.support.authors_checkpoints import load_small, write_checkpoint
from tests.support.builds import write_build
from tests.support.evaluations import clip, scene_view


def talking(record: Record) -> Record:
    """A record that holds what their files would ask about it, and nothing else that can be asked."""
    told = []
    for task in KINDS:
        for index, item in enumerate(record_items(record, task, "gap")[0]):
            question, answer = (turn["value"] for turn in item["conversations"])
            mark = None if "pixel_coords" not in item else tuple(item["pixel_coords"])
            told.append(
                Conversation(
                    task=task, question=question, answer=answer, mark=mark, source=f"{task}.json", index=index
                ).to_fields()
            )
    return replace(record, prompts=(), expressions=tuple(told))


RECORDS = [talking(view(seed, "val")) for seed in (1, 2) for view in (clip, scene_view)]


def test_a_builds_conversations_score_perfectly_with_their_own_answers() -> None:
    reader = BuildConversations(RecordList(RECORDS), "val")
    questions = given_tasks(reader, TASKS)
    assert [task.task for task in questions] == list(TASKS)
    texts = {}
    for task in questions:
        for item in task.asked:
            record = reader.given[item.index]
            texts[item.id] = record.question.answer
            if task.task == "grounding_two_stage" and record.kind == "scanrefer":
                read = grounding.parse(record.question.answer)
                assert isinstance(read, grounding.GroundingAnswer)
                texts[second_id(item, read.frame)] = answer_text(read.values)
    assert not missing(questions, texts)
    found = as_dict(score(reader, questions, texts))
    assert found["pointmap"]["within"]["0.05"] == found["pointmap"]["label_accuracy"] == 1.0
    assert found["detection"]["overall"]["0.50"]["f1"] == 1.0
    for name in ("grounding", "grounding_two_stage"):
        assert found[name]["accuracy"]["0.50"] == found[f"{name}_gap"]["accuracy"]["0.50"] == 1.0
    assert found["captioning"]["scores"]["0.50"]["ROUGE-L"] == pytest.approx(1.0)
    # The frame alone says nothing about the box, and the box alone not which frame it is in.
    assert set(reader.left_out) == {"no true box"}
    assert (reader[0].image(0) == RECORDS[0].image(0)).all()


def test_a_split_that_holds_conversations_alone_is_known() -> None:
    assert holds_conversations_alone(RecordList(RECORDS), "val")
    assert not holds_conversations_alone(RecordList([*RECORDS, clip(1, "val")]), "val")
    with pytest.raises(UsageError, match="holds no question that can be asked: it has no rows; build shards with"):
        BuildConversations(RecordList([clip(1, "val")]), "val")


def test_a_build_of_conversations_is_scored_by_the_command_without_naming_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_small(monkeypatch)
    monkeypatch.setattr("gapmodel.evaluation.authors_view.MAX_TOKENS", 8)
    monkeypatch.setitem(TOKENS, "pointmap", 8)
    checkpoint = write_checkpoint(tmp_path / "released")
    build = write_build(tmp_path / "build", [record for record in RECORDS if record.view == "clip"])
    words = ["evaluate", "--gap-mllm", str(checkpoint), "--shards", str(build), "--limit", "2", "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["pointmap"]["questions"], said["detection"]["views"]) == (2, 2)
    assert main([*words, "--task", "conversation"]) == 0
    assert "already complete" in capsys.readouterr().err
    assert main([*words, "--task", "detection,conversation"]) == 2
    assert "conversation is asked alone; ask the other tasks by another command" in capsys.readouterr().err
