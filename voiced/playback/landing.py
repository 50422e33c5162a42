"""Where to cut a voice so that it does not click. Pure.

A cut is a step, and clicks by how large it is. Speech is loud and quiet within each period of its pitch (3-10 ms), and we know
what is sounding to half a millisecond: so the cut waits for the quietest millisecond of the next few. That costs up to 3 ms of every
interruption (`audio.playback.landing_ms`; 1.7 in the median), and comes out of what speech_started -> silence is promised in.

What sounds in the 15 ms around a cut against the uncut voice, at PulseAudio's null sink, 70 places (median, one in ten above), dB:

                                                          below 300 Hz   above 1 kHz   above 4 kHz
    at once                                                   -9.8        -1.5, 14       3.8, 16
    at once, then 5 ms of fade from the sample that was cut   -5.3         5.2, 19       8.7, 20
      the same, itself faded in over 1 ms                     -5.8         0.8, 19       5.0, 17
    at the quietest millisecond of the next 3 (wait: 1.7 ms)  -9.7        -6.2, 14      -1.5, 13
      and 5 ms of fade after it, faded in                     -5.1        -1.4, 16       0.0, 15

A fade that follows a cut begins after the gap that a device leaves between abort and start (0.3-1.1 ms there, 21 on PipeWire),
and so is a second click: it is left out. An uninterrupted fade of 5 ms, which no device can do, would leave -3.9 of each.
"""

from array import array
from itertools import accumulate
from operator import mul

from voiced.messages import SAMPLE_RATE_HZ

_FRAMES_PER_MS = SAMPLE_RATE_HZ // 1000
#: As quiet as this it must be for so long: what is cut is known no better (PulseAudio cuts in whole milliseconds).
_QUIET = _FRAMES_PER_MS
#: From the call of an abort to the cut (PulseAudio: 0.3 ms for the call, 0.3 in the sink).
_TAKES = 15
_NS_PER_FRAME = 1_000_000_000 / SAMPLE_RATE_HZ


def wait_ns(ahead: bytes, within_ms: int) -> int:
    """How long to wait before an abort, at most `within_ms`. `ahead` is the sound that is being heard, from now on."""
    samples = array("h", ahead[: 2 * (_TAKES + within_ms * _FRAMES_PER_MS + _QUIET // 2)])
    loud = [0, *accumulate(map(mul, samples, samples))]
    first, last = _TAKES, len(samples) - _QUIET // 2
    if not within_ms or last <= first:
        return 0
    quietest = min(range(first, last + 1), key=lambda at: loud[at + _QUIET // 2] - loud[at - _QUIET // 2])
    return round((quietest - first) * _NS_PER_FRAME)
