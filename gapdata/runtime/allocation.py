"""Keep memory that numpy frees in the process, instead of returning it to the kernel.

A long run allocates and frees arrays of the same few megabytes again and again. The C library returns each array to the
kernel and fetches fresh, zeroed pages for the next one, which took a tenth of a build's time, mostly in page faults.
"""

from __future__ import annotations

import ctypes
import gc
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt(3)``."""
KEPT_BYTES = 64 * 2**20
"""More than a build holds at a time."""


def keep_freed_memory(kept: int = KEPT_BYTES) -> None:
    """Let glibc's allocator keep up to ``kept`` free bytes, and serve blocks of up to half of that from them.

    Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, kept // 2)
        library.mallopt(M_TRIM_THRESHOLD, kept)


def spare_imports_from_collection() -> None:
    """Exclude everything that was imported so far from Python's garbage collection.

    Imported modules live as long as the process, so that to search them again and again is wasted time. This is done
    once in a process, because garbage that exists by then is never freed.
    """
    if not gc.get_freeze_count():
        gc.freeze()
