"""What the figures of the sound mean, and what to change: from what `sound` found to findings. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from voiced.config import Config
from voiced.doctor.finding import Finding, Verdict
from voiced.keys import KEYS

Found = Mapping[str, Any]

_OK, _WARNING, _FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED

#: Louder than this, speech across a room (-30 dBFS) drowns in it.
_LOUD_NOISE_DBFS = -45.0
_OFFSET_DBFS = -40.0
_CLIPPED_MS = 1.0
_UNSTEADY_MS = 3.0
_DRIFT_PPM = 300.0
#: Less echo than this is below the room's noise.
_WEAK_DB = 45.0
_LOUD_DB = 0.0
_LOUDER_DB = 6.0
#: What the canceller should take away after three seconds, where there is so much.
_ERLE_DB = 20.0
_POOR_ERLE_DB = 8.0
#: The same of the linear canceller alone, which listens for interruptions.
_LEARNT_DB = 6.0
#: A loudspeaker is not turned down further than this, in percent: what is softer is not understood.
_SOFTEST = 10
#: A buffer that ran dry is made longer by this.
_BUFFER_STEPS_MS = (60, 100, 150, 200, 300, 500)


def clocked(config: Config) -> bool:
    """Whether a device is a file or nothing at all: nothing to try, and a file must not be written over."""
    names = (config["audio.capture.device"], config["audio.playback.device"])
    return any(name == "null" or name.startswith("file:") for name in names)


def findings(found: Found, config: Config, *, volume: int, daemon: bool) -> Iterator[Finding]:
    """`found` as `voiced.doctor.sound` prints it, which played at that volume, in percent."""
    yield _device("loudspeaker", "audio.playback", found.get("loudspeaker", {}), found.get("outputs", []), config, daemon=daemon)
    yield _device("microphone", "audio.capture", found.get("microphone", {}), found.get("inputs", []), config, daemon=daemon)
    heard = found.get("heard")
    if "error" in found and heard is None and "microphone" in found and "error" not in found["microphone"]:
        yield Finding("sound", _FAILED, _sentence(found["error"]["message"]))
    if heard is None:
        return
    yield _hearing(heard)
    system = found.get("system_canceller", False)
    if system:
        yield _system_canceller(config)
    if "sweeps" not in heard:
        return
    yield _dropouts(heard, config)
    if system and config["audio.echo_cancellation"] == "auto":
        yield _left_over(heard)
    else:
        yield from _echo(heard, found.get("canceller"), config, volume)


def _device(name: str, keys: str, opened: Found, there_are: list[Found], config: Config, *, daemon: bool) -> Finding:
    error = opened.get("error")
    if error is None and opened:
        asked, got = config[f"{keys}.rate"], opened["rate"]
        converted = f"; it refuses {asked} Hz, so voiced converts" if got != asked else ""
        channels = "" if opened["channels"] == 1 else f", {opened['channels']} channels"
        known_as = f"{opened['device']} ({opened['endpoint']})" if opened.get("endpoint") else opened["device"]
        meaning = f"{known_as} opens at {got} Hz{channels}{converted}."
        return Finding(name, _OK, meaning, opened["latency_ms"], "ms", details={**opened, "rate_asked": asked})
    message = error["message"] if error else "it was not tried."
    remedy, settings = "", {}
    if error and error["code"] == "device_unknown" and any(row["default"] for row in there_are):
        settings = {f"{keys}.device": ""}
    elif error and error["code"] == "device_unavailable" and daemon:
        remedy = "Where no sound server shares devices, the running voiced holds it: try again after `voicectl shutdown`."
    elif error and not there_are:
        remedy = "Start PipeWire or PulseAudio, and install libasound2-plugins or pipewire-alsa, which lead to it."
    return Finding(name, _FAILED, _sentence(message), remedy=remedy, settings=settings, details={"code": error["code"]} if error else {})


def _hearing(heard: Found) -> Finding:
    noise = round(heard["noise_dbfs"], 1)
    details = {name: heard[name] for name in ("noise_dbfs", "offset_dbfs", "digital_silence")}
    remedy = ""
    if heard["digital_silence"]:
        verdict, meaning = _FAILED, "The microphone gives digital silence: no microphone is that quiet."
        remedy = (
            "Unmute it: a switch or key of the device, the sound settings of the desktop, or `pactl set-source-mute @DEFAULT_SOURCE@ 0`."
        )
    elif heard.get("clipped_ms", 0.0) > _CLIPPED_MS:
        verdict, meaning = _WARNING, f"The microphone clips ({heard['clipped_ms']:.0f} ms of the test): what clips can't be cancelled."
        remedy = "Lower the microphone's gain in the sound settings of the desktop, or the loudspeaker's volume."
    elif heard["offset_dbfs"] > max(_OFFSET_DBFS, noise):
        verdict, meaning = _WARNING, f"The microphone has a constant offset of {heard['offset_dbfs']:.0f} dBFS, louder than the room."
        remedy = "Try another input: this one has a fault, or a cable that is not quite in."
    elif noise > _LOUD_NOISE_DBFS:
        verdict, meaning = _WARNING, "The room is loud, or the microphone's gain too high: a voice from afar drowns in it."
        remedy = "Lower the microphone's gain, or come closer to it."
    else:
        verdict, meaning = _OK, "The microphone hears the room, and the room is quiet enough."
    return Finding("noise", verdict, meaning, noise, "dBFS", remedy, details=details)


def _dropouts(heard: Found, config: Config) -> Finding:
    under, over = heard["underruns"], heard["overruns"]
    details = {"underruns": under, "overruns": over}
    if not under and not over:
        return Finding("dropouts", _OK, "Nothing dropped out while both devices were at work.", 0, "", details=details)
    parts = [f"the loudspeaker ran dry {_times(under)}"] if under else []
    parts += [f"the microphone lost sound {_times(over)}"] if over else []
    buffer_ms = config["audio.playback.buffer_ms"]
    longer = next((step for step in _BUFFER_STEPS_MS if step > buffer_ms), None) if under else None
    remedy = "" if longer else "Run less beside it, or see `scheduling`."
    settings = {"audio.playback.buffer_ms": longer} if longer else {}
    return Finding("dropouts", _WARNING, _sentence(" and ".join(parts)), under + over, "", remedy, settings, details)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


# the echo ----------------------------------------------------------------------------------------------------------------


def _echo(heard: Found, canceller: Found | None, config: Config, volume: int) -> Iterator[Finding]:
    if heard["delay_ms"] is None:
        if heard["louder_db"] > _LOUDER_DB:
            meaning = "It gets louder while the loudspeaker plays, but no echo comes at a steady delay of less than 0.8 s."
            remedy = "Run it again where nothing else sounds; if it stays so, restart the sound server."
            yield Finding("echo", _WARNING, meaning, round(heard["louder_db"], 1), "dB", remedy, details=dict(heard))
        elif not heard["digital_silence"]:
            yield Finding("echo", _OK, "Nothing of the loudspeaker is heard: headphones, or it is turned off.")
        return
    yield _round_trip(heard)
    yield _return_loss(heard, config, volume)
    if canceller is not None and heard["echo_return_loss_db"] < _WEAK_DB:
        yield _cancelling(canceller, config)


def _system_canceller(config: Config) -> Finding:
    name, which = "canceller", "The sound server cancels the echo of this microphone"
    if config["audio.echo_cancellation"] == "on":
        meaning = f"{which}, and voiced's own works on what that leaves: two in a row disturb each other."
        return Finding(name, _WARNING, meaning, settings={"audio.echo_cancellation": "auto"})
    return Finding(name, _OK, f"{which}; voiced's own stands back.")


def _left_over(heard: Found) -> Finding:
    """What a canceller of the system's makes of the test is no echo any more, which would come steadily."""
    louder = heard["louder_db"]
    if louder > _LOUDER_DB:
        meaning = "So much louder it is while the loudspeaker plays: the sound server's canceller leaves some of the echo."
        remedy = "Record from the microphone itself (audio.capture.device), and leave the echo to voiced."
        return Finding("echo", _WARNING, meaning, round(louder, 1), "dB", remedy)
    return Finding("echo", _OK, "The sound server's canceller leaves nothing of it.", round(louder, 1), "dB")


def _round_trip(heard: Found) -> Finding:
    delay, spread, drift = heard["delay_ms"], heard["delay_spread_ms"], heard["drift_ppm"]
    details = {name: heard[name] for name in ("delay_ms", "delay_spread_ms", "drift_ppm", "tail_ms", "sweeps", "heard")}
    remedy = ""
    if heard["heard"] < heard["sweeps"] or spread > _UNSTEADY_MS:
        verdict = _WARNING
        meaning = (
            f"The delay from loudspeaker to microphone is not steady ({heard['heard']} of {heard['sweeps']} sweeps, {spread:.1f} ms apart)."
        )
        remedy = "Run it again where nothing else sounds; with Bluetooth or a busy machine, expect more of the echo to be heard."
    elif drift is not None and abs(drift) > _DRIFT_PPM:
        verdict, meaning = _WARNING, f"The clocks of loudspeaker and microphone drift by {drift:.0f} ppm: more than two good ones do."
        remedy = "Use the loudspeaker and the microphone of one device."
    else:
        clocks = "" if drift is None else f", the clocks {abs(drift):.0f} ppm apart"
        verdict, meaning = _OK, f"Sound takes this long from playback to capture; steady within {spread:.1f} ms{clocks}."
    return Finding("round trip", verdict, meaning, round(delay, 1), "ms", remedy, details=details)


def _return_loss(heard: Found, config: Config, volume: int) -> Finding:
    loss, tail = heard["echo_return_loss_db"], heard["tail_ms"]
    details = {"echo_return_loss_db": loss, "tail_ms": tail}
    verdict, remedy, settings = _OK, "", dict[str, Any]()
    if loss >= _WEAK_DB:
        meaning = "Hardly anything of the loudspeaker comes back: headphones, or a loudspeaker far away."
    elif config["audio.echo_cancellation"] == "off":
        verdict, meaning = _WARNING, "The microphone hears the loudspeaker, and echo cancellation is off: voiced would interrupt itself."
        settings = {"audio.echo_cancellation": "auto"}
    elif loss < _LOUD_DB:
        verdict, meaning = _WARNING, "The echo is louder in the microphone than what is played: your voice has to be as loud."
        remedy = "Lower the loudspeaker or the microphone's gain, or put them further apart."
        lower = max(_SOFTEST, int(round(volume * 10 ** (loss / 20), -1)))
        settings = {"audio.playback.volume": lower} if lower < min(volume, config["audio.playback.volume"]) else {}
    else:
        meaning = f"So much weaker the loudspeaker comes back; the room's tail is {tail:.0f} ms."
    return Finding("echo", verdict, meaning, round(loss, 1), "dB", remedy, settings, details)


def _cancelling(canceller: Found, config: Config) -> Finding:
    if "complaint" in canceller:
        remedy = "Install voiced again, with its libraries; or set audio.echo_cancellation to off and use headphones."
        return Finding("canceller", _FAILED, f"The canceller can't be run: {canceller['complaint']}.", remedy=remedy)
    erle, learnt, most = canceller["erle_db"], canceller["linear_erle_db"], canceller["echo_to_noise_db"]
    details = dict(canceller)
    verdict, remedy, settings = _OK, "", {}
    if erle < min(_POOR_ERLE_DB, most - 6):
        verdict, meaning = _FAILED, "The canceller does not learn this echo: on loudspeakers, voiced would hear itself."
        remedy = "Use headphones, or turn off effects of loudspeaker and microphone (equaliser, 3D, automatic gain)."
        settings = {"barge_in.mode": "server"} if config["barge_in.mode"] == "local" else {}
    elif canceller["interruptions"]:
        verdict = _WARNING
        meaning = f"The canceller took its own echo for your voice {_times(canceller['interruptions'])}: voiced would interrupt itself."
        higher = round(min(KEYS["barge_in.threshold"].most or 1.0, config["barge_in.threshold"] + 0.2), 2)
        settings = {"barge_in.threshold": higher} if higher > config["barge_in.threshold"] else {}
    elif learnt is None or learnt < min(_LEARNT_DB, most - 6):
        # What suppresses keeps an echo from the server that it does not understand, and you with it.
        verdict = _WARNING
        meaning = "The server is spared the echo, but voiced has not learnt it: while it speaks, it hears you only if you are louder."
        remedy = "Turn off effects of loudspeaker and microphone (equaliser, 3D, automatic gain), or lower the loudspeaker."
    elif erle < min(_ERLE_DB, most - 3):
        verdict, meaning = _WARNING, "The canceller takes away some of the echo, less than it should after three seconds."
        remedy = "Lower the loudspeaker: one at its limits distorts, and distortion can't be cancelled."
    else:
        meaning = "The canceller has learnt this room within three seconds: so much of the echo it takes away."
    return Finding("canceller", verdict, meaning, round(erle, 1), "dB", remedy, settings, details)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
