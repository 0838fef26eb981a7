"""The second part of the page: distributions of the figures of all views, and of a sample of their contents."""

from __future__ import annotations

import numpy as np

from gapdata.report.charts import Distribution, bars, histogram
from gapdata.report.contents import BuildContents
from gapdata.report.figures import FIGURES
from gapdata.report.markup import Markup, joined, table, tag
from gapdata.report.samples import Samples
from gapdata.runtime.counting import counted

SHOWN_CATEGORIES = 48


def distributions(contents: BuildContents, samples: Samples) -> Markup:
    """Draw histograms of quality, contents and geometry, prompts by category, lengths of text."""
    return joined(
        [
            tag("h3", "Quality of every view", class_="group"),
            tag("div", *(histogram(item) for item in _quality(contents)), class_="charts"),
            tag("h3", "What the views hold", class_="group"),
            tag("div", *(histogram(item) for item in _holdings(contents, samples)), class_="charts"),
            _sampled(contents, samples),
            _categories(contents),
            _texts(contents, samples),
        ]
    )


def _quality(contents: BuildContents) -> list[Distribution]:
    shown = []
    for figure in FIGURES:
        limit = None if figure.limit is None else figure.limit(contents.plan.recipe)
        shown.append(
            Distribution(
                title=figure.title,
                meaning=figure.meaning,
                values=contents.columns[figure.name] * figure.scale,
                unit=figure.unit,
                digits=figure.digits,
                limit=None if limit is None else limit * figure.scale,
                limit_text="" if limit is None else f"quarantined above {limit * figure.scale:g}",
            )
        )
    return shown


def _holdings(contents: BuildContents, samples: Samples) -> list[Distribution]:
    columns, sampled = contents.columns, f"{samples.records:,} sampled views"
    return [
        Distribution(
            title="Objects per view",
            meaning="annotated objects that the view lists",
            values=columns["objects"],
            whole=True,
        ),
        Distribution(
            title="Prompts per view", meaning="marked pixels with an answer", values=columns["prompts"], whole=True
        ),
        Distribution(title="Frames per view", meaning="images of one record", values=columns["frames"], whole=True),
        Distribution(
            title="Record size", meaning="all members of a record", values=columns["bytes"] / 1000, unit="kB", digits=0
        ),
        Distribution(
            title="Depth",
            meaning=f"valid points of the pointmaps of {sampled}, each from its own camera",
            values=samples.depths,
            unit="m",
        ),
        Distribution(
            title="Point distance",
            meaning=f"answers of the prompts of {sampled}, from the first camera",
            values=samples.distances,
            unit="m",
        ),
    ]


def _sampled(contents: BuildContents, samples: Samples) -> Markup | None:
    if samples.records in (0, len(contents)):
        return None
    text = f"Depth, point distance and text length come from {samples.records:,} of {len(contents):,} records, evenly"
    return tag("p", text, " spread; everything else is of all records.", class_="note")


def _categories(contents: BuildContents) -> Markup:
    counts = contents.report["prompts_by_label"]
    heading = tag("h3", "Prompts by category", class_="group")
    if not counts:
        return joined([heading, tag("p", "This build has no prompts.", class_="empty")])
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    names = list(ordered)
    total = sum(ordered.values())
    parts = [heading, bars({name: ordered[name] for name in names[:SHOWN_CATEGORIES]}, total)]
    if rest := names[SHOWN_CATEGORIES:]:
        count = sum(ordered[name] for name in rest)
        summary = tag(
            "summary", f"{counted(len(rest), 'more category', 'more categories')} with {counted(count, 'prompt')}"
        )
        listed = ", ".join(f"{name or '(no label)'} {ordered[name]:,}" for name in rest)
        parts.append(tag("details", summary, tag("p", listed, class_="rest")))
    return joined(parts)


def _texts(contents: BuildContents, samples: Samples) -> Markup:
    heading = tag("h3", "Text length", class_="group")
    if not samples.texts:
        return joined([heading, tag("p", "No view of the sample holds a question.", class_="empty")])
    rows = []
    for task, lengths in samples.texts.items():
        middle, high = np.percentile(lengths.answers, [50, 95])
        asked, longest = float(np.median(lengths.questions)), float(lengths.answers.max())
        rows.append(
            (task.replace("_", " "), len(lengths.answers), round(asked), round(middle), round(high), round(longest))
        )
    heads = ("task", "questions", "median question", "median answer", "95th percentile", "longest answer")
    caption = (
        f"Characters of the questions and answers that {counted(samples.records, 'view')} "
        f"{'holds' if samples.records == 1 else 'hold'}, with the default options"
    )
    charts = [
        histogram(
            Distribution(
                title=f"Answers: {task.replace('_', ' ')}",
                meaning="texts that a model is taught to write",
                values=lengths.answers,
                unit="characters",
                whole=True,
            )
        )
        for task, lengths in samples.texts.items()
    ]
    return joined([heading, table(heads, rows, caption=caption, class_="wide"), tag("div", *charts, class_="charts")])
