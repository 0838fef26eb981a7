"""Other data sets' categories get names in our taxonomies, by one table each."""

from __future__ import annotations

import pytest

from gapdata.annotations.categories import category_lines, category_list, category_table
from gapdata.annotations.label_tables import folded, label_table, labels_by_table
from gapdata.errors import UsageError
from gapdata.sources.captures import CAPTURES
from gapdata.sources.registry import SOURCES

TABLES = tuple(
    row.categories.removesuffix(".tsv")
    for row in (*SOURCES.values(), *CAPTURES.values())
    if row.categories.endswith(".tsv") and " " not in row.categories
)
"""Those of all sources that have one."""
ARKITSCENES = (
    *("cabinet", "refrigerator", "shelf", "stove", "bed", "sink", "washer", "toilet", "bathtub", "oven", "dishwasher"),
    *("fireplace", "stool", "chair", "table", "tv monitor", "sofa"),
)

RIO27 = {
    *("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "counter", "shelf", "curtain"),
    *("pillow", "clothes", "ceiling", "fridge", "tv", "towel", "plant", "box", "nightstand", "toilet", "sink", "lamp"),
    *("bathtub", "object", "blanket"),
}


@pytest.mark.parametrize("table", TABLES)
def test_every_name_of_a_table_is_one_of_its_taxonomy(table: str) -> None:
    known = {
        "nyu40": set(category_table("nyu40").values()),
        "embodiedscan": set(category_list("embodiedscan")),
        "scannet20": set(category_table("scannet20").values()),
        "scannet200": set(category_table("scannet200").values()),
        "scanrefer18": {*category_list("scanrefer18"), "others"},
        "rio27": RIO27,
    }
    for row in label_table(table).values():
        for taxonomy, name in row.items():
            assert name in known[taxonomy]


@pytest.mark.parametrize("table", TABLES)
def test_scannets_own_taxonomies_agree_with_nyu40(table: str) -> None:
    """ScanNet's 20 classes are nyu40 classes, and ScanRefer's are a choice of them with ``others`` for the rest."""
    for row in label_table(table).values():
        nyu40 = row.get("nyu40", "")
        assert row.get("scannet20", nyu40) == nyu40
        if nyu40 in category_table("scannet20").values():
            assert row["scannet20"] == nyu40
        expected = nyu40 if nyu40 in category_list("scanrefer18") else "others"
        assert row.get("scanrefer18", "others") == expected


@pytest.mark.parametrize("table", TABLES)
def test_names_of_a_table_are_folded_and_stand_once(table: str) -> None:
    names = [line.partition("\t")[0] for line in category_lines(f"{table}.tsv")[1:]]
    assert names == [folded(name) for name in names]
    assert len(names) == len(set(names))


def test_labels_of_3rscan_are_found_as_its_files_write_them() -> None:
    assert len(label_table("3rscan")) == 528
    found = labels_by_table("3rscan", "wall /other room")
    assert (found["nyu40"], found["rio27"], found["embodiedscan"]) == ("wall", "wall", "wall")
    assert labels_by_table("3rscan", "trash can")["embodiedscan"] == "bin"
    assert {row["rio27"] for row in label_table("3rscan").values() if "rio27" in row} == RIO27


def test_all_categories_of_arkitscenes_are_listed() -> None:
    assert set(label_table("arkitscenes")) == set(ARKITSCENES)


@pytest.mark.parametrize("written", ["tv_monitor", "TV / monitor", "tv-monitor", "tv monitor "])
def test_a_label_is_found_however_its_words_are_joined(written: str) -> None:
    labels = labels_by_table("arkitscenes", written)
    assert labels["raw"] == written
    assert (labels["nyu40"], labels["embodiedscan"], labels["scanrefer18"]) == ("television", "tv", "others")


def test_a_label_that_no_table_has_keeps_its_own_name_only() -> None:
    assert labels_by_table("arkitscenes", "gramophone") == {"raw": "gramophone"}


def test_a_missing_table_names_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="arkitscenes"):
        label_table("nowhere")
