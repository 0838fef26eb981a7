"""Read records of a build, by position or key, each in one ranged read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from functools import cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, RangedFile, absolute, location, open_ranged
from gapdata.records.reading import record_from_json
from gapdata.records.schema import Record
from gapdata.runtime.choices import check_choice
from gapdata.runtime.counting import counted
from gapdata.shards.checksums import refuse_damage
from gapdata.shards.fingerprint import planned_fingerprint
from gapdata.shards.index import COUNTS, figure_values, read_commit
from gapdata.shards.order import RecordOrder, order_of
from gapdata.shards.places import BLOCK, RecordPlaces
from gapdata.shards.records import UNBOUND, Bounds, checked_position, unknown_key
from gapdata.shards.samples import FIELDS

if TYPE_CHECKING:
    from webdataset import DataPipeline

    from gapdata.shards.torch_dataset import RecordDataset

MAX_OPEN_SHARDS = 64
CHUNK = 1 << 22


class ShardReader:
    """The records of a finished build, open for reading.

    ``build`` is a directory or an ``s3://`` or ``gs://`` URI. The places of records are in the build's index, so a
    truncated tar is not taken for a short one. A pickle (for loader workers) has only the place of the build, which is
    absolute; each process opens the tars that it reads. A ``with`` block closes them at its end.

    Args:
        build: where the build is.
        verify: compare the index, and every tar when this process first reads from it, with the digests that the build
            was finished with: this reads each tar once more, and finds every flipped bit.

    Raises:
        UsageError: there is no finished build, or, with ``verify``, one without digests, by an earlier version.
        ShardError: the index is damaged.
    """

    def __init__(self, build: str | os.PathLike[str] | ObjectPath, *, verify: bool = False) -> None:
        place = location(build)
        self.build = absolute(place)
        self.verify = verify
        self._checked: set[str] = set()
        # Errors here have the name that the user gave.
        if verify:
            refuse_damage(place)
        self._places = RecordPlaces(place)
        self._files: dict[str, RangedFile] = {}
        self._figures: dict[str, NDArray[np.float32]] = {}

    def __reduce__(self) -> tuple[Any, tuple[Location]]:
        return partial(ShardReader, verify=self.verify), (self.build,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.build}: {counted(len(self), 'record')}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close all tars; they are opened again when needed."""
        for file in getattr(self, "_files", {}).values():
            file.close()
        self._files = {}

    def __len__(self) -> int:
        return len(self._places)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of all records; made when they are first asked for, because reading does not need them."""
        return tuple(self._places.keys())

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint in the build's plan; ``None`` if the plan is missing or cannot be read."""
        return planned_fingerprint(self.build)

    def __contains__(self, key: object) -> bool:
        """Return whether the build has a record with this key."""
        return isinstance(key, str) and self._places.position(key) is not None

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))

    def select(self, *, split: str | None = None, view: str | None = None, quality: Bounds = UNBOUND) -> list[int]:
        """Return positions of the records of a split, of a kind of view, and within bounds of quality.

        A record is left out if a figure that ``quality`` bounds was not measured for it.

        Args:
            split: ``train``, ``val``, ...; ``None`` for all.
            view: ``clip``, ``scene`` or ``around``; ``None`` for all.
            quality: lowest and highest value by figure, as in ``{"neighbour_misalignment": (0, 0.02)}``.

        Raises:
            UsageError: no build has such a split, view or figure (:data:`gapdata.shards.index.FIGURES`).
        """
        chosen: list[int] = self._chosen(split, view, quality).tolist()
        return chosen

    def _chosen(self, split: str | None, view: str | None, quality: Bounds) -> NDArray[np.int64]:
        chosen = self._places.selected(split=split, view=view)
        for name, (low, high) in quality.items():
            values = self.figure(name)[chosen]
            chosen = chosen[(values >= low) & (values <= high)]
        return chosen

    def figure(self, name: str) -> NDArray[np.float32]:
        """Return a quality figure of each record, (records,), from the index; NaN where it was not measured.

        Raises:
            UsageError: the index has no such figure.
        """
        if name not in self._figures:
            self._figures[name] = figure_values(self.build, name)
            self._figures[name].flags.writeable = False
        return self._figures[name]

    def counts(self, name: str) -> NDArray[np.int32]:
        """Return how many ``prompts`` or ``objects`` each record has, (records,), from the index."""
        check_choice("count", name, COUNTS)
        return self._places.counts[name]

    def order(
        self,
        *,
        seed: int,
        split: str | None = None,
        view: str | None = None,
        quality: Bounds = UNBOUND,
        shards_per_group: int = 8,
    ) -> RecordOrder:
        """Return the order in which training visits the records that :meth:`select` gives.

        Args:
            seed: of the order.
            split: as in :meth:`select`.
            view: as in :meth:`select`.
            quality: as in :meth:`select`.
            shards_per_group: how many shards' records are mixed (:mod:`gapdata.shards.order`).
        """
        places = self._places
        by_name = np.argsort(np.argsort(np.array(places.shard_names, dtype=object)))
        chosen = self._chosen(split, view, quality)
        return order_of(chosen, by_name[places.shard], seed=seed, shards_per_group=shards_per_group)

    def torch(
        self,
        *,
        split: str | None = None,
        view: str | None = None,
        quality: Bounds = UNBOUND,
        seed: int = 0,
        shards_per_group: int = 8,
        fields: Collection[str] = FIELDS,
        batch_size: int = 1,
        rank: int | None = None,
        world_size: int | None = None,
        endless: bool = False,
    ) -> RecordDataset:
        """Return a torch dataset of decoded samples with ``state_dict()``, exact on any number of workers and ranks.

        A sample has the ``fields`` and its ``number``. One iteration serves what is left of an epoch; the next one
        serves the next epoch, in another order. With loader workers, call ``dataset.mark_used(batch["number"])``
        for each batch that is used, or each iteration serves the first epoch: see
        :mod:`gapdata.shards.torch_dataset`. Records of different views can have different numbers of frames, which
        torch's own ``collate_fn`` does not put into one batch.

        Args:
            split: as in :meth:`select`.
            view: as in :meth:`select`.
            quality: as in :meth:`select`.
            seed: of the order (:mod:`gapdata.shards.order`).
            shards_per_group: how many shards' records are mixed.
            fields: what a sample holds, among :data:`gapdata.shards.samples.READERS`.
            batch_size: the same as of the ``DataLoader``.
            rank: this process among the job's; by default that of ``torch.distributed``, or of torchrun.
            world_size: how many processes the job has; by default likewise.
            endless: go on with the next epoch instead of ending, so that all ranks get equally many records.

        Raises:
            UsageError: no record takes part, or an argument cannot be used.
        """
        from gapdata.shards.torch_dataset import torch_dataset

        order = self.order(seed=seed, split=split, view=view, quality=quality, shards_per_group=shards_per_group)
        return torch_dataset(
            self,
            order,
            fields=fields,
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
            endless=endless,
        )

    def webdataset(
        self, *, split: str | None = None, view: str | None = None, fields: Collection[str] = FIELDS
    ) -> DataPipeline:
        """Return a webdataset pipeline of decoded samples, tar after tar; nodes and loader workers share the tars.

        A sample has the ``fields``, ``__key__`` and ``__url__``. Go on with webdataset's own methods, such as
        ``.shuffle(1000)``.

        Args:
            split: as in :meth:`select`.
            view: as in :meth:`select`.
            fields: what a sample holds, among :data:`gapdata.shards.samples.READERS`.

        Raises:
            UsageError: no build has such a split or view, or a field is unknown.
        """
        from gapdata.shards.tar_pipeline import tar_pipeline

        places = self._places
        numbers = np.unique(places.shard[places.selected(split=split, view=view)]).tolist()
        shards = [places.shard_names[number] for number in numbers]
        return tar_pipeline(self.build, shards, view=view, fields=fields)

    def __getitem__(self, which: SupportsIndex | str, /) -> Record:
        """Return the record at a position of the index, or the record with a key.

        Raises:
            IndexError: there is no such position.
            UsageError: there is no such key.
            ShardError: the tar is missing, shorter than its index says, or holds something else at that place.
        """
        position = self._position(which) if isinstance(which, str) else checked_position(which, len(self))
        members = {name: bytes(data) for name, data in self.members(position).items()}
        key, shard = self._named(position)
        if "json" not in members:
            raise self._disagreement(shard, f"has no member {key}.json")
        record = record_from_json(members.pop("json"), members)
        if record.key != key:
            raise self._disagreement(shard, f"holds record {record.key} where the index says {key}")
        return record

    def without_images(self, index: int) -> Record:
        """Return a record without its members; nothing but its JSON is read.

        Raises:
            ShardError: as for the whole record.
        """
        return record_from_json(bytes(self.members(index, ("json",))["json"]))

    def members(self, index: int, names: Collection[str] | None = None) -> dict[str, memoryview]:
        """Return the raw members of a record by their name after the key.

        Args:
            index: the record's position.
            names: the members to read, if the record has them, with one read each; ``None`` reads all at once.

        Raises:
            ShardError: the tar is missing, shorter than its index says, or holds something else at that place.
        """
        position = checked_position(index, len(self))
        key, shard = self._named(position)
        members: dict[str, memoryview] = {}
        if names is None:
            start, size = self.span(position)
            data = self._read(shard, start, size)
            view = memoryview(data)
            for name, offset, length in self._places.members(position):
                at = offset - start
                if not data.startswith(f"{key}.{name}\0".encode(), at - BLOCK):
                    raise self._disagreement(shard, f"has no member {key}.{name} at byte {offset}")
                members[name] = view[at : at + length]
            return members
        for name, offset, length in self._places.members(position):
            if name in names:
                data = self._read(shard, offset - BLOCK, BLOCK + length)
                if not data.startswith(f"{key}.{name}\0".encode()):
                    raise self._disagreement(shard, f"has no member {key}.{name} at byte {offset}")
                members[name] = memoryview(data)[BLOCK:]
        return members

    def span(self, index: int) -> tuple[int, int]:
        """Return offset and size of the part of the tar that holds a record, its headers included."""
        return self._places.span(checked_position(index, len(self)))

    def _position(self, key: str) -> int:
        position = self._places.position(key)
        if position is None:
            raise unknown_key(key, self.keys, self.build)
        return position

    def _named(self, position: int) -> tuple[str, str]:
        """Return key and shard of a record."""
        places = self._places
        return places.key(position), places.shard_names[places.shard.item(position)]

    def _read(self, shard: str, offset: int, size: int) -> bytes:
        file = self._files.get(shard) or self._opened(shard)
        # The index may be damaged, too: memory is allocated only for bytes that the file has.
        there = max(0, min(size, file.size - offset))
        data = file.read_at(offset, size) if there == size else b""
        if len(data) != size:
            raise self._disagreement(shard, f"is truncated: {there} of {size} bytes at {offset}")
        return data

    def _opened(self, shard: str) -> RangedFile:
        """Open a tar and keep it open with the last ones; threads may do this at once."""
        try:
            file = open_ranged(self.build / f"{shard}.tar")
        except OSError as error:
            raise self._disagreement(shard, f"cannot be opened: {error.strerror}") from error
        self._check(shard, file)
        # Another thread may be reading one of these: it is closed when nobody has it any more.
        for oldest in list(self._files)[: 1 - MAX_OPEN_SHARDS]:
            self._files.pop(oldest, None)
        self._files[shard] = file
        return file

    def _check(self, shard: str, file: RangedFile) -> None:
        """Compare a tar with the digest in its commit record, once in this process, if that was asked for."""
        if not self.verify or shard in self._checked:
            return
        digest = hashlib.sha256()
        for offset in range(0, file.size, CHUNK):
            digest.update(file.read_at(offset, min(CHUNK, file.size - offset)))
        if digest.hexdigest() != read_commit(self.build / f"{shard}.json")["sha256"]:
            file.close()
            raise self._disagreement(shard, "its SHA-256 differs from the committed one")
        self._checked.add(shard)

    def _disagreement(self, shard: str, problem: str) -> ShardError:
        return ShardError(
            problem, path=self.build / f"{shard}.tar", cure="delete the shard's .json and run build-shards again"
        )
