"""Where to cut a voice so that it does not click. Pure.

A cut is a step, and clicks by how large it is. Speech is loud and quiet within each period of its pitch (3-10 ms), and we know
what is sounding to half a millisecond: so the cut waits for the quietest millisecond of the next few. On 400 cuts of a voice, what
is above 4 kHz in the 15 ms around the cut, against the uncut voice: +3.9 dB (one in ten over +21) if cut at once, -3.2 (+12) with
3 ms to choose from, at a cost of 1.7 ms; -3.9 dB is what a perfect fade of 5 ms leaves.

The fade itself can only follow the cut, over the gap that a device leaves between abort and start (0.3-1.1 ms on PulseAudio): at
full level from the very sample that was cut it is a second click, 5 dB worse than none, and faded in it changes nothing above 1 kHz.
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
