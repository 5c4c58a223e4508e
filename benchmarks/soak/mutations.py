"""Bundles of which a few bytes are not what they were, each opened in a process that may crash."""

import os
import resource
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from app import bundle
from app.errors import NelboError
from app.model import open_model
from app.settings import Settings
from benchmarks.serving.bundle import NAME
from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place

MUTATED, SEALED = 2400, 400
"""How many bundles are mutated, and how many graphs in bundles that are sealed again."""
MOST_MEMORY = 8 * 2**30
"""Of a process: a mutated graph may ask for any number of bytes."""


@dataclass(frozen=True)
class Mutation:
    """One file of a bundle, changed by chance; where it is sealed, the hashes say that this is right."""

    source: Path
    file: str
    seed: int
    sealed: bool

    def open(self) -> str:
        """What becomes of it."""
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made) / self.source.parent.name / self.source.name
            shutil.copytree(self.source, folder)
            content = (self.source / self.file).read_bytes()
            (folder / self.file).write_bytes(mutated(content, np.random.default_rng(self.seed)))
            if self.sealed:
                lines = [f"{bundle.sha256(folder / file)}  {file}\n" for file in sorted(bundle.FILES)]
                (folder / bundle.SUMS).write_text("".join(lines), encoding="ascii")
            try:
                open_model(folder, Settings(device="cpu"))
            except NelboError:
                return "refused"
            return "opened"


def mutations(place: Place) -> Iterator[Finding]:
    """Mutate every file of the reference model, and then its graphs alone with hashes that fit."""
    source, files = place.models / NAME / "1", sorted({*bundle.FILES, bundle.SUMS})
    told = _outcomes([Mutation(source, files[seed % len(files)], seed, sealed=False) for seed in range(MUTATED)])
    yield Finding(f"{MUTATED} mutated bundles: refused", str(told["refused"]), str(MUTATED), told["refused"] == MUTATED)
    yield Finding("… lost in a crash", str(told["lost"]), "0", told["lost"] == 0)
    graphs = bundle.GRAPHS
    told = _outcomes([Mutation(source, graphs[seed % len(graphs)], seed, sealed=True) for seed in range(SEALED)])
    yield Finding(
        f"{SEALED} mutated graphs in bundles that were sealed again: lost in a crash",
        f"{told['lost']}; {told['refused']} refused, {told['opened']} proved by the probe",
        "0",
        told["lost"] == 0,
    )


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Cut short, longer, or with one byte or one bit of another value."""
    at, kind = int(random.integers(len(content))), int(random.integers(4))
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content + random.bytes(int(random.integers(1, 9)))
    changed = bytearray(content)
    changed[at] ^= 1 << int(random.integers(8)) if kind == 2 else int(random.integers(1, 256))
    return bytes(changed)


def _outcomes(work: list[Mutation]) -> Counter[str]:
    """How many were opened and how many refused; a crash takes all with it that are not done."""
    told: Counter[str] = Counter()
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, get_context("spawn"), _bound_memory) as pool:
        for future in [pool.submit(mutation.open) for mutation in work]:
            try:
                told[future.result()] += 1
            except BrokenProcessPool:
                told["lost"] += 1
    return told


def _bound_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
