"""Names that could mean another object are told, and names that cannot stand in a question."""

from __future__ import annotations

import pytest

from gapdata.annotations.object_names import could_mean, is_name, is_plural, share_a_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("chair", "chair"),
        ("chair", "office chair"),
        ("chair", "armchair"),
        ("chairs", "chair"),
        ("boxes", "box"),
        ("shelf", "bookshelves"),
        ("couch", "sofa"),
        ("trash can", "recycling bin"),
        ("floor lamp", "light"),
        ("night stand", "bedside table"),
    ],
)
def test_names_that_could_mean_one_thing_are_alike_either_way(one: str, other: str) -> None:
    assert could_mean(one, other)
    assert could_mean(other, one)


@pytest.mark.parametrize(
    ("one", "other"), [("door", "doorframe"), ("cup", "cupboard"), ("table", "desk"), ("bed", "otherfurniture")]
)
def test_other_names_are_not(one: str, other: str) -> None:
    assert not could_mean(one, other)
    assert not could_mean(other, one)


def test_objects_share_a_name_in_one_taxonomy_unless_it_says_nothing() -> None:
    assert share_a_name({"raw": "ottoman", "nyu40": "chair"}, {"raw": "stool", "nyu40": "chair"})
    assert not share_a_name({"raw": "ottoman", "nyu40": "otherprop"}, {"raw": "stool", "nyu40": "otherprop"})
    assert not share_a_name({"raw": "ottoman"}, {"nyu40": "ottoman"})


def test_what_cannot_be_read_in_a_sentence_is_not_a_name() -> None:
    assert all(map(is_name, ("chair", "café table", "l-shaped couch", "tv")))
    assert not any(map(is_name, ("", "wall", "object", "a, b", "is it?", "\u202e", "x" * 61)))


def test_heaps_are_told_from_single_things() -> None:
    assert all(map(is_plural, ("books", "boxes", "clothes", "kitchen shelves")))
    assert not any(map(is_plural, ("chair", "glass", "bus", "table", "")))
