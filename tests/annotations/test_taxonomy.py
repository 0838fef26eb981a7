"""Category lists are the published ones, and labels find their classes in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.annotations.categories import (
    EvaluationList,
    background,
    category_list,
    category_table,
    embodiedscan_name,
    evaluation_class,
    normalised,
    scanrefer_class,
)
from gapdata.annotations.taxonomy import EMPTY_LABEL_MAP, read_label_map
from gapdata.errors import UsageError
from gapdata.recipes.recipe_files import manifests_folder
from gapdata.synthetic.categories import CATEGORIES, labels_table
from gapdata.tasks.labels import BACKGROUND

COLUMNS = "id\traw_category\tcategory\tcount\tnyu40id\teigen13id\tnyuClass\tnyu40class"
ROWS = (
    "22\tbooks\tbook\t1678\t23\t2\tbook\tbooks",
    "1177\twardrobe cabinet\twardrobe \t18\t39\t6\twardrobe\totherfurniture",
    "27\trefrigerator\trefrigerator\t154\t24\t6\trefrigerator\trefridgerator",
    "56\ttrash can\ttrash can\t1090\t39\t6\tgarbage bin\totherfurniture",
    "363\tfurnace\tfurnace\t1\t39",
    "9999\tmystery\tmystery\t1\t149\t7\t\t",
)


def test_every_list_has_as_many_names_as_its_source() -> None:
    sizes = {name: len(category_list(name)) for name in ("embodiedscan", "scanrefer18", "background")}
    assert sizes == {"embodiedscan": 288, "scanrefer18": 18, "background": 4}
    assert {name: len(category_table(name)) for name in ("nyu40", "scannet20", "scannet200")} == {
        "nyu40": 40,
        "scannet20": 20,
        "scannet200": 200,
    }
    lists = ("detection-8", "detection-20", "detection-31", "detection-31-authors")
    assert [len(category_list(name)) for name in lists] == [8, 20, 30, 31]
    for name in ("embodiedscan", "scanrefer18", "detection-8", "detection-20", "detection-31"):
        assert len(set(category_list(name))) == len(category_list(name)), name
    assert len(set(category_list("embodiedscan")) - background()) == 284


def test_every_list_names_its_source_and_has_clean_names() -> None:
    for path in sorted((manifests_folder() / "categories").iterdir()):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("# "), path
        for line in lines:
            if not line.startswith("#"):
                assert line == line.strip() == line.lower()
                assert all(cell == normalised(cell) for cell in line.split("\t"))


def test_the_lists_fit_each_other() -> None:
    assert category_table("scannet20").items() <= category_table("nyu40").items()
    assert set(category_list("scanrefer18")) <= {*category_table("nyu40").values(), "others"}
    names = set(category_list("embodiedscan"))
    for evaluation in ("detection-8", "detection-20", "detection-31"):
        assert set(category_list(evaluation)) <= names
    assert set(category_table("aliases").values()) <= names
    assert not set(category_table("aliases")) & names
    assert background() <= names
    assert background() <= BACKGROUND


def test_the_long_evaluation_list_is_there_as_it_is_meant_and_as_it_was_published() -> None:
    meant, published = category_list("detection-31"), category_list("detection-31-authors")
    assert published.count("lamp") == 2
    assert [name for name in published if name not in meant] == ["towl"]
    assert [name for name in meant if name not in published] == ["towel"]
    assert evaluation_class("towel", "detection-31") == "towel"
    assert evaluation_class("towel", "detection-31-authors") is None


@pytest.mark.parametrize(
    ("label", "evaluation", "expected"),
    [
        ("sofa", "detection-8", "couch"),
        ("trash can", "detection-8", "bin"),
        ("Trash_Can", "detection-20", "bin"),
        ("television", "detection-20", None),
        ("refridgerator", "detection-20", "refrigerator"),
        ("office chair", "detection-8", "chair"),
        ("bookshelf", "detection-31", "shelf"),
        ("bookshelf", "detection-20", None),
        ("books", "detection-31", "book"),
        ("unheard of", "detection-31", None),
    ],
)
def test_a_label_of_any_taxonomy_finds_its_evaluation_class(
    label: str, evaluation: EvaluationList, expected: str | None
) -> None:
    assert evaluation_class(label, evaluation) == expected


def test_aliases_name_one_category() -> None:
    for one, other in (("sofa", "couch"), ("trash can", "bin"), ("tv", "television"), ("fridge", "refridgerator")):
        assert embodiedscan_name(one) == embodiedscan_name(other) is not None
    assert embodiedscan_name("chair") != embodiedscan_name("table")


@given(st.text(max_size=30))
def test_any_text_has_a_class_or_none(label: str) -> None:
    found = evaluation_class(label, "detection-31")
    assert found is None or found in category_list("detection-31")
    assert embodiedscan_name(label) in {None, *category_list("embodiedscan")}


def test_unknown_lists_are_refused_by_name() -> None:
    unknown = r"evaluation list 'detection-9' is unknown; did you mean detection-8\? choose from detection-8, "
    with pytest.raises(UsageError, match=unknown):
        evaluation_class("chair", "detection-9")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"nonsense.txt: is not a category list; choose from background, detection"):
        category_list("nonsense")


def test_garbage_ids_have_no_class() -> None:
    assert not {"0", "50", "149"} & category_table("nyu40").keys()
    assert [scanrefer_class(name) for name in ("sofa", "refrigerator", "otherprop", None)] == [
        "sofa",
        "refrigerator",
        "others",
        "others",
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_label_maps_traps_are_handled(tmp_path: Path, end: str) -> None:
    path = tmp_path / "scannetv2-labels.combined.tsv"
    path.write_bytes((end.join((COLUMNS, *ROWS)) + end).encode())
    table = read_label_map(path)
    assert table.labels("books") == {
        "raw": "books",
        "nyu40": "books",
        "scanrefer18": "others",
        "scannet200": "book",
        "embodiedscan": "book",
    }
    assert "scannet200" not in table.labels("wardrobe cabinet")
    assert table.labels("wardrobe cabinet")["embodiedscan"] == "wardrobe"
    assert table.labels("refrigerator")["scanrefer18"] == "refrigerator"
    assert table.labels("trash can")["scannet20"] == "otherfurniture"
    assert table.labels("furnace") == {"raw": "furnace"}
    assert EMPTY_LABEL_MAP.labels("sofa") == {"raw": "sofa", "embodiedscan": "couch"}


def test_synthetic_categories_have_scannets_own_numbers(tmp_path: Path) -> None:
    path = tmp_path / "labels.tsv"
    path.write_text(labels_table({}))
    table = read_label_map(path)
    numbers = {name: number for number, name in category_table("scannet200").items()}
    for name, category in CATEGORIES.items():
        assert numbers.get(name, str(category.id)) == str(category.id), name
        assert table.labels(name).get("scannet200") == (name if name in numbers else None), name
