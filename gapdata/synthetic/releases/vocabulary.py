"""What objects are called: nouns, what else a noun may be taken for, and EmbodiedScan's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """A word for a category. ``family`` are the raw categories that a reader may take it for."""

    word: str
    plural: str
    family: frozenset[str]


def _nouns(text: str) -> dict[str, tuple[Noun, ...]]:
    result = {}
    for line in text.strip().splitlines():
        category, words, others = (part.strip() for part in line.split("|"))
        family = frozenset({category} | {other.strip() for other in others.split(",") if other.strip()})
        result[category] = tuple(
            Noun(word=word, plural=_plural(word), family=family) for word in (w.strip() for w in words.split(","))
        )
    return result


def _plural(word: str) -> str:
    head, of, rest = word.partition(" of ")
    if of:
        return f"{_plural(head)} of {rest}"
    if word.endswith(("shelf",)):
        return f"{word[:-1]}ves"
    if word.endswith(("x", "sh", "ch", "s")):
        return f"{word}es"
    return f"{word}s"


NOUNS: Mapping[str, tuple[Noun, ...]] = _nouns(
    """
    chair           | chair                         | office chair, armchair
    office chair    | office chair, swivel chair    |
    armchair        | armchair                      | couch
    couch           | couch, sofa                   | armchair
    stool           | stool                         | ottoman
    ottoman         | ottoman, footstool            | stool
    table           | table                         | coffee table, end table, desk
    coffee table    | coffee table                  | end table, table
    end table       | end table, side table         | nightstand, coffee table
    desk            | desk                          | table
    nightstand      | nightstand, bedside table     | end table, dresser
    dresser         | dresser, chest of drawers     | nightstand, cabinet, tv stand, file cabinet
    cabinet         | cabinet                       | kitchen cabinet, file cabinet, dresser, wardrobe, tv stand
    kitchen cabinet | kitchen cabinet               | cabinet
    file cabinet    | file cabinet, filing cabinet  | cabinet, dresser
    wardrobe        | wardrobe                      | cabinet
    tv stand        | tv stand                      | cabinet, dresser
    bookshelf       | bookshelf, bookcase           |
    bed             | bed                           |
    pillow          | pillow                        |
    lamp            | lamp                          | light
    light           | ceiling light                 |
    picture         | picture, framed picture       |
    mirror          | mirror                        |
    whiteboard      | whiteboard                    |
    clock           | clock, wall clock             |
    door            | door                          |
    window          | window                        |
    curtain         | curtain                       |
    blinds          | window blind                  |
    radiator        | radiator                      |
    tv              | tv, television                | monitor
    monitor         | monitor, computer monitor     | tv
    laptop          | laptop                        |
    keyboard        | keyboard                      |
    computer tower  | computer tower                |
    trash can       | trash can, waste basket       |
    box             | cardboard box                 |
    backpack        | backpack                      |
    plant           | plant, potted plant           |
    book            | stack of books                |
    cup             | cup, mug                      |
    bottle          | bottle                        |
    rug             | rug                           |
    towel           | towel                         |
    sink            | sink                          |
    toilet          | toilet                        |
    bathtub         | bathtub                       |
    counter         | counter                       |
    refrigerator    | refrigerator, fridge          |
    stove           | stove                         |
    microwave       | microwave                     |
    """
)
"""By raw category; those without a noun (walls, floors, ceilings, door frames) are never referred to."""

EMBODIEDSCAN: Mapping[str, str] = {
    **{name: name for name in NOUNS},
    **{name: name for name in ("wall", "floor", "ceiling", "doorframe")},
    "office chair": "chair",
    "armchair": "chair",
    "coffee table": "table",
    "end table": "table",
    "nightstand": "stand",
    "tv stand": "stand",
    "kitchen cabinet": "cabinet",
    "file cabinet": "cabinet",
    "bookshelf": "shelf",
    "trash can": "bin",
    "computer tower": "computer",
    "rug": "carpet",
}
"""EmbodiedScan's name of a raw category."""

CATEGORY_IDS: Mapping[str, int] = {
    name: number
    for number, name in enumerate(
        sorted({*EMBODIEDSCAN.values(), "object", "bag", "basket", "bench", "bicycle", "blanket", "stairs"}), start=1
    )
}
"""``metainfo.categories``: ids count from 1, and not every category occurs."""
