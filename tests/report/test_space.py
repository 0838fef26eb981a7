"""The part of the page about questions about space: from a sample or a file, with the frames that they are about."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gapdata.commands.main import main
from gapdata.errors import UsageError
from gapdata.report.page import report_page
from gapdata.report.plan_sketch import plan_sketch
from gapdata.report.space_questions import SHOWN, drawn_questions, frames_of
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.spatial.question_file import AskedQuestion, read_questions
from tests.support.reports import EVIL, Page, page
from tests.support.showing import room_record

__all__ = ["page"]


@pytest.fixture(scope="module")
def question_file(inline_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    assert main(["questions", str(inline_build), "--out", str(path), "--per-kind", "3", "--blind"]) == 0
    return path


def about(kind: str, *, form: str = "", number: int = 0, **fields: Any) -> AskedQuestion:
    given = {"text": "How far?", "answer": "1", "value": 1.0, "margin": 0.0, **fields}
    question = SpatialQuestion(kind=kind, form=form, **given)
    return AskedQuestion(id=f"{kind}/k/{form}{number}", key="k", scene_id="s", question=question)


def articles(content: bytes) -> list[str]:
    return re.findall(r'<article class="view question">.*?</article>', content.decode(), re.DOTALL)


def test_a_sample_is_asked_and_the_page_says_of_how_many_records(page: bytes, inline_build: Path) -> None:
    text = Page(page).text
    assert "Asked of 16 records of 16, evenly spread" in text
    assert "What text alone reaches, in percent with 95 % intervals over places" in text
    shown = articles(page)
    assert len(shown) == SHOWN
    for article in shown:
        assert "<img" in article
        assert article.index("<details>") < article.index('class="answer"')  # closed until it is clicked
        assert "<details open" not in article


def test_a_file_is_shown_as_it_is_with_what_was_refused_for_it(inline_build: Path, question_file: Path) -> None:
    content, facts = report_page(inline_build, 1, question_file)
    questions = {item.id: item for item in read_questions(question_file)}
    assert facts["questions"] == len(questions)
    text = Page(content).text
    assert f"The {len(questions)} questions of questions.jsonl." in text
    refused = json.loads(question_file.with_suffix(".summary.json").read_text())["refused"]
    assert all(reason in text for reasons in refused.values() for reason in list(reasons)[:3])
    for article in articles(content):
        ids = [item for item in questions.values() if f"<dd>{item.id}</dd>" in article]
        assert len(ids) == 1
        assert article.count("<figure") == len(set(ids[0].question.frames))
        assert article.count("<li>") == len(ids[0].question.options)


def test_a_file_about_other_records_or_frames_is_refused(
    inline_build: Path, question_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = read_questions(question_file)[0]
    path = tmp_path / "other.jsonl"
    for changed, problem in (
        (replace(item, key="elsewhere"), "asks about record elsewhere, which the build lacks"),
        (replace(item, question=replace(item.question, frames=(99,))), "about a frame that its record lacks"),
    ):
        path.write_text(changed.to_line())
        with pytest.raises(UsageError, match=problem):
            report_page(inline_build, 1, path)
    assert main(["report", str(inline_build), "--questions", str(tmp_path / "none"), "--out", str(tmp_path / "p")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_markup_in_a_question_is_text(inline_build: Path, question_file: Path, tmp_path: Path) -> None:
    item = next(item for item in read_questions(question_file) if item.question.options)
    options = (EVIL, *item.question.options[1:])
    question = replace(item.question, text=f"{EVIL}\nA. {EVIL}", options=options, kind=EVIL, form=EVIL)
    path = tmp_path / "evil.jsonl"
    path.write_text(replace(item, id=EVIL, place=EVIL, question=question).to_line())
    parsed = Page(report_page(inline_build, 1, path)[0])
    assert [attributes.get("type") for name, attributes in parsed.elements if name == "script"][-1] is None
    assert sum(name == "script" for name, _ in parsed.elements) == 3
    assert parsed.text.count(EVIL) >= 4


def test_drawn_questions_are_of_all_forms_whatever_their_order() -> None:
    items = [about("size", number=at) for at in range(40)]
    items += [about("relation", form=form, number=at) for form in ("side", "height") for at in range(3)]
    drawn = drawn_questions(items, 12)
    assert drawn == drawn_questions(items[::-1], 12)
    assert [item.question.form for item in drawn].count("side") == 3
    assert len(drawn) == len({item.id for item in drawn}) == 12
    assert drawn_questions([], 5) == []


def test_the_frames_shown_are_those_that_are_named_or_show_the_objects() -> None:
    record = room_record(frames=6, size=(128, 96), aligned=True)
    assert frames_of(record, about("pixel_depth", frames=(4, 1))) == [1, 4]
    assert len(frames_of(record, about("room"))) == 4
    ids = tuple(item.object_id for item in record.objects)
    shown = frames_of(record, about("count", object_ids=ids))
    assert 1 <= len(shown) <= 4
    visible = [item for item in record.objects if max(item.visible_pixels)]
    assert any(item.visible_pixels[frame] for item in visible for frame in shown)


def test_the_plan_names_the_objects_of_the_question_and_draws_the_others() -> None:
    record = room_record(frames=3, size=(128, 96), aligned=True)
    named = record.objects[0]
    drawing = plan_sketch(record, [named.object_id], [1])
    assert drawing is not None
    assert drawing.count('class="named"') == drawing.count("<text") == drawing.count('class="gaze"') == 1
    assert f">{named.label}</text>" in drawing
    assert drawing.count("<polygon") >= len(record.objects)
    assert plan_sketch(room_record(frames=2, size=(128, 96)), [named.object_id], []) is None
