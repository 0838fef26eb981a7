"""Read a build as a webdataset pipeline, for training code that reads tars one after the other."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gapdata.errors import ShardError
from gapdata.files.ranged_stream import RangedStream
from gapdata.files.storage import Location, open_ranged
from gapdata.records.reading import record_from_json
from gapdata.shards.index import read_commit
from gapdata.shards.samples import check_fields, decoded

if TYPE_CHECKING:
    import webdataset

BUFFER = 4 << 20
"""Bytes that are asked of a disk or a store at once."""


def tar_pipeline(
    build: Location, shards: Sequence[str], *, view: str | None, fields: Collection[str]
) -> webdataset.DataPipeline:
    """Return a webdataset pipeline of decoded samples: see :meth:`gapdata.shards.reader.ShardReader.webdataset`.

    Args:
        build: where the tars are.
        shards: their names without ``.tar``.
        view: the kind of view of the records that are kept; ``None`` keeps all.
        fields: what a sample holds, among :data:`gapdata.shards.samples.READERS`.

    Raises:
        UsageError: a field is unknown.
    """
    # webdataset does not export these from its top module.
    from webdataset.compat import FluidWrapper
    from webdataset.shardlists import split_by_node, split_by_worker
    from webdataset.tariterators import group_by_keys, tar_file_expander

    check_fields(fields)
    return FluidWrapper([{"url": name} for name in shards]).compose(
        split_by_node,
        split_by_worker,
        partial(_opened, build),
        tar_file_expander,
        group_by_keys,
        partial(_decoded, view=view, fields=tuple(fields)),
    )


def _opened(build: Location, sources: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Open the tars, and refuse a truncated one, which webdataset itself would read as a whole one."""
    for source in sources:
        path = build / f"{source['url']}.tar"
        cure = "delete the shard's .json and run build-shards again"
        try:
            expected = read_commit(build / f"{source['url']}.json")["tar_bytes"]
            file = open_ranged(path)
        except OSError as error:
            raise ShardError(f"cannot be opened: {error.strerror}", path=error.filename or path, cure=cure) from error
        try:
            if file.size != expected:
                problem = f"has {file.size} bytes, but its commit record states {expected}"
                raise ShardError(problem, path=path, cure=cure)
            yield {"url": str(path), "stream": io.BufferedReader(RangedStream(file), BUFFER)}
        finally:
            file.close()


def _decoded(
    samples: Iterable[dict[str, Any]], *, view: str | None, fields: Collection[str]
) -> Iterator[dict[str, Any]]:
    for sample in samples:
        members = {name: data for name, data in sample.items() if not name.startswith("__")}
        record = record_from_json(members.pop("json"), members)
        if view in (None, record.view):
            yield {"__key__": sample["__key__"], "__url__": sample["__url__"], **decoded(record, fields)}
