"""The views that a tower is taught on: records of a build, varied, and the content of each cell of their frames.

A frame's window (:class:`gapmodel.processing.Window`) is divided into blocks, which are patches or visual tokens, and
each block into cells x cells cells, which are asked about at their centres.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from gapdata.records.schema import Record
from gapdata.seeding import generator_for
from gapdata.shards.reader import ShardReader
from gapdata.tasks.labels import object_label
from gapmodel.evaluation.asking import spread
from gapmodel.processing import ProcessorConfig
from gapmodel.questions.recipe import DataRecipe
from gapmodel.questions.records import quality_bounds
from gapmodel.training.augment import DecodedRecord, decode, mirror, subset


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The cells of a frame: ``blocks`` (rows, columns), each with ``side`` x ``side`` cells."""

    blocks: tuple[int, int]
    side: int

    @property
    def per_block(self) -> int:
        """Return the number of cells of a block."""
        return self.side**2

    def pixels(self, config: ProcessorConfig, size: tuple[int, int]) -> NDArray[np.int64]:
        """Return the pixel (u, v) at each cell's centre, (blocks, cells of a block, 2), of frames of ``size``."""
        window = config.window(*size)
        rows, columns = (count * self.side for count in self.blocks)
        u = (window.left + (np.arange(columns) + 0.5) * window.width / columns).astype(np.int64)
        v = (window.top + (np.arange(rows) + 0.5) * window.height / rows).astype(np.int64)
        grid = np.stack(np.meshgrid(u, v), axis=-1)  # (rows, columns, 2)
        split = grid.reshape(self.blocks[0], self.side, self.blocks[1], self.side, 2).swapaxes(1, 2)
        return split.reshape(-1, self.per_block, 2)

    def holding(self, config: ProcessorConfig, size: tuple[int, int], pixel: tuple[int, int]) -> int:
        """Return the number of the cell that a pixel lies in, counted block by block."""
        window = config.window(*size)
        rows, columns = (count * self.side for count in self.blocks)
        column = min(max(int((pixel[0] + 0.5 - window.left) * columns / window.width), 0), columns - 1)
        row = min(max(int((pixel[1] + 0.5 - window.top) * rows / window.height), 0), rows - 1)
        (block_row, inner_row), (block_column, inner_column) = divmod(row, self.side), divmod(column, self.side)
        block = block_row * self.blocks[1] + block_column
        return block * self.per_block + inner_row * self.side + inner_column


class TrainingViews(Dataset[tuple[int, DecodedRecord]]):
    """The endless sequence of views, each with its number.

    It has the records of the training split in another order for each epoch, mirrored at random, their frames shuffled.
    """

    def __init__(self, reader: ShardReader, data: DataRecipe, seed: int) -> None:
        self.reader = reader
        self.data = data
        self.seed = seed
        self.order = reader.order(seed=seed, split="train", view=data.view, quality=quality_bounds(data))

    def __getitem__(self, number: int) -> tuple[int, DecodedRecord]:
        (index,) = self.order.positions(number, 1).tolist()
        rng = generator_for(self.seed, "tower", str(number))
        view = decode(self.reader[index], geometry=True)
        frames = self.data.frames or len(view.record)
        view = subset(view, rng.permutation(len(view.record))[:frames].tolist())
        return number, mirror(view) if rng.random() < 0.5 else view


def fixed_views(reader: ShardReader, data: DataRecipe, split: str, count: int) -> list[DecodedRecord]:
    """Return ``count`` views of a split as they are, evenly spaced."""
    chosen = spread(reader.select(split=split, view=data.view, quality=quality_bounds(data)), count)
    views = [decode(reader[index], geometry=True) for index in chosen]
    return [subset(view, range(data.frames or len(view.record))) for view in views]


def point_targets(view: DecodedRecord, pixels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the points of ``pixels`` (..., 2) in every frame: (F, ..., 3) metres, first camera, NaN where unknown."""
    flat = pixels.reshape(-1, 2)
    points = np.stack([view.points(frame, flat) for frame in range(len(view.record))])
    return points.reshape(len(view.record), *pixels.shape[:-1], 3).astype(np.float32)


def label_targets(
    view: DecodedRecord, pixels: NDArray[np.int64], classes: Mapping[str, int], data: DataRecipe
) -> NDArray[np.int64]:
    """Return the class of ``pixels`` (..., 2) in every frame, (F, ...), -1 where nothing is annotated."""
    table = np.full(int(view.instances.max()) + 2, -1, dtype=np.int64)
    for item in view.record.objects:
        if item.object_id + 1 < len(table):
            table[item.object_id + 1] = classes.get(_name(item, data) or "", -1)
    return table[view.instances[:, pixels[..., 1], pixels[..., 0]]]


def label_names(records: Iterator[Record], data: DataRecipe) -> list[str]:
    """Return all names of the objects of records, as ``data`` calls them, sorted."""
    return sorted({name for record in records for item in record.objects if (name := _name(item, data))})


def _name(item: object, data: DataRecipe) -> str | None:
    return object_label(item, data.taxonomy or None, "label")  # type: ignore[arg-type]
