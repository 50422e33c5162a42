"""Makes the weights of the network that judges who speaks: python -m tests.bench.fusion voiced/audio/echo/decision.npy

24 s of sound take some 2.5 s of a core, the fit a minute or two.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np

from tests.bench.fusion.learn import fit
from tests.bench.fusion.lessons import taught
from tests.bench.fusion.scenes import NOISY_FROM

_FIRST_SEED = 1000


@click.command()
@click.argument("to", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--scenes", default=200, show_default=True)
@click.option("--noisy", default=60, show_default=True, help="Scenes more with many noises.")
@click.option("--epochs", default=24, show_default=True)
def main(to: Path, scenes: int, noisy: int, epochs: int) -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        lessons = list(pool.map(taught, [*range(_FIRST_SEED, _FIRST_SEED + scenes), *range(NOISY_FROM, NOISY_FROM + noisy)]))
    weights = fit(lessons, epochs)
    np.save(to, np.array(tuple(weights.values()), [(name, of.dtype, of.shape) for name, of in weights.items()]))


if __name__ == "__main__":
    main()
