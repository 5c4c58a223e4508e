"""Noise by seed: a row's depends on the seed and the row's number only."""

import numpy as np

from app.array import Array


def standard_normal(seed: int, rows: int, width: int) -> Array:
    """Noise [rows, width] from Philox, a counter-based generator, with `seed` as its key and the row in its counter.

    The first rows of a longer answer are the shorter answer, and any row can be made again without those before it.
    """
    philox = np.random.Philox(key=seed)
    generator = np.random.Generator(philox)
    start = philox.state
    noise = np.empty((rows, width))
    for row in range(rows):
        # Setting the state costs a tenth of a new generator. Word 0 of the counter counts the draws within a row.
        start["state"]["counter"][1] = row
        philox.state = start
        generator.standard_normal(out=noise[row])
    return noise


def uniform(seed: int, rows: int) -> Array:
    """One uniform number in [0, 1) a row, [rows], independent of the normal ones of the same seed."""
    philox = np.random.Philox(key=seed)
    start = philox.state
    start["state"]["counter"][2] = 1  # word 1 counts the rows of the normal noise
    philox.state = start
    return np.random.Generator(philox).random(rows)


def evenly(count: int) -> Array:
    """`count` numbers in (0, 1) that every prefix spreads evenly, [count]: multiples of the golden ratio, modulo 1."""
    numbers: Array = (np.arange(1, count + 1) * (5**0.5 - 1) / 2) % 1
    return numbers


def whitened(seed: int, rows: int, width: int) -> Array:
    """Standard normal noise with mean 0 and covariance I exactly, [rows, width]: antithetic pairs, then whitened.

    `rows` is even and at least twice `width`. A mean over it is exact for what is linear in it.
    """
    half = standard_normal(seed, rows // 2, width)
    factor = np.linalg.cholesky(half.T @ half / len(half))
    half = np.linalg.solve(factor, half.T).T
    return np.concatenate([half, -half])
