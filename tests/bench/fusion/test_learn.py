import numpy as np
import pytest

from tests.bench.fusion import learn
from tests.bench.fusion.learn import Lesson, Net
from voiced.audio.echo import decision
from voiced.audio.echo.decision import MOMENTS
from voiced.audio.echo.evidence import BANDS, KINDS, SINGLES, SIZE


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(1)


def forward(net: Net, bands: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Log odds, of each window that has MOMENTS - 1 before it."""
    of_bands = learn._leaky(bands @ net["band.weight"] + net["band.bias"])
    half = BANDS // 2
    joined = np.concatenate((of_bands[:, :, :half].mean(2), of_bands[:, :, half:].mean(2), whole), axis=-1)
    condensed = learn._leaky(joined @ net["condense.weight"] + net["condense.bias"])
    count = whole.shape[1] - MOMENTS + 1
    inner = learn._leaky(net["judge.bias"] + sum(condensed[:, k : k + count] @ net["judge.weight"][k] for k in range(MOMENTS)))
    return inner @ net["score.weight"] + net["score.bias"][0]


def loss(net: Net, bands: np.ndarray, whole: np.ndarray, y: np.ndarray) -> float:
    odds = forward(net, bands, whole)
    return float(np.mean(np.logaddexp(0, odds) - (y * (1 - 2 * learn._SMOOTH) + learn._SMOOTH) * odds))


@pytest.mark.parametrize("layer", ["band", "condense", "judge", "score"])
def test_the_slopes_are_those_of_the_loss(chance: np.random.Generator, layer: str) -> None:
    net = {name: w.astype(np.float64) + 0.1 for name, w in learn._begin(chance).items()}
    bands, whole = chance.normal(0, 1, (2, 12, BANDS, KINDS)), chance.normal(0, 1, (2, 12, SINGLES))
    y = chance.integers(0, 2, (2, 12 - MOMENTS + 1)).astype(float)
    slopes = learn._slopes(net, bands, whole, y, np.ones_like(y), np.ones((2, 1, learn._CONDENSED)))
    for name in (f"{layer}.weight", f"{layer}.bias"):
        place = tuple(int(chance.integers(0, size)) for size in net[name].shape)
        up, down = ({**net, name: net[name].copy()} for _ in range(2))
        up[name][place] += 1e-5
        down[name][place] -= 1e-5
        slope = (loss(up, bands, whole, y) - loss(down, bands, whole, y)) / 2e-5
        assert slopes[name][place] == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_what_is_stored_is_the_network_that_the_daemon_runs(chance: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = chance.normal(1, 2, (20, SIZE)).astype(np.float32)
    scale = learn._Scale.of([Lesson(evidence, np.zeros(20, np.float32), np.ones(20, np.float32))])
    net = learn._begin(chance)
    stored = scale.stored(net)
    monkeypatch.setattr(decision, "_weights", lambda: {name: w.astype(np.float32) for name, w in stored.items()})
    fusion = decision.Fusion()
    odds = [fusion.likely(piece) for piece in evidence]
    bands, whole = scale.scaled(evidence)
    assert odds[MOMENTS:] == pytest.approx(forward(net, bands[None], whole[None])[0][MOMENTS:], abs=0.02)
