"""The categories that synthetic scenes use, as rows of ScanNet's ``scannetv2-labels.combined.tsv``.

``id``, ``nyu40id`` and the class names are ScanNet's own for these categories (``id`` as in the ScanNet200
benchmark's list of valid class ids); counts are those of no real release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COLUMNS = (
    "id",
    "raw_category",
    "category",
    "count",
    "nyu40id",
    "eigen13id",
    "nyuClass",
    "nyu40class",
    "eigen13class",
    "ModelNet40",
    "ModelNet10",
    "ShapeNetCore55",
    "synsetoffset",
    "wnsynsetid",
    "wnsynsetkey",
    "mpcat40",
    "mpcat40index",
)

NYU40 = (
    "wall",
    "floor",
    "cabinet",
    "bed",
    "chair",
    "sofa",
    "table",
    "door",
    "window",
    "bookshelf",
    "picture",
    "counter",
    "blinds",
    "desk",
    "shelves",
    "curtain",
    "dresser",
    "pillow",
    "mirror",
    "floor mat",
    "clothes",
    "ceiling",
    "books",
    "refridgerator",
    "television",
    "paper",
    "towel",
    "shower curtain",
    "box",
    "whiteboard",
    "person",
    "night stand",
    "toilet",
    "sink",
    "lamp",
    "bathtub",
    "bag",
    "otherstructure",
    "otherfurniture",
    "otherprop",
)
"""Names by ``nyu40id`` - 1, with the release's own spelling of refrigerator."""

EIGEN13 = (
    "Bed",
    "Books",
    "Ceiling",
    "Chair",
    "Floor",
    "Furniture",
    "Objects",
    "Picture",
    "Sofa",
    "Table",
    "TV",
    "Wall",
    "Window",
)

MPCAT40 = (
    "void",
    "wall",
    "floor",
    "chair",
    "door",
    "table",
    "picture",
    "cabinet",
    "cushion",
    "window",
    "sofa",
    "bed",
    "curtain",
    "chest_of_drawers",
    "plant",
    "sink",
    "stairs",
    "ceiling",
    "toilet",
    "stool",
    "towel",
    "mirror",
    "tv_monitor",
    "shower",
    "column",
    "bathtub",
    "counter",
    "fireplace",
    "lighting",
    "beam",
    "railing",
    "shelving",
    "blinds",
    "gym_equipment",
    "seating",
    "board_panel",
    "furniture",
    "appliances",
    "clothes",
    "objects",
    "misc",
    "unlabeled",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One row: the raw category with its numbers and its coarser classes."""

    id: int
    name: str
    nyu40: int
    eigen13: int
    mpcat40: str
    synset: str = ""
    modelnet40: str = ""
    shapenet: str = ""


def _rows(text: str) -> dict[str, Category]:
    rows = {}
    for line in text.strip().splitlines():
        number, name, nyu40, eigen13, mpcat40, synset, modelnet, shapenet = (part.strip() for part in line.split("|"))
        rows[name] = Category(
            id=int(number),
            name=name,
            nyu40=int(nyu40),
            eigen13=int(eigen13),
            mpcat40=mpcat40,
            synset=synset,
            modelnet40=modelnet,
            shapenet=shapenet,
        )
    return rows


CATEGORIES: Mapping[str, Category] = _rows(
    """
    1   | wall            | 1  | 12 | wall             | wall.n.01         |             |
    2   | chair           | 5  | 4  | chair            | chair.n.01        | chair       | chair
    3   | floor           | 2  | 5  | floor            | floor.n.01        |             |
    4   | table           | 7  | 10 | table            | table.n.02        | table       | table
    5   | door            | 8  | 12 | door             | door.n.01         | door        |
    6   | couch           | 6  | 9  | sofa             | sofa.n.01         | sofa        | sofa
    7   | cabinet         | 3  | 6  | cabinet          | cabinet.n.01      |             | cabinet
    9   | desk            | 14 | 10 | table            | desk.n.01         | desk        | table
    10  | office chair    | 5  | 4  | chair            | chair.n.01        | chair       | chair
    11  | bed             | 4  | 1  | bed              | bed.n.01          | bed         | bed
    13  | pillow          | 18 | 7  | cushion          | pillow.n.01       |             | pillow
    14  | sink            | 34 | 7  | sink             | sink.n.01         | sink        |
    15  | picture         | 11 | 8  | picture          | picture.n.01      |             |
    16  | window          | 9  | 13 | window           | window.n.01       |             |
    17  | toilet          | 33 | 7  | toilet           | toilet.n.02       | toilet      |
    18  | bookshelf       | 10 | 6  | shelving         | bookshelf.n.01    | bookshelf   | bookshelf
    19  | monitor         | 40 | 7  | tv_monitor       | monitor.n.04      | monitor     | tv or monitor
    21  | curtain         | 16 | 13 | curtain          | curtain.n.01      | curtain     |
    22  | book            | 23 | 2  | objects          | book.n.11         |             |
    23  | armchair        | 5  | 4  | chair            | armchair.n.01     | chair       | chair
    24  | coffee table    | 7  | 10 | table            | coffee_table.n.01 | table       | table
    26  | box             | 29 | 7  | objects          | box.n.01          |             |
    27  | refrigerator    | 24 | 6  | appliances       | refrigerator.n.01 |             |
    28  | lamp            | 35 | 7  | lighting         | lamp.n.02         | lamp        | lamp
    29  | kitchen cabinet | 3  | 6  | cabinet          | cabinet.n.01      |             | cabinet
    31  | towel           | 27 | 7  | towel            | towel.n.01        |             |
    33  | tv              | 25 | 11 | tv_monitor       | television.n.02   | tv_stand    | tv or monitor
    34  | nightstand      | 32 | 6  | chest_of_drawers | nightstand.n.01   | night_stand | cabinet
    35  | counter         | 12 | 6  | counter          | counter.n.01      |             | table
    36  | dresser         | 17 | 6  | chest_of_drawers | dresser.n.01      | dresser     | cabinet
    38  | stool           | 40 | 7  | stool            | stool.n.01        | stool       |
    40  | plant           | 40 | 7  | plant            | plant.n.02        | plant       |
    41  | ceiling         | 22 | 3  | ceiling          | ceiling.n.01      |             |
    42  | bathtub         | 36 | 7  | bathtub          | bathtub.n.01      | bathtub     | bathtub
    44  | end table       | 7  | 10 | table            | end_table.n.01    | table       | table
    46  | keyboard        | 40 | 7  | objects          | keyboard.n.01     | keyboard    | computer keyboard
    48  | backpack        | 40 | 7  | objects          | backpack.n.01     |             |
    51  | tv stand        | 39 | 6  | furniture        | tv_stand.n.01     | tv_stand    |
    52  | whiteboard      | 30 | 7  | board_panel      | whiteboard.n.01   |             |
    56  | trash can       | 39 | 6  | objects          | ashcan.n.01       |             | trash_bin
    59  | microwave       | 40 | 7  | appliances       | microwave.n.02    |             | microwave
    62  | stove           | 38 | 7  | appliances       | stove.n.01        |             | stove
    64  | computer tower  | 40 | 7  | objects          | computer.n.01     |             |
    65  | bottle          | 40 | 7  | objects          | bottle.n.01       | bottle      | bottle
    67  | ottoman         | 39 | 6  | seating          | ottoman.n.03      | stool       |
    71  | mirror          | 19 | 7  | mirror           | mirror.n.01       |             |
    75  | file cabinet    | 3  | 6  | cabinet          | file.n.03         |             | cabinet
    77  | laptop          | 40 | 7  | objects          | laptop.n.01       | laptop      | laptop
    86  | blinds          | 13 | 13 | blinds           | blind.n.03        |             |
    96  | radiator        | 39 | 6  | appliances       | radiator.n.02     |             |
    99  | wardrobe        | 39 | 6  | cabinet          | wardrobe.n.01     | wardrobe    |
    103 | clock           | 40 | 7  | objects          | clock.n.01        |             | clock
    105 | light           | 38 | 7  | lighting         | light.n.02        |             |
    130 | cup             | 40 | 7  | objects          | cup.n.01          | cup         | cup or mug
    161 | doorframe       | 8  | 12 | door             | doorframe.n.01    |             |
    61  | rug             | 20 | 5  | floor            | rug.n.01          |             |
    """
)
"""By raw category."""


def labels_table(counts: Mapping[str, int]) -> str:
    """The text of the tsv, tab-separated with LF, most frequent category first; ``counts``
    are instances by raw category.
    """
    lines = ["\t".join(COLUMNS)]
    for category in sorted(CATEGORIES.values(), key=lambda row: (-counts.get(row.name, 0), row.id)):
        nyu, eigen = NYU40[category.nyu40 - 1], EIGEN13[category.eigen13 - 1]
        lines.append(
            "\t".join(
                [
                    str(category.id),
                    category.name,
                    category.name,
                    str(counts.get(category.name, 0)),
                    str(category.nyu40),
                    str(category.eigen13),
                    nyu,
                    nyu,
                    eigen,
                    category.modelnet40,
                    "",
                    category.shapenet,
                    "",
                    category.synset,
                    "",
                    category.mpcat40,
                    str(MPCAT40.index(category.mpcat40)),
                ]
            )
        )
    return "\n".join(lines) + "\n"
