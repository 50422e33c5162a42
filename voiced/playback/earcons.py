"""Short sounds of our own: that it listens, that the microphone is muted, that something went wrong. Pure.

Two soft tones each, one after the other: up for listening, down for muted, twice the same low one for an error. A tone is a sine
with its octave at a tenth, in a Hann window, so that it neither clicks nor rings.
"""

from array import array
from math import cos, pi, sin

from voiced.messages import SAMPLE_RATE_HZ

_TONE_MS = 70
#: -26 dBFS at the loudest: well below a voice.
_PEAK = 1640
_OCTAVE = 0.1
#: Hz, first and second tone: a fourth up and down around A4 and D5, and a low E twice.
EARCONS = {"listening": (440.0, 587.33), "muted": (587.33, 440.0), "error": (164.81, 164.81)}


def sound(name: str) -> bytes:
    """s16le, mono, 24 kHz, of 140 ms."""
    return b"".join(map(_tone, EARCONS[name]))


def _tone(hz: float) -> bytes:
    frames = _TONE_MS * SAMPLE_RATE_HZ // 1000
    turn = 2 * pi * hz / SAMPLE_RATE_HZ
    window = (0.5 - 0.5 * cos(2 * pi * at / frames) for at in range(frames))
    wave = ((sin(turn * at) + _OCTAVE * sin(2 * turn * at)) / (1 + _OCTAVE) for at in range(frames))
    return array("h", [round(_PEAK * level * value) for level, value in zip(window, wave, strict=True)]).tobytes()
