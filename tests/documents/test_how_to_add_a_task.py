"""The page's example of a new task is asked, read and trained as it stands, from one file and one line."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gapdata.shards.records import RecordList
from gapdata.tasks import questions as registry
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.task import QuestionOptions, Task
from gapmodel.processing import GapProcessor
from gapmodel.questions.recipe import DataRecipe, check_data_recipe
from gapmodel.tokenizer import train_tokenizer
from gapmodel.training.census import census
from gapmodel.training.recipe import Stream
from gapmodel.training.starting_point import spoken_texts
from gapmodel.training.stream_questions import StreamQuestions
from tests.conftest import REPOSITORY
from tests.model.test_processing import CONFIG
from tests.support.showing import room_record


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    page = (REPOSITORY / "gapdata" / "README.md").read_text()
    section = page.split("## How to add")[1].split("### a task")[1]
    found = re.search(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert found is not None
    module: dict[str, Any] = {}
    exec(compile(found.group(1), "counting.py", "exec"), module)
    monkeypatch.setattr(registry, "TASKS", {**registry.TASKS, module["TASK"].name: module["TASK"]})
    monkeypatch.setattr("gapmodel.questions.recipe.TASKS", registry.TASKS)
    return module["TASK"]


def test_the_example_asks_about_a_record_and_reads_its_own_answers(task: Task) -> None:
    record = room_record(2, (64, 48))
    chairs = tuple(replace(record.objects[0], object_id=number, label="chair") for number in range(10, 13))
    record = replace(record, objects=(*record.objects, *chairs))
    asked = registry.questions(record, task.name, QuestionOptions(), np.random.default_rng(0))
    answers = {question.text.rsplit("called ")[1].split("?")[0]: task.parse(question.answer) for question in asked}
    assert answers["chair"] == 3
    assert set(answers) == {item.label for item in record.objects}
    assert isinstance(task.parse("many"), Unparsable)


def test_training_asks_the_example_without_an_edit(task: Task) -> None:
    records = RecordList([room_record(2, (64, 48))])
    data = DataRecipe(task=task.name, frames=1, min_visible_pixels=1)
    check_data_recipe(data, "data", None)
    stream = Stream(name="counting", weight=1.0, build="", data=data)
    processor = GapProcessor(train_tokenizer(spoken_texts(records, data)), CONFIG)
    asked = StreamQuestions(stream, records, processor, seed=0)
    examples = asked.examples(asked.order().visit(0, 0))
    assert len(examples) == sum(item.visible_pixels[0] > 0 for item in records[0].objects)
    assert str(census([stream], {"": records})["counting"]) == "1 record"
