"""The whole page: one HTML file with its style, scripts, pictures and points inside.

The page's content security policy forbids network access and all scripts but its own, which it names by their digests.
So text from a data set could not run even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import math
from functools import partial
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from gapdata import __version__
from gapdata.files.storage import Location
from gapdata.records.schema import Record
from gapdata.report.clouds import cloud_members, record_cloud
from gapdata.report.contents import BuildContents, chosen_views, read_contents, spread
from gapdata.report.distributions import distributions
from gapdata.report.figures import FIGURES
from gapdata.report.gallery import gallery, gallery_view
from gapdata.report.markup import Markup, data_block, escaped, joined, tag
from gapdata.report.opened import OpenedRecords
from gapdata.report.overview import losses, origin, tiles
from gapdata.report.samples import measure_records
from gapdata.report.space import space
from gapdata.report.space_sample import SpaceSample, ask_sample, read_sample
from gapdata.report.worst import worst
from gapdata.runtime.counting import counted
from gapdata.shards.reader import ShardReader

SAMPLED_RECORDS = 256
"""Records of which JSON and pointmap are read, for figures that the index does not hold."""
TABLE_ROWS = 5000
SCRIPTS = ("record_table.js", "point_cloud.js", "cloud_view.js", "page.js")


def report_page(build: Location, views: int, questions: Path | None = None) -> tuple[bytes, dict[str, Any]]:
    """Return the page of a finished build, equal bytes for equal builds, and what is in it.

    Args:
        build: the directory or URI.
        views: how many views the gallery and the 3D view show.
        questions: the question file that is shown; ``None`` asks a sample of the records.

    Returns:
        The bytes; ``records``, ``views``, ``questions`` about space, and the ``damaged`` records among those that were
        read, key to problem.

    Raises:
        UsageError: the place does not hold a finished build, or the question file is not about it.
        ShardError: its index or report is damaged.
    """
    contents = read_contents(build)
    reader = ShardReader(build)
    opened = OpenedRecords(reader)
    shown, clouds = [], []
    for position in chosen_views(contents.text("view"), views):
        view = gallery_view(opened, position)
        cloud = opened.read(position, partial(_cloud, opened, position))
        shown += [] if view is None else [view]
        clouds += [] if cloud is None else [cloud]
    sample = ask_sample(build, contents, opened) if questions is None else read_sample(questions, contents)
    parts = _parts(contents, opened, shown, clouds, sample)
    reader.close()
    facts = {
        "records": len(contents),
        "views": len(shown),
        "questions": len(sample.survey.questions),
        "damaged": opened.damaged,
    }
    page = Template(files("gapdata.report").joinpath("page.html").read_text("utf-8")).substitute(parts)
    return page.encode("utf-8", "replace"), facts


def _cloud(opened: OpenedRecords, position: int, record: Record) -> dict[str, Any]:
    return record_cloud(opened.with_members(position, record, cloud_members(record)))


def _parts(
    contents: BuildContents,
    opened: OpenedRecords,
    shown: list[Markup],
    clouds: list[dict[str, Any]],
    sample: SpaceSample,
) -> dict[str, Markup]:
    """Return what is put into ``page.html``, by the name of its place."""
    samples = measure_records(opened, spread(len(contents), SAMPLED_RECORDS))
    asked = space(contents, opened, sample)
    badly = worst(contents, opened, {cloud["key"] for cloud in clouds})
    nothing = tag("p", "This build has no records.", class_="empty")
    script = Markup("\n".join(_asset(name) for name in SCRIPTS))
    scenes, source = counted(contents.report["scenes"], "scene"), contents.plan.source
    table = [_cut(contents), Markup(_asset("records.html"))]
    return {
        "name": escaped(contents.name),
        "lead": escaped(f"{counted(len(contents), 'training record')} from {scenes} of {source}"),
        "origin": joined([tiles(contents), origin(contents)]),
        "losses": losses(contents, opened.damaged),
        "distributions": distributions(contents, samples) if len(contents) else nothing,
        "gallery": gallery(shown) if shown else nothing,
        "cloud": Markup(_asset("cloud.html")) if clouds else nothing,
        "space": asked,
        "worst": badly,
        "records": joined(table) if len(contents) else nothing,
        "data": joined([data_block("record-data", _table_data(contents)), data_block("cloud-data", clouds)]),
        "version": escaped(__version__),
        "plan": escaped(contents.plan.fingerprint[:12]),
        "style": Markup(_asset("report.css")),
        "script": script,
        "digest": Markup(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()),
    }


def _asset(name: str) -> str:
    return files("gapdata.report").joinpath("assets", name).read_text("utf-8")


def _cut(contents: BuildContents) -> Markup | None:
    if len(contents) <= TABLE_ROWS:
        return None
    text = f"The first {TABLE_ROWS:,} of {len(contents):,} records; the others are in index.parquet."
    return tag("p", text, class_="notice")


def _table_data(contents: BuildContents) -> dict[str, Any]:
    """Return columns for the script: text as it is, numbers scaled and rounded as shown, ``null`` where unknown."""
    shown = min(len(contents), TABLE_ROWS)
    columns: list[dict[str, Any]] = [
        {"name": name, "title": title, "values": contents.text(name, shown)}
        for name, title in (("key", "Key"), ("scene_id", "Scene"), ("split", "Split"), ("view", "View"))
    ]
    numbers = [("frames", "Frames", "", 1.0, 0), ("objects", "Objects", "", 1.0, 0), ("prompts", "Prompts", "", 1.0, 0)]
    numbers += [(figure.name, figure.title, figure.unit, figure.scale, figure.digits) for figure in FIGURES]
    numbers += [("bytes", "Size", "kB", 1e-3, 0)]
    for name, title, unit, scale, digits in numbers:
        values = [
            round(value * scale, digits) if math.isfinite(value) else None
            for value in contents.columns[name][:shown].tolist()
        ]
        columns.append({"name": name, "title": title, "unit": unit, "digits": digits, "values": values})
    return {"columns": columns}
