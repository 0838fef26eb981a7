"""The scores of published benchmarks' questions as tables: by their rules, by other programs', and by ours."""

from __future__ import annotations

import math

from gapmodel.evaluation.benchmark_results import BenchmarkOverall, BenchmarkResult
from gapmodel.evaluation.benchmark_scores import RULES
from gapmodel.evaluation.tables import Table, percent, span, without_empty_columns

TITLES = {"vsi-bench": "VSI-Bench", "spar-bench": "SPAR-Bench", "scanqa": "ScanQA", "sqa3d": "SQA3D"}


def benchmark_table(result: BenchmarkResult) -> Table:
    """Make a table of a benchmark's types and overall figures; the first scores are by its own rules."""
    main = RULES[result.benchmark]
    names = list(dict.fromkeys([main, *(name for kind in result.types.values() for name in kind.published)]))
    of = "95 % interval"
    header = ("type", "asked", "unreadable", main, of, *names[1:], "ours", of, "best constant")
    rows: list[tuple[str, ...]] = []
    for kind, scores in result.types.items():
        cells = (percent(scores.published[name]) for name in names[1:])
        rows.append(
            (
                kind,
                str(scores.questions),
                str(scores.unparsable),
                percent(scores.published[main]),
                span(scores.interval),
                *cells,
                percent(scores.ours),
                "",
                "" if math.isnan(scores.constant) else percent(scores.constant),
            )
        )
    rows.append(("overall",))
    rows += [_overall_row(title, figure, names) for title, figure in result.overall.items()]
    rows += [(name, "", "", percent(score)) for name, score in result.captions.items()]
    return without_empty_columns(Table(header=header, rows=tuple(rows)))


def benchmark_notes(result: BenchmarkResult) -> list[str]:
    """Return what has to be known to read a benchmark's table."""
    title, main = TITLES[result.benchmark], RULES[result.benchmark]
    notes = [
        f"{title}: {main} is by the benchmark's own rules, ours by the readers of our own questions. The best constant "
        "is fitted on these very questions: no constant answer scores more."
    ]
    for name, figure in result.overall.items():
        if figure.ours.missing:
            notes.append(f"{title}, {name}: without {', '.join(figure.ours.missing)}; others' figure has them")
    reasons = {kind: scores.reasons for kind, scores in result.types.items() if scores.reasons}
    said = [f"{kind}: {', '.join(f'{count} {why}' for why, count in found.items())}" for kind, found in reasons.items()]
    return [*notes, *([f"{title}: unreadable answers: {'; '.join(said)}"] if said else [])]


def _overall_row(title: str, figure: BenchmarkOverall, names: list[str]) -> tuple[str, ...]:
    missing = f" without {len(figure.ours.missing)} of its types" if figure.ours.missing else ""
    main = figure.published[names[0]]
    cells = (percent(figure.published[name].of_asked) for name in names[1:])
    ours = (percent(figure.ours.of_asked), span(figure.ours.interval))
    return (f"{title}{missing}", "", "", percent(main.of_asked), span(main.interval), *cells, *ours)
