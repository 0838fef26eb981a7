"""The first part of the page: what was built and from what, and what was lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from gapdata.engine.recipe import Recipe
from gapdata.engine.report_text import suspicions, unaligned_text
from gapdata.report.contents import BuildContents
from gapdata.report.markup import Markup, joined, table, tag
from gapdata.runtime.counting import counted, few
from gapdata.sources.terms import terms_lines

SHOWN_QUARANTINED = 200


def tiles(contents: BuildContents) -> Markup:
    """Show the main figures of the build."""
    report = contents.report
    shown = (
        ("records", f"{len(contents):,}", _listing(report["records_by_view"])),
        ("scenes", f"{report['scenes']:,}", _listing(report["records_by_split"], "records")),
        ("frames read", f"{report['frames']:,}", f"{int(contents.columns['frames'].sum()):,} in views"),
        (
            "prompts",
            f"{report['prompts']:,}",
            f"on {counted(len(report['prompts_by_label']), 'category', 'categories')}",
        ),
        ("quarantined", f"{len(report['quarantined']):,}", f"{counted(_lost_views(report), 'view')} lost in all"),
        ("size", _megabytes(report["bytes"]), f"in {counted(report['shards'], 'shard')}"),
    )
    return tag(
        "ul",
        *(
            tag("li", tag("b", value), tag("span", name, class_="name"), tag("span", note, class_="note"))
            for name, value, note in shown
        ),
        class_="tiles",
    )


def origin(contents: BuildContents) -> Markup:
    """Show source, engine, fingerprint, plan and recipe."""
    plan, report = contents.plan, contents.report
    kinds = Counter(scene.source_kind for scene in plan.scenes)
    splits = Counter(scene.split for scene in plan.scenes)
    facts = (
        ("Source", plan.source),
        ("Frames came from", _listing(dict(sorted(kinds.items())))),
        ("Scenes", f"{len(plan.scenes):,} ({_listing(dict(sorted(splits.items())))})"),
        (
            "Planned",
            f"{counted(sum(len(scene.keys) for scene in plan.scenes), 'view')} in {counted(len(plan.shards), 'shard')}",
        ),
        ("Image size", "{} × {}".format(*plan.recipe.frames.image_size)),
        ("Terms of use", "; ".join(terms_lines(report.get("terms"))) or "not stated"),
        ("Engine", f"version {plan.engine}"),
        ("Seed", str(plan.recipe.seed)),
        ("Fingerprint", tag("code", plan.fingerprint, title="SHA-256 over engine version, recipe and sources")),
    )
    parts = [tag("dl", *(joined([tag("dt", name), tag("dd", value)]) for name, value in facts), class_="facts")]
    if report["fingerprint"] != plan.fingerprint:
        warning = "The report of this build was made for another plan: run build-shards again."
        parts.append(tag("p", tag("strong", "Attention. "), warning, class_="notice bad"))
    return joined([*parts, _recipe(plan.recipe)])


def losses(contents: BuildContents, damaged: Mapping[str, str]) -> Markup:
    """Show what was lost, quarantined and noticed, and what this report could not read."""
    report = contents.report
    parts: list[Markup] = []
    if damaged:
        head = tag(
            "strong",
            (
                f"{len(damaged):,} of the records that this report reads "
                f"{'is' if len(damaged) == 1 else 'are'} damaged. "
            ),
        )
        parts.append(tag("p", head, "Run ", tag("code", "gapdata verify"), " for all of them.", class_="notice bad"))
        parts.append(table(("record", "problem"), damaged.items(), caption="Damaged records"))
    rows = [(row["count"], row["what"], row["reason"], row["scenes"], row["first"]) for row in report["losses"]]
    if rows:
        heads = ("lost", "of", "because", "scenes", "first scene")
        parts.append(table(heads, rows, caption="Everything of the sources that is not in the shards", class_="wide"))
    else:
        parts.append(
            tag(
                "p", "Nothing was lost: every frame, view and scene of the plan is in the shards.", class_="notice good"
            )
        )
    if report["scenes_without_annotation"]:
        text = f"Without annotation: {counted(report['scenes_without_annotation'], 'scene')}. They hold geometry only."
        parts.append(tag("p", text, class_="notice"))
    if report["scenes_unaligned"]:
        text = unaligned_text(report["scenes_unaligned"], report["descriptions_unaligned"])
        parts.append(tag("p", f"{text[0].upper()}{text[1:]}.", class_="notice"))
    parts += [tag("p", f"{line}.", class_="notice bad") for line in suspicions(report)]
    annotations = report.get("annotations")  # may have any shape if somebody else wrote the report
    twice = annotations.get("in_two_splits") if isinstance(annotations, dict) else None
    if isinstance(twice, dict) and twice:
        text = f"In more than one split file; the split named last is used: {_listed_splits(twice)}."
        parts.append(tag("p", text, class_="notice"))
    if report["notes"]:
        notes = [(count, name.replace("_", " ")) for name, count in report["notes"].items()]
        parts.append(table(("count", "noticed"), notes, caption="Noticed while building"))
    parts += _quarantined(report["quarantined"])
    return joined(parts)


def _quarantined(items: list[dict[str, Any]]) -> list[Markup]:
    if not items:
        return []
    rows = [
        (
            item["key"] or item["scene_id"],
            "" if item["frame"] is None else item["frame"],
            item["problem"],
            item["cure"] or "",
        )
        for item in items[:SHOWN_QUARANTINED]
    ]
    caption = f"Quarantined: {len(items):,}"
    if len(items) > SHOWN_QUARANTINED:
        caption += f", of which the first {SHOWN_QUARANTINED}; all are in report.json"
    return [table(("scene or view", "frame", "problem", "what to do"), rows, caption=caption, class_="wide")]


def _recipe(recipe: Recipe) -> Markup:
    """List all fields by their section; those that differ from the default stand out."""
    defaults, sections = Recipe().to_dict(), []
    changed = 0
    for section, fields in recipe.to_dict().items():
        if not isinstance(fields, dict):
            continue
        rows = []
        for name, value in fields.items():
            usual = defaults[section][name]
            changed += value != usual
            note = tag("span", f"default {_plain(usual)}", class_="note") if value != usual else None
            rows.append(joined([tag("dt", name), tag("dd", tag("b", _plain(value)) if note else _plain(value), note)]))
        sections.append(tag("div", tag("h4", section), tag("dl", *rows)))
    summary = f"Recipe: {changed} of its fields differ from the default" if changed else "Recipe: all defaults"
    return tag("details", tag("summary", summary), tag("div", *sections, class_="recipe"))


def _listed_splits(scenes: Mapping[str, Any]) -> str:
    told = [f"{name} ({', '.join(map(str, found))})" for name, found in scenes.items() if isinstance(found, list)]
    return few(told, SHOWN_QUARANTINED)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " × ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _listing(counts: Mapping[str, int], what: str = "") -> str:
    listed = ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"
    return f"{what}: {listed}" if what and counts else listed


def _lost_views(report: Mapping[str, Any]) -> int:
    return sum(row["count"] for row in report["losses"] if row["what"] == "views")


def _megabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
