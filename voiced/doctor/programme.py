"""The test sound as a whole, and what its recording tells. Pure, with numpy.

Silence; a sweep; noise like speech, for the canceller to learn by; two more sweeps. The first and the last are far enough apart to
show how far the clocks of loudspeaker and microphone drift.
"""

from typing import Any, NamedTuple

import numpy as np

from voiced.doctor import acoustics
from voiced.doctor.acoustics import Echo, Samples

RATE = 24_000
_LEAD_S, _SWEEP_S, _NOISE_S = 0.6, 0.7, 3.0
#: After each sweep: as late as this an echo may be.
_AFTER_S = 0.8
_SAME_PLACE_MS = 30.0
#: Each of the two sounds, RMS: as loud as a quiet voice on most loudspeakers.
_LEVEL_DBFS = -20.0


class Part(NamedTuple):
    first: int
    end: int


class Programme(NamedTuple):
    sound: Samples
    silence: Part
    sweeps: tuple[Part, ...]  # without what follows them
    noise: Part


class Duplex(NamedTuple):
    """What was recorded while the programme was played: both begin at the same moment, by the clocks of the devices."""

    recorded: Samples
    underruns: int  # of the loudspeaker
    overruns: int  # of the microphone


def programme(volume: float) -> Programme:
    """`volume` is the part of it that playback makes of any sound."""
    chirp = _at_level(acoustics.sweep(RATE, _SWEEP_S))
    noise = _at_level(acoustics.speech_like(RATE, _NOISE_S))
    after = np.zeros(round(_AFTER_S * RATE), np.float32)
    pieces = [np.zeros(round(_LEAD_S * RATE), np.float32), chirp, after, noise, after, chirp, after, chirp, after]
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    parts = [Part(end - len(piece), end) for piece, end in zip(pieces, ends, strict=True)]
    sound = np.asarray(np.clip(np.concatenate(pieces) * volume, -1, 1), np.float32)
    return Programme(sound, parts[0], (parts[1], parts[5], parts[7]), parts[3])


def _at_level(sound: Samples) -> Samples:
    wanted = 10 ** (_LEVEL_DBFS / 20) / np.sqrt(np.mean(sound**2))
    return np.asarray(sound * wanted, np.float32)


def listened(recorded: Samples) -> dict[str, Any]:
    """What a recording of nothing in particular tells of the microphone."""
    return acoustics.levels(recorded)._asdict()


def judged(played: Programme, heard: Duplex) -> dict[str, Any]:
    """The figures of the recording; units in their names."""
    after = round(_AFTER_S * RATE)
    windows = [(played.sound[first:end], heard.recorded[first : end + after]) for first, end in played.sweeps]
    whole = [window for window in windows if len(window[1]) == len(window[0]) + after]
    echoes = _of_one_place([found for sweep, sound in whole if (found := acoustics.echo(sweep, sound, RATE)) is not None])
    delays = [found.delay_ms for found in echoes]
    in_step = len(echoes) == len(played.sweeps) and not heard.underruns and not heard.overruns
    return {
        **listened(heard.recorded[: played.silence.end]),
        "digital_silence": not heard.recorded.any(),
        "underruns": heard.underruns,
        "overruns": heard.overruns,
        "clipped_ms": acoustics.clipped_ms(heard.recorded, RATE),
        "louder_db": acoustics.dbfs(heard.recorded[played.silence.end :]) - acoustics.dbfs(heard.recorded[: played.silence.end]),
        "sweeps": len(played.sweeps),
        "heard": len(echoes),
        "delay_ms": acoustics.median(delays) if delays else None,
        "delay_spread_ms": acoustics.spread(delays) if delays else None,
        "echo_return_loss_db": acoustics.median([found.return_loss_db for found in echoes]) if echoes else None,
        "tail_ms": acoustics.median([found.tail_ms for found in echoes]) if echoes else None,
        "drift_ppm": _drift_ppm(played, whole) if in_step else None,
    }


def _of_one_place(echoes: list[Echo]) -> list[Echo]:
    """Those that came after about the same time; what else was taken for an echo is another sound. None where most are that."""
    middle = acoustics.median([echo.delay_ms for echo in echoes]) if echoes else 0.0
    near = [echo for echo in echoes if abs(echo.delay_ms - middle) <= _SAME_PLACE_MS]
    return near if len(near) > 1 else []


def _drift_ppm(played: Programme, windows: list[tuple[Samples, Samples]]) -> float:
    first, *_, last = (acoustics.response(sweep, sound) for sweep, sound in windows)
    return acoustics.drift_ppm(first, last, played.sweeps[-1].first - played.sweeps[0].first)
