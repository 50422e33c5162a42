"""`python -m voiced.doctor.sound`: a process that tries the devices, since a sound system that hangs or breaks takes with it
whoever asks it. Reads what to try as JSON from standard input, prints what it found as a line of JSON.

In: null for no devices, or `capture` and `playback`, each as the settings have it, `frame_ms`, `threshold` (barge_in's), and
`silent`: play nothing.
Out: `urgency`; `inputs` and `outputs`, the devices there are; `microphone` and `loudspeaker`, each opened (`device`, `rate`,
`channels`, `latency_ms`, `endpoint`: the sound server's name for it) or its `error` (`code`, `message`); `heard` (programme.judged,
or .listened where nothing was played); `canceller` (cancelling.tried); `system_canceller`, whether the sound server has one at work;
`error`, where devices were lost on the way; `bug`, where we broke.
"""

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Generic, TypeVar

from voiced.audio.device import InputDevice, OutputDevice, Wanted
from voiced.audio.opening import Close, devices, open_input, open_output
from voiced.audio.presence.waiting import open_wanted
from voiced.audio.presence.watch import Presence
from voiced.audio.presence.wire import SINKS, SOURCES, Facility
from voiced.doctor import duplex, programme
from voiced.doctor.programme import Duplex, Programme
from voiced.errors import VoicedError
from voiced.urgency import Urgency, claim

_LISTEN_S = 1.0
#: How long the sound server may take to tell what it has.
_TELLS_WITHIN_S = 1.0
D = TypeVar("D", InputDevice, OutputDevice)


def main() -> int:
    wanted = json.load(sys.stdin)
    found: dict[str, Any] = {"urgency": claim(Urgency.SOUND)}
    try:
        if wanted is not None:
            with ExitStack() as leaving:
                found |= tried(wanted, leaving)
    except Exception as error:  # the last fence: PortAudio has taken standard error from us
        found |= {"bug": f"{type(error).__name__}: {error}"}
    print(json.dumps(found), flush=True)
    return 0


def tried(wanted: dict[str, Any], leaving: ExitStack) -> dict[str, Any]:
    """Devices as the daemon opens them (capture/__main__.py, playback/__main__.py); `leaving` closes them."""
    frame_ms, buffer_ms = wanted["frame_ms"], wanted["playback"]["buffer_ms"]
    found = _listed()
    sources = _Side(SOURCES, wanted["capture"], frame_ms, open_input, leaving)
    sinks = _Side(SINKS, wanted["playback"], buffer_ms, open_output, leaving)
    found |= {"microphone": sources.facts, "loudspeaker": sinks.facts}
    microphone, loudspeaker = sources.device, sinks.device
    try:
        if microphone is not None and (wanted["silent"] or loudspeaker is None):
            found["heard"] = programme.listened(duplex.listen(microphone, _LISTEN_S))
        elif microphone is not None and loudspeaker is not None:
            found |= _played(loudspeaker, microphone, wanted["playback"]["volume"], wanted["threshold"])
        found["system_canceller"] = microphone is not None and sources.presence.reckon_with_canceller()
    except VoicedError as error:
        found |= _error(error)
    return found


class _Side(Generic[D]):
    """One direction: what the sound server has there, and the device, None where it can't be opened."""

    def __init__(
        self, facility: Facility, keys: dict[str, Any], latency_ms: int, open: Callable[[Wanted, str], tuple[D, Close]], leaving: ExitStack
    ) -> None:
        wanted = Wanted(keys["device"], keys["rate"], keys["channels"], latency_ms * keys["rate"] // 1000)
        self.presence = Presence(facility, wanted, lambda level, text: None)
        leaving.callback(self.presence.close)
        self.device: D | None = None
        try:
            device, close = open_wanted(self.presence, wanted, open, patient=False)
        except VoicedError as error:
            self.facts = _error(error)
            return
        leaving.callback(close)
        self.device = device
        rate, channels = device.format
        self.presence.await_scene(_TELLS_WITHIN_S)
        shown = self.presence.facts()["endpoint"]
        self.facts = {"device": device.name, "endpoint": shown, "rate": rate, "channels": channels, "latency_ms": latency_ms}


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
