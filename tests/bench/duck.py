"""Lowered and raised again, and how cuts sound: the playback process alone, driven as capture and network drive it."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np

from tests.bench import sounds
from tests.bench.options import Options
from tests.bench.rooms.voices import RATE_HZ as VOICE_RATE_HZ
from tests.bench.rooms.voices import Speaker, say
from tests.bench.sounds import Samples
from tests.bench.stage import progress
from tests.bench.table import Figure
from tests.system.family import Family
from tests.system.playing import Playing
from voiced.audio.resample import Resampler
from voiced.demo.recorder import RATE_HZ
from voiced.demo.soundserver import PipeWireServer, PulseServer, SoundServer

_TIMEOUT_S = 5.0
_QUIET_MS = 150.0
_REPLY_S = 2.5
#: The sound server's blocks and the recorder's come in step; an order comes at any moment of one.
_PHASE_S = 0.043
#: Of the noise (sounds.noise), which at -18 dB reaches no further than 1133.
_LOUD = 3000
_EXCERPT = RATE_HZ // 50
#: Around a cut, in samples: long enough for what the ear takes for one click.
_BEFORE, _AFTER = RATE_HZ * 5 // 1000, RATE_HZ // 100
_CLICK_HZ = 4000
#: Of a voice at -20 dBFS, what is no pause and no end of a word.
_VOICED = 1500
_VOICE = Speaker("flite", "slt")
_WORDS = "The weather tomorrow will be mild, with a few clouds in the morning. Would you like to hear about the rest of the week as well?"


class Duck(NamedTuple):
    """One reply that was lowered, raised again and cut off."""

    lowered_ms: float  # from the order, at the loudspeaker
    lost_ms: float  # of the reply, when the device was emptied; negative: doubled
    resumed_off: float  # samples that were lost or doubled on the way back to full volume
    claim_error_ms: float  # what it said was heard minus what left the sink


def duck(options: Options) -> Iterator[Figure]:
    """The loudspeaker's half of duck, confirm, resume, and the click of a cut."""
    pulse = _ducks("PulseAudio", PulseServer, options.samples)
    low = _ducks("PipeWire, quantum 5.3 ms", partial(PipeWireServer, quantum=256), options.baseline_samples)
    wide = _ducks("PipeWire, quantum 21.3 ms", PipeWireServer, options.baseline_samples)
    clicks = _clicks(2 * options.samples)
    at_once = {"at once": [click for _, click in clicks]}
    yield Figure("duck ordered → lowered at the loudspeaker", "ms", [each.lowered_ms for each in pulse], None, 20)
    yield Figure("  PipeWire, quantum 5.3 ms", "ms", [each.lowered_ms for each in low])
    yield Figure("  PipeWire, quantum 21.3 ms", "ms", [each.lowered_ms for each in wide])
    yield Figure("  lost or doubled of the reply then", "ms", [abs(each.lost_ms) for each in pulse], 1, None)
    yield Figure("  PipeWire, quantum 21.3 ms", "ms", [abs(each.lost_ms) for each in wide])
    yield Figure("  lost or doubled when raised again", "samples", [abs(each.resumed_off) for each in pulse], 0, 0)
    yield Figure("heard, after ducks, against what left the sink", "ms", [abs(each.claim_error_ms) for each in pulse], 1, 5)
    yield Figure("click of a cut, above 4 kHz, against the uncut", "dB", [waited for waited, _ in clicks], baseline=at_once)


def _ducks(what: str, sound: Callable[[], SoundServer], n: int) -> list[Duck]:
    progress(f"{what}: {n} ducks")
    with ExitStack() as leaving:
        on = _playing(leaving, sound)
        return [_duck(on, number) for number in range(n)]


def _playing(leaving: ExitStack, sound: Callable[[], SoundServer], **settings: Any) -> Playing:
    server = leaving.enter_context(sound())
    speaker = leaving.enter_context(server.recorder())
    return Playing(leaving.enter_context(Family(server.env)), server, speaker, **settings)


def _duck(on: Playing, number: int) -> Duck:
    source = sounds.noise(_REPLY_S, seed=number + 1)
    first = _begin(on, number, source)
    _, ordered_ns = on.duck()
    on.listen(300)
    _, raised_ns = on.duck(lowered=False)
    on.listen(500)
    flushed, _ = on.flush(2 * number + 3)
    last = on.speaker.wait_for_silence(_QUIET_MS, _TIMEOUT_S, since=first)
    heard, played = sounds.as_samples(on.speaker.sound(first, last + 1)), sounds.as_samples(source)
    raised = on.speaker.sample_at(raised_ns) - first
    cut = int(np.flatnonzero(np.abs(heard[:raised]) > _LOUD)[-1])
    before, low, after = (_offset(heard, at, played) for at in (cut - 2 * _EXCERPT, raised - _EXCERPT, len(heard) - 2 * _EXCERPT))
    return Duck(
        (on.speaker.time_ns(first + cut + 1) - ordered_ns) / 1e6,
        (low - before + _gap(heard[cut : raised - _EXCERPT])) * 1000 / RATE_HZ,
        after - low,
        flushed.heard[0].played_ms - (after + len(heard)) * 1000 / RATE_HZ,
    )


def _begin(on: Playing, number: int, pcm: bytes) -> int:
    """Returns the first sample of the recording that sounds, some time into it."""
    chance = random.Random(number)
    since = on.say_this(2 * number + 2, f"item{number}", pcm)
    first = on.speaker.wait_for_sound(since, _TIMEOUT_S)
    on.listen(chance.uniform(300, 900), first)
    time.sleep(chance.uniform(0, _PHASE_S))
    return first


def _offset(heard: Samples, at: int, source: Samples) -> int:
    """Where in `source` the recording's sample `at` is from, minus `at`."""
    excerpt = heard[at : at + _EXCERPT]
    energy = np.convolve(source**2, np.ones(_EXCERPT), "valid")
    likeness = np.correlate(source, excerpt, "valid") / np.sqrt(energy + 1)
    return int(likeness.argmax()) - at


def _gap(heard: Samples) -> int:
    """The longest silence in it, in samples."""
    return int(np.diff(np.flatnonzero(heard)).max()) - 1


def _clicks(n: int) -> list[tuple[float, float]]:
    progress(f"PulseAudio: {n} cuts of a voice")
    voice = Resampler(VOICE_RATE_HZ, RATE_HZ).process(np.round(say(_VOICE, _WORDS) * 32767).astype(np.int16))
    source = (voice | 1).astype("<i2").tobytes()
    with ExitStack() as leaving:
        on = _playing(leaving, PulseServer)
        clicks = (_click(on, number, source) for number in count())
        return list(islice((click for click in clicks if click is not None), n))


def _click(on: Playing, number: int, source: bytes) -> tuple[float, float] | None:
    """What sounds above 4 kHz around the cut, against the same stretch of the voice uncut; and what would, had it been cut when
    that was ordered. None where the voice paused."""
    first = _begin(on, number, source)
    _, ordered_ns = on.flush(2 * number + 3)
    last = on.speaker.wait_for_silence(_QUIET_MS, _TIMEOUT_S, since=first)
    heard, voice = sounds.as_samples(on.speaker.sound(first, last + 1)), sounds.as_samples(source)
    place = _offset(heard, len(heard) - 2 * _EXCERPT, voice) + len(heard)
    ordered = place - (last + 1 - on.speaker.sample_at(ordered_ns))
    if min(_level(voice, at) for at in (place, ordered)) < _VOICED:
        return None
    return _click_db(heard[-_BEFORE:], voice, place), _click_db(voice[ordered - _BEFORE : ordered], voice, ordered)


def _level(voice: Samples, at: int) -> float:
    return float(np.sqrt(np.mean(voice[at - _BEFORE : at + _AFTER] ** 2)))


def _click_db(heard: Samples, voice: Samples, place: int) -> float:
    return _high_db(np.concatenate((heard, np.zeros(_AFTER)))) - _high_db(voice[place - _BEFORE : place + _AFTER])


def _high_db(excerpt: Samples) -> float:
    spectrum = np.fft.rfft(excerpt * np.hanning(len(excerpt)))
    high = np.fft.rfftfreq(len(excerpt), 1 / RATE_HZ) >= _CLICK_HZ
    return float(10 * np.log10(np.sum(np.abs(spectrum[high]) ** 2) + 1))
