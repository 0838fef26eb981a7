"""Make random generators that depend on the recipe's seed and the item's key, never on worker count or order."""

from __future__ import annotations

import hashlib

import numpy as np


def generator_for(seed: int, *keys: str) -> np.random.Generator:
    """Return a generator for one item: equal seed and keys give equal draws on any machine and in any order."""
    digest = hashlib.sha256("\0".join((str(seed), *keys)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
