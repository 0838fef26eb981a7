"""Turn results into a table and into sentences that follow from its figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gapmodel.experiments.miniature.arms import arms
from gapmodel.experiments.miniature.correction import PARTS
from gapmodel.experiments.miniature.recipe import MiniatureRecipe
from gapmodel.experiments.miniature.verdict import Comparison, compare, together
from gapmodel.experiments.miniature.workspace import Workspace

F1 = "f1@0.25"
CENTRES, REST = PARTS
Results = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""Arm -> seed -> the results of the run."""

ROWS: tuple[tuple[str, Callable[[Mapping[str, Any]], float], str], ...] = (
    ("F1 at IoU 0.25", lambda run: run["scores"][F1], "share"),
    ("precision at IoU 0.25", lambda run: run["scores"]["precision@0.25"], "share"),
    ("recall at IoU 0.25", lambda run: run["scores"]["recall@0.25"], "share"),
    ("F1 at IoU 0.25, mean of classes", lambda run: run["scores"]["class_f1@0.25"], "share"),
    ("F1 at IoU 0.5", lambda run: run["scores"]["f1@0.50"], "share"),
    ("F1 at IoU 0.25 with all centres right", lambda run: run["scores"]["corrected"][CENTRES], "share"),
    ("F1 at IoU 0.25 with all sizes and angles right", lambda run: run["scores"]["corrected"][REST], "share"),
    ("objects named", lambda run: run["scores"]["named"], "share"),
    ("median centre error of these", lambda run: run["scores"]["center_error"], "metres"),
    ("boxes predicted for each true one", lambda run: run["scores"]["predicted"] / run["scores"]["true"], "ratio"),
    ("unreadable answers", lambda run: run["scores"]["unparsable"], "count"),
    ("cross-entropy of a token of the true answers", lambda run: run["scores"]["loss"], "ratio"),
    ("of a box's name", lambda run: run["scores"]["nats"]["label"], "ratio"),
    ("of its centre", lambda run: run["scores"]["nats"]["centre"], "ratio"),
    ("of its size", lambda run: run["scores"]["nats"]["size"], "ratio"),
    ("of its angles", lambda run: run["scores"]["nats"]["angles"], "ratio"),
    (
        "of its centre, another window's geometry",
        lambda run: run["without_geometry"]["strange"]["nats"]["centre"],
        "ratio",
    ),
    ("steps of stage 1", lambda run: run["stage1_steps"], "count"),
    ("steps of stage 2", lambda run: run["stage2_steps"], "count"),
    ("step chosen", lambda run: run["chosen"], "count"),
    ("million tokens, both stages", lambda run: run["tokens"] / 1e6, "ratio"),
    ("10^12 operations, both stages", lambda run: run["operations"] / 1e12, "count"),
    ("CPU seconds spent, features looked up where they were kept", lambda run: run["total_cpu_seconds"], "count"),
)


OTHERS: tuple[tuple[str, Callable[[Mapping[str, Any]], float], float], ...] = (
    ("recall at IoU 0.25, points", lambda run: run["scores"]["recall@0.25"], 100.0),
    ("F1 with all sizes and angles right, points", lambda run: run["scores"]["corrected"][REST], 100.0),
    ("objects named, points", lambda run: run["scores"]["named"], 100.0),
    ("median centre error, cm less", lambda run: -run["scores"]["center_error"], 100.0),
    ("cross-entropy of a token, hundredths less", lambda run: -run["scores"]["loss"], 100.0),
    ("of a box's centre, hundredths less", lambda run: -run["scores"]["nats"]["centre"], 100.0),
)
"""Figures that tell arms apart before F1 can, larger is better, and the factor that they are shown with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All that is reported; ``comparisons`` by claim."""

    results: Results
    stage1: Mapping[int, Mapping[str, Any]]
    towers: Mapping[str, Mapping[str, Any]]
    comparisons: Mapping[str, tuple[Comparison, ...]]
    others: Mapping[str, Mapping[str, tuple[Comparison, ...]]]
    """The same comparisons by other figures (:data:`OTHERS`)."""
    missing: tuple[str, ...]


def summarise(workspace: Workspace) -> Summary:
    """Collect the results of the finished jobs, and the names of the others."""
    recipe = workspace.recipe
    results: dict[str, dict[int, dict[str, Any]]] = {}
    missing: list[str] = []
    stage1 = {seed: found for seed in recipe.seeds if (found := workspace.result(f"seed-{seed}/stage1")) is not None}
    for name, arm in arms(recipe.scarce).items():
        results[name] = {}
        for seed in recipe.seeds:
            found = workspace.result(f"seed-{seed}/{name}")
            if found is None:
                missing.append(f"seed-{seed}/{name}")
                continue
            before = stage1[seed]["training_cpu_seconds"] if arm.stage1 else 0.0
            results[name][seed] = {**found, "total_cpu_seconds": found["training_cpu_seconds"] + before}
    towers = {name: workspace.result(name) or {} for name in ("vision", "geometry", "language")}
    return Summary(
        results=results,
        stage1=stage1,
        towers=towers,
        comparisons=claims(results, lambda run: run["scores"][F1]),
        others={title: claims(results, read) for title, read, _ in OTHERS},
        missing=tuple(missing),
    )


def claims(results: Results, read: Callable[[Mapping[str, Any]], float]) -> dict[str, tuple[Comparison, ...]]:
    """Compare by one figure: the paper's ordering, c against d, and the same with scarce annotation."""
    figures = {name: {seed: read(run) for seed, run in runs.items()} for name, runs in results.items()}
    return {
        "ordering": (compare("c", "b", figures), compare("b", "a", figures)),
        "compute": (compare("c", "d", figures),),
        "scarce": (compare("c-scarce", "d-scarce", figures),),
    }


def as_dict(summary: Summary) -> dict[str, Any]:
    """Return plain types for JSON, with None instead of numbers that are not finite."""
    comparisons = {claim: [_comparison(item) for item in items] for claim, items in summary.comparisons.items()}
    others = {
        title: {claim: [_comparison(item) for item in items] for claim, items in found.items()}
        for title, found in summary.others.items()
    }
    plain: dict[str, Any] = _plain(
        {
            "results": summary.results,
            "stage1": summary.stage1,
            "towers": summary.towers,
            "comparisons": comparisons,
            "others": others,
            "missing": summary.missing,
        }
    )
    return plain


def _comparison(item: Comparison) -> dict[str, Any]:
    fields = ("better", "worse", "differences", "mean", "spread", "verdict")
    return {name: getattr(item, name) for name in fields}


def as_markdown(summary: Summary, recipe: MiniatureRecipe) -> str:
    """Write the table, and what follows from it in words."""
    known = {name: arm for name, arm in arms(recipe.scarce).items() if summary.results[name]}
    lines = ["# The paper's claim in miniature", "", *conclusions(summary), ""]
    if summary.missing:
        lines += [f"Not finished: {', '.join(summary.missing)}.", ""]
    lines += ["## Arms", "", *(f"- **{name}**: {arm.title}" for name, arm in known.items()), ""]
    lines += ["Mean over seeds ± standard deviation, on held-out scenes.", ""]
    lines += [f"| | {' | '.join(known)} | constant answer |", "|---|" + "--:|" * (len(known) + 1)]
    for title, read, unit in ROWS:
        cells = [_cell([read(run) for run in summary.results[name].values()], unit) for name in known]
        lines.append(f"| {title} | {' | '.join(cells)} | {_constant(summary, title, read, unit)} |")
    lines += ["", *_stage1_lines(summary), *_tower_lines(summary)]
    return "\n".join(lines).rstrip() + "\n"


def conclusions(summary: Summary) -> list[str]:
    """Say in one sentence each what the figures show about the claims."""
    ordering, (compute,), (scarce,) = (summary.comparisons[name] for name in ("ordering", "compute", "scarce"))
    said = {
        "holds": "holds",
        "reversed": "does not hold",
        "undecided": "cannot be told from chance with these seeds",
    }
    lines = [
        f"The paper's ordering c > b > a (F1 at IoU 0.25, equal stage 2) **{said[together(ordering)]}**.",
        *(f"- {item.text()}" for item in ordering),
        "",
        f"That c is better than d, which spends c's whole arithmetic on stage 2, **{said[compute.verdict]}**.",
        f"- {compute.text()}",
        "",
        f"The same with scarce annotation **{said[scarce.verdict]}**.",
        f"- {scarce.text()}",
        "",
        "Differences are in points of F1, paired by seed; the words follow from Student's t test (one side, 5 %).",
    ]
    lines += [
        *_floor(summary),
        *_limits(summary),
        "",
        "The same comparisons by other figures (mean ± standard deviation of the paired differences); one in "
        "twenty such tests holds by chance:",
        "",
    ]
    lines += ["| | c > b | b > a | c > d | c-scarce > d-scarce |", "|---|---|---|---|---|"]
    for title, _, factor in OTHERS:
        items = [item for found in summary.others[title].values() for item in found]
        lines.append(f"| {title} | {' | '.join(_difference(item, factor) for item in items)} |")
    losses = [_geometry_sentence(name, runs) for name, runs in summary.results.items() if runs]
    return [*lines, "", "The cross-entropy of true answers without their geometry:", *losses] if losses else lines


def _difference(item: Comparison, factor: float) -> str:
    if not item.differences:
        return "not finished"
    if math.isnan(item.mean):
        return "n/a"
    around = "" if math.isnan(item.spread) else f" ± {factor * item.spread:.1f}"
    return f"{item.verdict} ({factor * item.mean:+.1f}{around})"


def _floor(summary: Summary) -> list[str]:
    """Warn of arms that do no better than an answer that is the same for every window."""
    runs = [run for found in summary.results.values() for run in found.values()]
    if not runs:
        return []
    constant = float(np.mean([run["scores"]["constant"][F1] for run in runs]))
    means = {
        n: float(np.mean([run["scores"][F1] for run in found.values()]))
        for n, found in summary.results.items()
        if found
    }
    below = [name for name, mean in means.items() if mean <= constant]
    if not below:
        return []
    return [
        "",
        f"Note: {', '.join(below)} do not do better than one answer for every window (F1 {100 * constant:.1f} %): they "
        "have hardly learnt to detect, and differences of F1 between such arms say little.",
    ]


def _limits(summary: Summary) -> list[str]:
    """Say in words what F1 could gain from a better sense of place, and what from the rest."""
    runs = [run for found in summary.results.values() for run in found.values()]
    if not runs:
        return []
    own = float(np.mean([run["scores"][F1] for run in runs]))
    centres, rest = (float(np.mean([run["scores"]["corrected"][part] for run in runs])) for part in PARTS)
    return [
        "",
        f"Stage 1 can teach where things are. With every centre right the runs' F1 would be {100 * centres:.1f} % on "
        f"average instead of {100 * own:.1f} %; with every size and angle right, {100 * rest:.1f} %.",
    ]


def _geometry_sentence(name: str, runs: Mapping[int, Mapping[str, Any]]) -> str:
    own = [run["scores"]["nats"]["centre"] for run in runs.values()]
    zeroed, strange = (
        np.mean([run["without_geometry"][how]["nats"]["centre"] for run in runs.values()]) - np.mean(own)
        for how in ("zeroed", "strange")
    )
    return (
        f"- {name}: cross-entropy of a box's centre {zeroed:+.2f} with zeros and {strange:+.2f} with another window's "
        f"geometry (its own: {np.mean(own):.2f})"
    )


def _stage1_lines(summary: Summary) -> list[str]:
    if not summary.stage1:
        return []
    runs = list(summary.stage1.values())
    lines = ["## Stage 1", "", "| steps | median point error | label accuracy |", "|--:|--:|--:|"]
    lines.append(_point_row("constant answer", [run["curve"][-1]["constant"] for run in runs]))
    for position, point in enumerate(runs[0]["curve"]):
        lines.append(_point_row(str(point["steps"]), [run["curve"][position] for run in runs]))
    titles = {"zeroed": "at the end, geometry zeroed", "strange": "at the end, another window's geometry"}
    for how, title in titles.items():
        lines.append(_point_row(title, [run["without_geometry"][how] for run in runs]))
    return [*lines, "", *_memory_lines(summary), ""]


def _memory_lines(summary: Summary) -> list[str]:
    """Say in words what stage 2 leaves of stage 1, by the same questions to the arms that began with it."""
    models = {"after stage 1": summary.stage1}
    models |= {f"after {name}'s stage 2": runs for name, runs in summary.results.items()}
    lines = []
    for title, runs in models.items():
        senses = [run["place_sense"] for run in runs.values() if run["place_sense"]]
        if senses:
            point, geometry = (float(np.mean([sense[name] for sense in senses])) for name in ("point", "geometry"))
            lines.append(f"- {title}: {point:.2f} nats; with another window's geometry {geometry:.2f} more")
    return ["What stage 2 leaves of it, as the cross-entropy of the three numbers of a marked point:", *lines]


def _point_row(title: str, points: Sequence[Mapping[str, float]]) -> str:
    error = _cell([point["median_error"] for point in points], "metres")
    return f"| {title} | {error} | {_cell([point['label_accuracy'] for point in points], 'share')} |"


def _tower_lines(summary: Summary) -> list[str]:
    vision, geometry, language = (summary.towers[name] for name in ("vision", "geometry", "language"))
    if not vision or not geometry or not language:
        return []
    return [
        "## Before the arms",
        "",
        f"- vision: {vision['cells_right']:.1%} of held-out cells classed rightly (always the commonest class: "
        f"{vision['commonest_class']:.1%}), {vision['marks_found']:.1%} of marks found, places of the tokens known to "
        f"{vision['place_error']:.1%} of the image's sides",
        f"- geometry: median error of held-out pixels {geometry['first_frame']:.2f} m in the first frame and "
        f"{geometry['other_frames']:.2f} m in the other (the same answer for all: "
        f"{geometry['constant_first_frame']:.2f} m and {geometry['constant_other_frames']:.2f} m); a linear map reads "
        f"a patch's point from its levels with {', '.join(f'{error:.2f}' for error in geometry['by_level'])} m (first "
        f"to last alone), and from all of them with {geometry['all_levels']:.2f} m",
        f"- language model, from vision alone: {language['right']:.1%} of held-out marks named rightly (always the "
        f"commonest name: {language['commonest']:.1%}), and pointed at with a median error of "
        f"{language['point_error']:.1%} of the image's sides",
    ]


def _constant(summary: Summary, title: str, read: Callable[[Mapping[str, Any]], float], unit: str) -> str:
    run = next((run for runs in summary.results.values() for run in runs.values()), None)
    if run is None or "geometry" in title:
        return ""
    try:
        return _cell([read({"scores": run["scores"]["constant"]})], unit)
    except KeyError:
        return ""


def _cell(values: Sequence[float], unit: str) -> str:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return "n/a"
    mean, spread = float(np.mean(finite)), float(np.std(finite, ddof=1)) if len(finite) > 1 else None
    scale, digits, ending = {
        "share": (100.0, 1, " %"),
        "metres": (1.0, 2, " m"),
        "ratio": (1.0, 2, ""),
        "count": (1.0, 0, ""),
    }[unit]
    around = "" if spread is None else f" ± {scale * spread:.{digits}f}"
    return f"{scale * mean:.{digits}f}{around}{ending}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
