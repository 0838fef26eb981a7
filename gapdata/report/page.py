"""The whole page: one HTML file with its style, scripts, pictures and points inside.

The page forbids itself the network and any script but its own (a content security policy with their digests), so text
from a data set that got past the escaping could still not run.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import Any

from gapdata import __version__
from gapdata.files.storage import Location
from gapdata.records.schema import Record
from gapdata.report.clouds import cloud_members, record_cloud
from gapdata.report.contents import BuildContents, chosen_views, read_contents, spread
from gapdata.report.distributions import distributions
from gapdata.report.figures import FIGURES
from gapdata.report.gallery import gallery, gallery_view
from gapdata.report.markup import Markup, data_block, joined, tag
from gapdata.report.opened import OpenedRecords
from gapdata.report.overview import losses, origin, tiles
from gapdata.report.samples import measure_records
from gapdata.report.worst import worst
from gapdata.runtime.counting import counted
from gapdata.shards.reader import ShardReader

SAMPLED_RECORDS = 256
"""Records whose JSON and pointmap are read for what the index does not hold."""
TABLE_ROWS = 5000
SCRIPTS = ("record_table.js", "point_cloud.js", "cloud_view.js", "page.js")
COLORS = (("color", "photo"), ("frame", "frame"), ("object", "object"), ("distance", "distance"))
NAVIGATION = {
    "origin": "Build",
    "losses": "Losses",
    "distributions": "Distributions",
    "gallery": "Views",
    "cloud": "3D",
    "worst": "Worst views",
    "records": "Records",
}
LAYERS = (("boxes", "boxes"), ("labels", "labels"), ("prompts", "prompts"), ("cameras", "cameras"))


def report_page(build: Location, views: int) -> tuple[bytes, dict[str, Any]]:
    """Return the page of a finished build, equal bytes for equal builds, and what is in it.

    Args:
        build: the directory or URI.
        views: how many views the gallery and the 3D view show.

    Returns:
        The bytes; and ``records``, ``views`` and the ``damaged`` records among those that were read, key to problem.

    Raises:
        UsageError: the place does not hold a finished build.
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
    sections = _sections(contents, opened, shown, clouds)
    reader.close()
    facts = {"records": len(contents), "views": len(shown), "damaged": opened.damaged}
    return _document(contents, sections, clouds).encode("utf-8", "replace"), facts


def _cloud(opened: OpenedRecords, position: int, record: Record) -> dict[str, Any]:
    return record_cloud(opened.with_members(position, record, cloud_members(record)))


def _sections(
    contents: BuildContents, opened: OpenedRecords, shown: list[Markup], clouds: list[dict[str, Any]]
) -> dict[str, tuple[str, Markup]]:
    """Return anchor to title and content, in the page's order."""
    samples = measure_records(opened, spread(len(contents), SAMPLED_RECORDS))
    badly = worst(contents, opened, {cloud["key"] for cloud in clouds})
    nothing = tag("p", "This build has no records.", class_="empty")
    return {
        "origin": ("What was built, and from what", joined([tiles(contents), origin(contents)])),
        "losses": ("Losses and their reasons", losses(contents, opened.damaged)),
        "distributions": ("Distributions", distributions(contents, samples) if len(contents) else nothing),
        "gallery": ("Views", gallery(shown) if shown else nothing),
        "cloud": ("In three dimensions", _cloud_part(clouds) if clouds else nothing),
        "worst": ("Views that look worst", badly),
        "records": ("All records", _table_part(contents) if len(contents) else nothing),
    }


def _document(contents: BuildContents, sections: Mapping[str, tuple[str, Markup]], clouds: list[dict[str, Any]]) -> str:
    assets = files("gapdata.report") / "assets"
    script = Markup("\n".join((assets / name).read_text("utf-8") for name in SCRIPTS))
    style = Markup((assets / "report.css").read_text("utf-8"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    title = f"{contents.name}: build report"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", style),
    )
    links = tag("ul", *(tag("li", tag("a", NAVIGATION[anchor], href=f"#{anchor}")) for anchor in sections))
    lead = (
        f"{counted(len(contents), 'training record')} from {counted(contents.report['scenes'], 'scene')} "
        f"of {contents.plan.source}"
    )
    body = tag(
        "body",
        tag("a", "Skip to the contents", href="#main", class_="skip"),
        tag(
            "header",
            tag("p", "Build report", class_="kind"),
            tag("h1", contents.name),
            tag("p", lead, class_="lead"),
            class_="page-head",
        ),
        tag("nav", links, aria_label="Contents"),
        tag(
            "noscript",
            tag("p", "The 3D view and the table of records need JavaScript; all else does not.", class_="notice"),
        ),
        tag("main", *(_section(anchor, name, content) for anchor, (name, content) in sections.items()), id="main"),
        tag("footer", f"gapdata {__version__}, plan {contents.plan.fingerprint[:12]}. Everything is in this file."),
        data_block("record-data", _table_data(contents)),
        data_block("cloud-data", clouds),
        tag("script", script),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _section(anchor: str, title: str, content: Markup) -> Markup:
    return tag("section", tag("h2", title, id=f"{anchor}-title"), content, id=anchor, aria_labelledby=f"{anchor}-title")


def _cloud_part(clouds: list[dict[str, Any]]) -> Markup:
    options = [tag("option", cloud["key"], value=place) for place, cloud in enumerate(clouds)]
    colors = [tag("option", text, value=name) for name, text in COLORS]
    layers = [
        tag("label", tag("input", type="checkbox", data_layer=name, checked=name != "labels"), text)
        for name, text in LAYERS
    ]
    bar = tag(
        "div",
        tag("label", "View ", tag("select", *options, id="cloud-record")),
        tag("label", "Colour by ", tag("select", *colors, id="cloud-color")),
        tag("fieldset", tag("legend", "Show"), *layers, class_="switches"),
        tag("button", "Reset", type="button", id="cloud-reset"),
        class_="bar-of-controls",
    )
    keys = "Drag to turn, wheel or pinch to zoom, right button or Shift to move; arrow keys, + and − do the same."
    canvas = tag(
        "canvas",
        tabindex="0",
        role="img",
        aria_label="Points of the view in three dimensions",
        aria_describedby="cloud-help",
        id="cloud-canvas",
    )
    status = tag("p", id="cloud-status", class_="note", aria_live="polite")
    return tag(
        "div",
        bar,
        tag("div", canvas, class_="stage"),
        status,
        tag("p", keys, id="cloud-help", class_="note"),
        class_="cloud",
    )


def _table_part(contents: BuildContents) -> Markup:
    splits, kinds = (sorted(set(contents.text(name))) for name in ("split", "view"))

    def select(name: str, label: str, values: list[str]) -> Markup:
        options = [tag("option", "all", value=""), *(tag("option", value, value=value) for value in values)]
        return tag("label", label, " ", tag("select", *options, id=f"records-{name}"))

    bar = tag(
        "div",
        tag(
            "label",
            "Filter ",
            tag("input", type="search", id="records-filter", placeholder="scene or key", autocomplete="off"),
        ),
        select("split", "Split", splits),
        select("view", "View", kinds),
        tag("span", id="records-count", class_="note", aria_live="polite"),
        class_="bar-of-controls",
    )
    shown = min(len(contents), TABLE_ROWS)
    text = (
        f"The first {shown:,} of {len(contents):,} records; the others are in index.parquet."
        if shown < len(contents)
        else None
    )
    pages = tag(
        "div",
        tag("button", "Previous", type="button", id="records-previous"),
        tag("span", id="records-page"),
        tag("button", "Next", type="button", id="records-next"),
        class_="pages",
    )
    grid = tag(
        "table",
        tag("caption", "Records; a heading sorts by its column"),
        tag("thead"),
        tag("tbody"),
        id="records-table",
    )
    region = tag("div", grid, class_="scroll", tabindex="0", role="region", aria_label="Table of records")
    return joined([tag("p", text, class_="notice") if text else None, bar, region, pages])


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
