"""What a user has to know about a kind of scans before reading it; a part of every row of the registries."""

from __future__ import annotations

from dataclasses import dataclass

OWN_TERMS = "yours, or those of whoever recorded it"
"""Of a format that no single data set owns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What ``gapdata sources`` says of one kind of scans, in words; every field fits a line."""

    title: str = ""
    """The name that it gives itself, such as ``ScanNet++``; empty where that of its row is clear."""
    recognised_by: str = ""
    """What lies in a folder of this kind and in no other: the entries that are looked for."""
    download: str = ""
    """The command that gets it, with capitals where the user fills something in; empty where there is none."""
    terms: str = OWN_TERMS
    """The short name of the terms of use and their link: ``CC BY 4.0, https://...``."""
    redistributable: bool = False
    """Whether these terms allow that images of it are given to others, as an export or a public build does."""
    categories: str = ""
    """The file of :data:`gapdata/manifests/categories` that maps its names to ours, or why there is none."""
    splits: str = ""
    """Which files say a scene's split; empty where nothing does."""

    def how_to_get(self) -> str:
        """Return what to do where the download is missing: the command that gets it; empty where there is none."""
        return f"to download it: {self.download}" if self.download else ""

    def terms_line(self) -> str:
        """Return the terms, and whether images may be given to others, in one line."""
        return f"{self.terms}{'' if self.redistributable else '; its images are not to be passed on without asking'}"
