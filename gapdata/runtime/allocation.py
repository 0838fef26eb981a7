"""Memory that numpy gives back stays with the process.

A build allocates and frees the same arrays of a megabyte for every frame. The C library returns each of them to the
kernel and fetches fresh, zeroed pages for the next one: a tenth of the build's time, most of it in page faults.
"""

from __future__ import annotations

import ctypes
import gc
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt(3)``."""
KEPT_BYTES = 64 * 2**20
"""What a build holds at a time, and more."""


def keep_freed_memory(kept: int = KEPT_BYTES) -> None:
    """Raise the two thresholds of glibc's allocator: up to ``kept`` bytes that are free stay, and blocks up to half of
    that come from them. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, kept // 2)
        library.mallopt(M_TRIM_THRESHOLD, kept)


def spare_imports_from_collection() -> None:
    """What was imported lives as long as the process: Python's collector, which would search it again and again, leaves
    it alone from here on. Once for a process, because what is garbage by then is never freed.
    """
    if not gc.get_freeze_count():
        gc.freeze()
