"""The fourth part of the page: questions about space, what is asked and refused, what text alone reaches, and fifty."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from gapdata.audit.blind_text import best_other, percent
from gapdata.audit.spatial_blind import LARGEST_EXCESS, BlindRow
from gapdata.audit.spatial_survey import QuestionSurvey
from gapdata.audit.text_guesses import OF_LETTERS
from gapdata.report.charts import Distribution, bars, histogram
from gapdata.report.contents import BuildContents
from gapdata.report.markup import Markup, joined, table, tag
from gapdata.report.opened import OpenedRecords
from gapdata.report.space_questions import SHOWN, drawn_questions, letters_and_texts, question_view
from gapdata.report.space_sample import PER_KIND, SpaceSample
from gapdata.runtime.counting import counted
from gapdata.tasks.spatial.question_file import AskedQuestion

REASONS_SHOWN = 3
MOST_TEXTS = 8
"""Different right options from which on only letters are charted: they are then names."""
UNIT = re.compile(r"Answer in ([a-z ]{1,30})\.")


def space(contents: BuildContents, opened: OpenedRecords, sample: SpaceSample) -> Markup:
    """Show the questions of a sample of the records; a line where there are none."""
    survey = sample.survey
    questions = list(survey.questions)
    if not questions:
        reasons = "it has no annotated objects, or too few frames" if survey.records else "it has no records"
        return tag("p", f"No spatial questions can be asked of this build: {reasons}.", class_="empty")
    count = counted(len(questions), "question")
    if sample.file:
        lead = joined([f"The {count} of {sample.file}."])
    else:
        parts = f"Asked of {counted(survey.records, 'record')} of {len(contents):,}, evenly spread, with at most "
        parts += (
            f"{PER_KIND} questions of a type about each: {count}. For those of all records, and this page of them: "
        )
        commands = "gapdata questions BUILD --out FILE --blind", "gapdata report BUILD --questions FILE"
        lead = joined([parts, tag("code", commands[0]), ", ", tag("code", commands[1]), "."])
    shown = [question_view(opened, sample.positions[item.key], item) for item in drawn_questions(questions, SHOWN)]
    articles = [view for view in shown if view is not None]
    return joined(
        [
            tag("p", lead, class_="note"),
            _counts(survey),
            _blind(survey.blind or ()),
            tag("h3", "Answers", class_="group"),
            _answers(questions),
            tag("h3", f"{len(articles)} questions drawn at random", class_="group"),
            tag(
                "p", "Answer each by its frames first. Then uncover the answer: it must be the only one.", class_="note"
            ),
            tag("div", *articles, class_="gallery"),
        ]
    )


def _counts(survey: QuestionSurvey) -> Markup:
    rows = []
    for kind, count in survey.asked.items():
        refused = survey.refused[kind]
        why = "; ".join(f"{number:,} {reason}" for reason, number in refused.most_common(REASONS_SHOWN))
        rows.append((kind.replace("_", " "), count, refused.total(), why))
    heads = ("type", "asked", "refused", "most frequent reasons")
    return table(
        heads, rows, caption="Questions by type, and candidates that are not asked, with the reason", class_="wide"
    )


def _blind(rows: Sequence[BlindRow]) -> Markup:
    if not rows:
        return tag("p", "Too few places to find out what text alone reaches.", class_="note")
    names = ("constant", "category", "words")
    lines = []
    for row in rows:
        cells = [_score(row, name) for name in names]
        other = best_other(row)
        cells.append(joined([f"{other}: ", _score(row, other)]) if other else Markup(""))
        title = row.kind.replace("_", " ") + (f", {row.form}" if row.form else "")
        lines.append((title, row.questions, row.places, f"{100 * row.chance:.1f}", *cells))
    heads = ("type", "questions", "places", "chance", "best constant", "by names", "bag of words", "best rule")
    fitted = {"train": "fitted on train and scored on the others", "folds": "fitted and scored on folds of places"}
    ways = " or ".join(sorted({fitted[row.fitted] for row in rows}))
    caption = (
        "What text alone reaches, in percent with 95 % intervals over places: accuracy of letters, mean relative "
        f"accuracy of numbers; {ways}. Rules: {', '.join(OF_LETTERS)}. Letters that are more than "
        f"{100 * LARGEST_EXCESS:g} points above chance, and not by luck, stand out."
    )
    return table(heads, lines, caption=caption, class_="wide")


def _score(row: BlindRow, name: str) -> object:
    text = percent(row.scores[name])
    return tag("strong", text, class_="exceeds") if name in row.exceeding else text


def _answers(questions: Sequence[AskedQuestion]) -> Markup:
    forms: dict[tuple[str, str], list[AskedQuestion]] = defaultdict(list)
    for item in questions:
        forms[item.question.kind, item.question.form].append(item)
    return tag("div", *(_chart(*key, items) for key, items in sorted(forms.items())), class_="charts")


def _chart(kind: str, form: str, items: Sequence[AskedQuestion]) -> Markup:
    title = kind.replace("_", " ") + (f", {form}" if form else "")
    if not items[0].question.options:
        unit = UNIT.search(items[0].question.text)
        values = np.array([item.question.value for item in items], dtype=np.float64)
        shown = Distribution(
            title=title, meaning="answers", values=values, unit=unit[1] if unit else "", whole=kind == "count"
        )
        return histogram(shown)
    letters, texts = letters_and_texts(items)
    parts = [bars(letters, len(items))]
    if len(texts) <= MOST_TEXTS and not any(text.startswith("cross ") for text in texts):
        parts.append(bars(texts, len(items)))
    caption = tag(
        "figcaption",
        tag("h3", title),
        tag("p", "right letters, and the right options where these are few", class_="meaning"),
    )
    return tag("figure", caption, *parts, class_="chart")
