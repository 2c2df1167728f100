"""Random streams by name: the same seed and names give the same draws in any order and in any process."""

from zlib import crc32

import numpy as np

__all__ = ["derive", "stream"]


def _sequence(seed: int, names: tuple[str | int, ...]) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, *(crc32(str(name).encode()) for name in names)])


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A generator that belongs to `names` alone, so that no draw depends on the order of work.

    Args:
        seed: the job's or trial's seed, >= 0.
        names: what the stream is for, e.g. `("patient", "site-1", 4)`.
    """
    return np.random.default_rng(_sequence(seed, names))


def derive(seed: int, *names: str | int) -> int:
    """An integer seed in [0, 2**63) for generators of other libraries (`torch.Generator.manual_seed`)."""
    return int(_sequence(seed, names).generate_state(1, np.uint64)[0] >> 1)
