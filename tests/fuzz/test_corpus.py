"""What the fuzzer begins with and once found, and a little of what it would try: a short look, the same each time. The rest is
`python -m tests.fuzz`."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import TARGETS

SEEDS = sorted(CORPUS.glob("*/*"))
WORDS = [
    line[1:-1].encode().decode("unicode_escape").encode("latin-1") for line in (CORPUS.parent / "words.dict").read_text().splitlines()[1:]
]


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: "-".join(path.parts[-2:]))
def test_the_corpus(seed: Path) -> None:
    TARGETS[seed.parent.name](seed.read_bytes())


def mutated(target: str) -> st.SearchStrategy[bytes]:
    """A seed of which pieces were replaced by words, bytes or pieces of other seeds."""
    seeds = [seed.read_bytes() for seed in SEEDS if seed.parent.name == target]
    piece = st.sampled_from(WORDS) | st.binary(max_size=8) | st.sampled_from(seeds)
    cut = st.tuples(st.integers(0, 1000), st.integers(0, 30), piece)

    def spoiled(seed: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
        for at, length, new in cuts:
            at %= len(seed) + 1
            seed = seed[:at] + new + seed[at + length :]
        return seed

    return st.builds(spoiled, st.sampled_from(seeds), st.lists(cut, max_size=4))


@pytest.mark.parametrize("target", sorted(TARGETS))
@settings(max_examples=150, derandomize=True)
@given(data=st.data())
def test_what_is_like_it(target: str, data: st.DataObject) -> None:
    TARGETS[target](data.draw(mutated(target)))
