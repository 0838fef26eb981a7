"""``gapdata questions``: the spatial questions that a build can be asked, with their provenance."""

from __future__ import annotations

import argparse
from pathlib import Path

from gapdata.annotations.taxonomy import TAXONOMIES
from gapdata.commands.argument_types import local, place, positive
from gapdata.runtime.terminal import say_result

HELP = "Ask a build spatial questions: write them with their provenance, and say what cannot be asked and why."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the build, and which questions are wanted of it."""
    parser.add_argument("build", type=place, metavar="BUILD", help="the --out of build-shards")
    parser.add_argument(
        "--out",
        type=local,
        metavar="FILE",
        help="write the questions there, a JSON object a line, and the counts beside it, as FILE with .summary.json "
        "for its ending (default: only count)",
    )
    parser.add_argument("--kinds", nargs="+", default=None, metavar="KIND", help="types of question (default: all)")
    parser.add_argument("--split", default=None, help="records of this split only")
    parser.add_argument(
        "--per-kind", type=positive, default=2, metavar="N", help="most questions of a type about a view (default: 2)"
    )
    parser.add_argument("--taxonomy", choices=TAXONOMIES, help="names of objects (default: raw, the source's own)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the same seed gives the same questions")
    parser.add_argument("--unbalanced", action="store_true", help="keep the questions whose answers their texts tell")
    parser.add_argument("--blind", action="store_true", help="print what guesses from text alone reach, by type")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Ask, and return the exit status."""
    from gapdata.audit.blind_text import format_blind
    from gapdata.audit.question_summary import write_summary
    from gapdata.audit.spatial_survey import format_survey, survey_questions
    from gapdata.files.atomic import atomic_file
    from gapdata.tasks.task import QuestionOptions

    out: Path | None = options.out
    survey = survey_questions(
        options.build,
        QuestionOptions(per_kind=options.per_kind, taxonomy=options.taxonomy),
        kinds=options.kinds,
        split=options.split,
        seed=options.seed,
        balanced=not options.unbalanced,
    )
    text = format_survey(survey)
    if options.blind:
        survey.guess_blindly()
        text += f"\n{format_blind(survey.blind or ())}"
    if out is not None:
        asked = ("per_kind", "taxonomy", "seed", "split", "kinds", "unbalanced")
        write_summary(out, survey, {name: getattr(options, name) for name in asked})
        with atomic_file(out) as file:
            file.writelines(survey.questions.lines())
        text += f"\nwritten to {out}"
    say_result(survey.to_fields(), text, as_json=options.json)
    return 0
