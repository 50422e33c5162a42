"""`python -m voiced.doctor.sound`: a process that tries the devices, since a sound system that hangs or breaks takes with it
whoever asks it. Reads what to try as JSON from standard input, prints what it found as a line of JSON.

In: null for no devices, or `capture` and `playback`, each as the settings have it, `frame_ms`, `threshold` (barge_in's), and
`silent`: play nothing.
Out: `urgency`; `inputs` and `outputs`, the devices there are; `microphone` and `loudspeaker`, each opened (`device`, `rate`,
`channels`, `latency_ms`) or its `error` (`code`, `message`); `heard` (programme.judged, or .listened where nothing was played);
`canceller` (cancelling.tried); `error`, where devices were lost on the way.
"""

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

from voiced.audio.device import InputDevice, OutputDevice, Wanted
from voiced.audio.opening import Close, devices, open_input, open_output
from voiced.doctor import duplex, programme
from voiced.doctor.programme import Duplex, Programme
from voiced.errors import VoicedError
from voiced.urgency import Urgency, claim

_LISTEN_S = 1.0
D = TypeVar("D", InputDevice, OutputDevice)


def main() -> int:
    wanted = json.load(sys.stdin)
    found: dict[str, Any] = {"urgency": claim(Urgency.SOUND)}
    if wanted is not None:
        with ExitStack() as leaving:
            found |= tried(wanted, leaving)
    print(json.dumps(found), flush=True)
    return 0


def tried(wanted: dict[str, Any], leaving: ExitStack) -> dict[str, Any]:
    """Devices as the daemon opens them (capture/__main__.py, playback/__main__.py); `leaving` closes them."""
    capture, playback = wanted["capture"], wanted["playback"]
    input_frames = wanted["frame_ms"] * capture["rate"] // 1000
    output_frames = playback["buffer_ms"] * playback["rate"] // 1000
    found = _listed()
    microphone, found["microphone"] = _opened(
        lambda: open_input(Wanted(capture["device"], capture["rate"], capture["channels"], input_frames)), wanted["frame_ms"], leaving
    )
    loudspeaker, found["loudspeaker"] = _opened(
        lambda: open_output(Wanted(playback["device"], playback["rate"], playback["channels"], output_frames)),
        playback["buffer_ms"],
        leaving,
    )
    try:
        if microphone is not None and (wanted["silent"] or loudspeaker is None):
            found["heard"] = programme.listened(duplex.listen(microphone, _LISTEN_S))
        elif microphone is not None and loudspeaker is not None:
            found |= _played(loudspeaker, microphone, playback["volume"], wanted["threshold"])
    except VoicedError as error:
        found |= _error(error)
    return found


def _opened(open: Callable[[], tuple[D, Close]], latency_ms: int, leaving: ExitStack) -> tuple[D | None, dict[str, Any]]:
    try:
        device, close = open()
    except VoicedError as error:
        return None, _error(error)
    leaving.callback(close)
    return device, {"device": device.name, "rate": device.format.rate, "channels": device.format.channels, "latency_ms": latency_ms}


def _played(loudspeaker: OutputDevice, microphone: InputDevice, volume: int, threshold: float) -> dict[str, Any]:
    test = programme.programme(volume / 100)
    recording = duplex.play(test.sound, loudspeaker, microphone)
    heard = programme.judged(test, recording)
    return {"heard": heard, "canceller": _cancelled(test, recording, heard, threshold)}


def _cancelled(test: Programme, recording: Duplex, heard: dict[str, Any], threshold: float) -> dict[str, Any] | None:
    try:
        from voiced.doctor import cancelling  # here and not above: libraries with parts in C, which may be missing

        return cancelling.tried(test, recording, heard, threshold)
    except (ImportError, OSError) as error:
        return {"complaint": str(error)}


def _listed() -> dict[str, Any]:
    try:
        inputs, outputs = devices()
    except VoicedError as error:
        return {"inputs": [], "outputs": [], **_error(error)}
    return {"inputs": [row._asdict() for row in inputs], "outputs": [row._asdict() for row in outputs]}


def _error(error: VoicedError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": error.message}}


if __name__ == "__main__":
    sys.exit(main())
