"""The card of a dataset for the Hugging Face Hub: README.md, whose head is YAML that ``load_dataset`` follows.

The head lists the files of each split and the type of every column. Without it the library guesses columns from the
first five records and silently drops the frames that longer views have beyond these. YAML is written by hand: texts
are quoted as JSON, which YAML contains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""Of the Hub's ``size_categories``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One table of the dataset."""

    name: str
    files: Mapping[str, Sequence[str]]
    """Split -> names of files."""
    features: Mapping[str, str]
    """Column -> type, as YAML writes it: ``image``, ``json``, ``string``, or ``list: int64``."""


def card(name: str, configs: Sequence[Config], *, records: int, gate: str = "", tasks: Sequence[str], text: str) -> str:
    """Return README.md.

    Args:
        name: of the dataset.
        configs: its tables; the first is the default one.
        records: how many there are.
        gate: what a user of the Hub has to agree to before downloading; empty where nothing.
        tasks: the Hub's names of tasks.
        text: below the head, Markdown.
    """
    size = next((label for limit, label in SIZES if records < limit), "n>1M")
    head = [
        f"pretty_name: {json.dumps(name)}",
        "license: other",
        "license_name: terms-of-the-scans",
        "license_link: LICENSE.md",
        f"size_categories: [{json.dumps(size)}]",
        f"task_categories: [{', '.join(tasks)}]",
        "tags: [rgb-d, 3d, indoor, spatial-reasoning]",
        *([f"extra_gated_prompt: {json.dumps(gate)}"] if gate else []),
        "configs:",
    ]
    for place, config in enumerate(configs):
        head += [f"- config_name: {config.name}", *(["  default: true"] if not place else []), "  data_files:"]
        for split, files in config.files.items():
            head += [f"  - split: {split}", "    path:", *(f"    - {json.dumps(file)}" for file in files)]
    head.append("dataset_info:")
    for config in configs:
        head += [f"- config_name: {config.name}", "  features:"]
        for column, kind in config.features.items():
            key, _, inner = kind.rpartition(": ")
            head += [f"  - name: {json.dumps(column)}", f"    {key or 'dtype'}: {inner}"]
    return "\n".join(["---", *head, "---", "", f"# {name}", "", text])
