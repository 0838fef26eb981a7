"""``croissant.json``: the files of a dataset with their digests, in MLCommons' Croissant format (version 1.0).

It describes files, not records: the format has no construct for several members of a tar that are one record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

TERMS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format"),
    *("includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in TERMS},
}
"""The context that the specification asks for, whichever of its words are used."""
KINDS = {".tar": "application/x-tar", ".jsonl": "application/jsonlines", ".parquet": "application/vnd.apache.parquet"}


def croissant(name: str, description: str, terms: str, files: Mapping[str, tuple[int, str]]) -> bytes:
    """Return the file.

    Args:
        name: of the dataset.
        description: one sentence.
        terms: of use, in words.
        files: size in bytes and SHA-256 of each file, by its name below the folder.
    """
    distribution: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": file,
            "name": file,
            "contentUrl": file,
            "contentSize": f"{size} B",
            "encodingFormat": next(kind for suffix, kind in KINDS.items() if file.endswith(suffix)),
            "sha256": digest,
        }
        for file, (size, digest) in files.items()
    ]
    fields = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": description,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": terms,
        "version": "1.0.0",
        "distribution": distribution,
    }
    return json.dumps(fields, indent=1).encode() + b"\n"
