"""Say why a folder that looks like scans cannot be read as a folder of frames."""

from __future__ import annotations

from pathlib import Path

from gapdata.files.folders import by_lower_case, entries

FOREIGN = (
    (
        {"habitat", "mesh.ply"},
        "is Replica's own release, which has meshes but no frames; take NICE-SLAM's Replica.zip",
    ),
)
"""Names of entries, by lower case, that lie in a folder, and what such a folder is."""


def why_foreign(folder: Path) -> str | None:
    """Return what a folder without frames is, as far as it is known; ``None`` for any other, and if it has no list."""
    try:
        names = by_lower_case(entry.name for entry in entries(folder)).keys()
    except OSError:
        return None
    return next((reason for wanted, reason in FOREIGN if wanted <= names), None)
