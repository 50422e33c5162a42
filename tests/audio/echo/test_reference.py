"""A loudspeaker and a microphone with clocks of their own, stamps that jitter, and a sound that tells its own position.

The sound is a slow rotation, in two references at once: cosine in the one, sine in the other. The angle of what comes out is the
position on the loudspeaker's side, so each sample of the far end can be asked what it precedes, and by how much.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest

from voiced.audio.echo.reference import MARGIN_MS, Reference
from voiced.messages import MonoNs, Played, PlayedCut

RATE_HZ = 16_000
PLAY_HZ = 24_000
BLOCK = 320
PIECE = 480
TURN = 2400  # samples of the loudspeaker for one rotation: 100 ms
START_NS = 10**15


def rotation(position: int, frames: int) -> tuple[bytes, bytes]:
    angle = 2 * np.pi * (position + np.arange(frames)) / TURN
    return tuple(np.rint(16000 * of(angle)).astype("<i2").tobytes() for of in (np.cos, np.sin))  # type: ignore[return-value]


@dataclass
class Machine:
    """Times in seconds of the computer's clock. `stamped` is false where playback knows only when a run started."""

    mic_ppm: float = 0.0
    play_ppm: float = 0.0
    jitter_ms: float = 0.0
    stamped: bool = True
    late_ms: float = 1.0
    margin_ms: float = MARGIN_MS
    #: (when sent, message, position of the sound as the rotation counts, frames)
    sent: list[tuple[float, Played | PlayedCut, int, int]] = field(default_factory=list)
    #: (start, end, position at the start) of what truly sounds
    truth: list[tuple[float, float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(5)

    def jitter(self) -> float:
        return self.random.uniform(0, self.jitter_ms) / 1000

    def run(self, start: float, seconds: float, position: int = 0, heard: float | None = None, counted: int | None = None) -> int:
        """A run of so much sound; of it only the first `heard` seconds sound. Returns the position of its end."""
        pace = PLAY_HZ * (1 + self.play_ppm * 1e-6)
        frames = int(seconds * PLAY_HZ)
        counted = position if counted is None else counted
        begun = self.jitter()
        for at in range(0, frames, PIECE):
            sounds = start + at / pace
            stamp = sounds + self.jitter() if self.stamped else start + begun + at / PLAY_HZ
            message = Played(counted + at, MonoNs(START_NS + int(stamp * 1e9)))
            sent = max(start, sounds - 0.1) + self.late_ms / 1000
            self.sent.append((sent, message, position + at, min(PIECE, frames - at)))
        self.truth.append((start, start + (seconds if heard is None else heard) * PLAY_HZ / pace, position))
        return position + frames

    def cut(self, position: int, at: float) -> None:
        message = PlayedCut(position, MonoNs(START_NS + int(at * 1e9)))
        self.sent = [entry for entry in self.sent if entry[0] < at]
        self.sent.append((at + self.late_ms / 1000, message, 0, 0))

    def far(self, seconds: float) -> np.ndarray:
        """What the references give for a microphone that listens so long; complex."""
        both = Reference(self.margin_ms), Reference(self.margin_ms)
        waiting = sorted(self.sent, key=lambda entry: entry[0])
        out = []
        for n in range(BLOCK, int(seconds * RATE_HZ), BLOCK):
            now = n / RATE_HZ / (1 + self.mic_ppm * 1e-6)
            while waiting and waiting[0][0] <= now:
                _, message, position, frames = waiting.pop(0)
                for reference, pcm in zip(both, rotation(position, frames), strict=True):
                    if isinstance(message, Played):
                        reference.played(message, pcm)
                    else:
                        reference.cut(message)
            captured = MonoNs(START_NS + int((now + self.jitter()) * 1e9))
            cosine, sine = (reference.far(captured, BLOCK) for reference in both)
            assert cosine.dtype == np.float32
            assert len(cosine) == BLOCK
            out.append(cosine + 1j * sine)
        return np.concatenate(out)

    def lead_ms(self, far: np.ndarray) -> np.ndarray:
        """By how much each sample of the far end precedes its echo; NaN where it is silent or nothing sounds."""
        times = np.arange(len(far)) / RATE_HZ / (1 + self.mic_ppm * 1e-6)
        lead = np.full(len(far), np.nan)
        pace = PLAY_HZ * (1 + self.play_ppm * 1e-6)
        for start, end, position in self.truth:
            within = (times > start) & (times < end - self.margin_ms / 1000 - 0.001) & (np.abs(far) > 0.45)
            sounding = position + (times[within] - start) * pace
            place = np.angle(far[within]) / (2 * np.pi) * TURN
            ahead = place - (sounding % TURN)
            lead[within] = ((ahead + TURN / 2) % TURN - TURN / 2) / PLAY_HZ * 1000
        return lead


def steps(far: np.ndarray) -> np.ndarray:
    """Samples of the loudspeaker from each sample of an unbroken stretch to the next, over 100 ms."""
    angle = np.unwrap(np.angle(far))
    return (angle[1600:] - angle[:-1600]) / 1600 / (2 * np.pi) * TURN


def after(seconds: float) -> slice:
    return slice(int(seconds * RATE_HZ), None)


def test_the_far_end_precedes_its_echo_by_the_margin() -> None:
    machine = Machine()
    machine.run(1.0, 3.0)
    far = machine.far(5.0)
    lead = machine.lead_ms(far)
    assert np.isfinite(lead).sum() > 2.9 * RATE_HZ
    assert np.nanmax(np.abs(lead - MARGIN_MS)) < 0.05


def test_nothing_but_zeros_where_nothing_sounds() -> None:
    machine = Machine(jitter_ms=2.0)
    machine.run(1.0, 1.0)
    far = machine.far(4.0)
    assert not far[: int(0.97 * RATE_HZ)].any()
    assert not far[int(2.02 * RATE_HZ) :].any()


@pytest.mark.parametrize(
    ("ppm", "stamped"), [((0, 0), True), ((100, -100), True), ((-100, 0), True), ((0, 100), True), ((100, -100), False)]
)
def test_jitter_and_drift_never_make_it_jump(ppm: tuple[float, float], stamped: bool) -> None:
    machine = Machine(mic_ppm=ppm[0], play_ppm=ppm[1], jitter_ms=3.0, stamped=stamped)
    machine.run(2.0, 30.0)
    far = machine.far(31.0)
    inside = far[after(2.1)]
    due_ppm = (ppm[1] if stamped else 0) - ppm[0]
    off_ppm = (steps(inside) / 1.5 - 1) * 1e6
    assert min(0, due_ppm) - 40 < off_ppm.min()
    assert off_ppm.max() < max(0, due_ppm) + 40
    lead = machine.lead_ms(far)
    assert np.nanmax(np.abs(lead - MARGIN_MS)) < 10
    late = lead[after(18)]
    slope_ppm = np.polyfit(np.arange(len(late)) / RATE_HZ, late, 1)[0] * 1000
    assert abs(slope_ppm + (0 if stamped else ppm[1])) < 15


def test_an_underrun_shifts_what_follows() -> None:
    machine = Machine(jitter_ms=2.0)
    end = machine.run(1.0, 1.0)
    machine.run(2.030, 2.0, end)
    lead = machine.lead_ms(machine.far(4.0))
    assert np.nanmax(np.abs(lead - MARGIN_MS)) < 4
    assert np.isfinite(lead[after(2.05)]).sum() > 1.9 * RATE_HZ


def test_what_was_cut_does_not_come_and_what_is_announced_anew_does() -> None:
    machine = Machine()
    machine.run(1.0, 3.0, heard=1.0)
    machine.cut(PLAY_HZ, 2.0)
    far = machine.far(2.5)
    assert not far[after(2.02)].any()
    # the same sound again, from the sample that was being heard; playback goes on counting
    machine.run(2.004, 1.0, PLAY_HZ, counted=PLAY_HZ + 2400)
    lead = machine.lead_ms(machine.far(3.5))
    assert np.nanmax(np.abs(lead - MARGIN_MS)) < 0.1
    assert np.isfinite(lead[after(2.03)]).sum() > 0.9 * RATE_HZ


def test_a_playback_that_counts_from_zero_again_takes_the_place_of_the_dead_one() -> None:
    machine = Machine(jitter_ms=2.0)
    machine.run(1.0, 2.0, 100_000, heard=1.0)
    machine.sent = [entry for entry in machine.sent if entry[0] < 2.0]
    machine.run(2.02, 0.04, 0)
    machine.run(3.0, 1.0, 960)
    far = machine.far(4.2)
    assert far[int(2.01 * RATE_HZ) : int(2.03 * RATE_HZ)].any()
    assert not far[int(2.07 * RATE_HZ) : int(2.9 * RATE_HZ)].any()  # of the dead one 40 ms more were announced
    lead = machine.lead_ms(far)
    assert np.nanmax(np.abs(lead[after(2.9)] - MARGIN_MS)) < 4


def test_late_news_costs_only_what_had_sounded_already() -> None:
    machine = Machine(late_ms=60.0)
    machine.run(1.0, 2.0)
    far = machine.far(3.2)
    lead = machine.lead_ms(far)
    assert np.nanmax(np.abs(lead - MARGIN_MS)) < 0.1
    assert np.isfinite(lead).sum() > 1.85 * RATE_HZ


def test_a_microphone_that_lost_sound_is_followed_at_once_and_a_late_reader_is_not() -> None:
    reference = Reference()
    angle = 2 * np.pi * np.arange(4 * PLAY_HZ) / TURN
    reference.played(Played(0, MonoNs(START_NS)), np.rint(16000 * np.cos(angle)).astype("<i2").tobytes())

    def block(captured_ms: int) -> float:
        far = reference.far(MonoNs(START_NS + captured_ms * 1_000_000), BLOCK)
        return float(far[0])

    def due(captured_ms: int) -> float:
        return 16000 / 32768 * float(np.cos(2 * np.pi * (captured_ms - 20 + MARGIN_MS) / 100))

    for at in range(100, 1000, 20):
        assert block(at) == pytest.approx(due(at), abs=0.01)
    assert block(1000 + 35) == pytest.approx(due(1000), abs=0.01)  # held up
    for at in range(1020, 1100, 20):
        assert block(at) == pytest.approx(due(at), abs=0.01)
    for at in range(1135, 1235, 20):  # 35 ms of sound lost
        block(at)
    assert block(1235) == pytest.approx(due(1235), abs=0.01)


@pytest.mark.parametrize(("hz", "floor_db"), [(440, -60), (3000, -60), (6500, -55)])
def test_a_tone_stays_clean_where_the_clocks_differ(hz: int, floor_db: float) -> None:
    out = tone(hz)
    spectrum = np.abs(np.fft.rfft(out * np.blackman(len(out)))) ** 2
    peak = int(np.argmax(spectrum))
    assert peak == pytest.approx(hz * len(out) / RATE_HZ, abs=2)
    rest = spectrum.sum() - spectrum[peak - 8 : peak + 9].sum()
    assert 10 * np.log10(rest / spectrum.sum()) < floor_db


def test_what_the_microphones_rate_cannot_hold_is_left_out() -> None:
    assert np.max(np.abs(tone(10_000))) < 1e-3


def tone(hz: int) -> np.ndarray:
    """Two seconds of it at half of full scale, for a microphone that is 100 ppm fast."""
    reference = Reference()
    pcm = np.rint(16384 * np.sin(2 * np.pi * hz * np.arange(5 * PLAY_HZ) / PLAY_HZ)).astype("<i2").tobytes()
    reference.played(Played(0, MonoNs(START_NS)), pcm)
    blocks = [reference.far(MonoNs(START_NS + int(n * 20_000_000 / 1.0001)), BLOCK) for n in range(1, 200)]
    return np.concatenate(blocks[-100:])


def test_it_forgets_what_nobody_asks_for() -> None:
    reference = Reference()
    silence = bytes(2 * PIECE)
    for n in range(5000):
        reference.played(Played(n * PIECE, MonoNs(START_NS + n * 20_000_000)), silence)
    assert len(reference._tape) * 20 < 10_000
    reference.far(MonoNs(START_NS + 5000 * 20_000_000), BLOCK)
    assert len(reference._tape) < 10
