"""`python -m voiced.doctor.sound`: a process that tries the devices, since a sound system that hangs or breaks takes with it
whoever asks it. Reads what to try as JSON from standard input, prints what it found as a line of JSON.

In: `capture` and `playback`, each as the settings have it, `frame_ms`, `silent`: play nothing.
Out: `urgency`; `inputs` and `outputs`, the devices there are; `microphone` and `loudspeaker`, each opened (`device`, `rate`,
`channels`, `latency_ms`) or its `error` (`code`, `message`); `heard` (programme.judged, or .listened where nothing was played);
`canceller` (cancelling.tried); `error`, where devices were lost on the way.
"""

import json
import sys
from contextlib import ExitStack
from typing import Any

from voiced.audio.device import Wanted
from voiced.audio.opening import devices, open_input, open_output
from voiced.doctor import cancelling, duplex, programme
from voiced.errors import VoicedError
from voiced.urgency import Urgency, claim

_LISTEN_S = 1.0


def main() -> int:
    found = tried(json.load(sys.stdin))
    print(json.dumps(found), flush=True)
    return 0


def tried(wanted: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"urgency": claim(Urgency.SOUND)}
    with ExitStack() as leaving:
        found |= _listed()
        capture, playback = wanted["capture"], wanted["playback"]
        microphone = loudspeaker = None
        # As the daemon opens them (capture/__main__.py, playback/__main__.py).
        try:
            frames = wanted["frame_ms"] * capture["rate"] // 1000
            microphone, close = open_input(Wanted(capture["device"], capture["rate"], capture["channels"], frames))
            leaving.callback(close)
            found["microphone"] = _facts(microphone, wanted["frame_ms"])
        except VoicedError as error:
            found["microphone"] = _error(error)
        try:
            frames = playback["buffer_ms"] * playback["rate"] // 1000
            loudspeaker, close = open_output(Wanted(playback["device"], playback["rate"], playback["channels"], frames))
            leaving.callback(close)
            found["loudspeaker"] = _facts(loudspeaker, round(loudspeaker.buffer_frames * 1000 / loudspeaker.format.rate))
        except VoicedError as error:
            found["loudspeaker"] = _error(error)
        try:
            if microphone is not None and (wanted["silent"] or loudspeaker is None):
                found["heard"] = programme.listened(duplex.listen(microphone, _LISTEN_S))
            elif microphone is not None and loudspeaker is not None:
                test = programme.programme(playback["volume"] / 100)
                recording = duplex.play(test.sound, loudspeaker, microphone)
                found["heard"] = programme.judged(test, recording)
                found["canceller"] = cancelling.tried(test, recording, found["heard"])
        except VoicedError as error:
            found |= _error(error)
    return found


def _listed() -> dict[str, Any]:
    try:
        inputs, outputs = devices()
    except VoicedError as error:
        return {"inputs": [], "outputs": [], **_error(error)}
    return {"inputs": [row._asdict() for row in inputs], "outputs": [row._asdict() for row in outputs]}


def _facts(device: Any, latency_ms: int) -> dict[str, Any]:
    return {"device": device.name, "rate": device.format.rate, "channels": device.format.channels, "latency_ms": latency_ms}


def _error(error: VoicedError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": error.message}}


if __name__ == "__main__":
    sys.exit(main())
