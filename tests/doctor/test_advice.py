"""From figures to verdicts, and to the settings that mend them."""

from pathlib import Path
from typing import Any

import pytest

from voiced.checks import complaint
from voiced.config import Config, load
from voiced.doctor import advice, fixing
from voiced.doctor.finding import Finding, Verdict, overall, recommended
from voiced.keys import KEYS

DEVICE = {"device": "default", "rate": 24_000, "channels": 1, "latency_ms": 100}
ROW = {"number": 0, "name": "Jabra", "host_api": "ALSA", "channels": 2, "rate": 48_000, "default": True}
HEARD = {
    "noise_dbfs": -60.0,
    "offset_dbfs": -96.0,
    "digital_silence": False,
    "underruns": 0,
    "overruns": 0,
    "clipped_ms": 0.0,
    "louder_db": 20.0,
    "sweeps": 3,
    "heard": 3,
    "delay_ms": 60.0,
    "delay_spread_ms": 0.2,
    "echo_return_loss_db": 12.0,
    "tail_ms": 80.0,
    "drift_ppm": 12.0,
}
CANCELLER = {"erle_db": 35.0, "linear_erle_db": 20.0, "echo_to_noise_db": 40.0, "interruptions": 0}
NO_ECHO = {"heard": 0, "delay_ms": None, "delay_spread_ms": None, "echo_return_loss_db": None, "tail_ms": None, "drift_ppm": None}


def judged(
    heard: dict[str, Any] | None = None,
    canceller: dict[str, Any] | None = None,
    *,
    daemon: bool = False,
    volume: int = 100,
    settings: Any = (),
    **found: Any,
) -> dict[str, Finding]:
    """The findings by name; what is not said is as in a good room."""
    whole = {
        "inputs": [ROW],
        "outputs": [ROW],
        "microphone": DEVICE,
        "loudspeaker": DEVICE,
        "heard": HEARD | (heard or {}),
        "canceller": CANCELLER | (canceller or {}),
    }
    found_out = list(advice.findings(whole | found, Config(dict(settings), ""), volume=volume, daemon=daemon))
    for name, value in recommended(found_out).items():
        assert type(value) is KEYS[name].type
        assert complaint(KEYS[name], value, name) is None
    return {finding.name: finding for finding in found_out}


def test_all_is_well_in_a_good_room() -> None:
    found = judged()
    assert list(found) == ["loudspeaker", "microphone", "noise", "dropouts", "round trip", "echo", "canceller"]
    assert overall(found.values()) is Verdict.OK
    assert recommended(found.values()) == {}
    assert (found["round trip"].figure, found["echo"].figure, found["canceller"].figure) == (60, 12, 35)


@pytest.mark.parametrize(
    ("heard", "canceller", "settings", "name", "verdict", "change"),
    [
        ({"digital_silence": True, "noise_dbfs": -96.0}, {}, {}, "noise", "failed", {}),
        ({"clipped_ms": 30.0}, {}, {}, "noise", "warning", {}),
        ({"noise_dbfs": -30.0}, {}, {}, "noise", "warning", {}),
        ({"offset_dbfs": -20.0}, {}, {}, "noise", "warning", {}),
        ({"underruns": 2}, {}, {}, "dropouts", "warning", {"audio.playback.buffer_ms": 150}),
        ({"underruns": 2}, {}, {"audio.playback.buffer_ms": 500}, "dropouts", "warning", {}),
        ({"overruns": 1}, {}, {}, "dropouts", "warning", {}),
        ({"heard": 2}, {}, {}, "round trip", "warning", {}),
        ({"delay_spread_ms": 8.0}, {}, {}, "round trip", "warning", {}),
        ({"delay_ms": 400.0}, {}, {}, "round trip", "ok", {}),
        ({"drift_ppm": -800.0}, {}, {}, "round trip", "warning", {}),
        ({}, {}, {"audio.echo_cancellation": "off"}, "echo", "warning", {"audio.echo_cancellation": "auto"}),
        ({"echo_return_loss_db": 60.0}, {}, {"audio.echo_cancellation": "off"}, "echo", "ok", {}),
        ({"echo_return_loss_db": -6.0}, {}, {}, "echo", "warning", {"audio.playback.volume": 50}),
        (NO_ECHO, {}, {}, "echo", "warning", {}),
        (NO_ECHO | {"louder_db": 0.1}, {}, {}, "echo", "ok", {}),
        ({}, {"erle_db": 2.0}, {}, "canceller", "failed", {}),
        ({}, {"complaint": "No module named 'pywebrtc_audio'"}, {}, "canceller", "failed", {}),
        ({}, {"erle_db": 2.0}, {"barge_in.mode": "local"}, "canceller", "failed", {"barge_in.mode": "server"}),
        ({}, {"erle_db": 12.0}, {}, "canceller", "warning", {}),
        ({}, {"erle_db": 12.0, "echo_to_noise_db": 14.0}, {}, "canceller", "ok", {}),
        ({}, {"linear_erle_db": 1.0}, {}, "canceller", "warning", {}),
        ({}, {"linear_erle_db": None}, {}, "canceller", "warning", {}),
        ({}, {"interruptions": 1}, {}, "canceller", "warning", {"barge_in.threshold": 0.7}),
        ({}, {"interruptions": 1}, {"barge_in.threshold": 0.95}, "canceller", "warning", {}),
    ],
)
def test_the_table(
    heard: dict[str, Any], canceller: dict[str, Any], settings: dict[str, Any], name: str, verdict: str, change: dict[str, Any]
) -> None:
    found = judged(heard, canceller, settings=settings)
    assert found[name].verdict.value == verdict
    assert recommended(found.values()) == change
    assert [other for other, finding in found.items() if finding.verdict is not Verdict.OK and other != name] == []


@pytest.mark.parametrize(
    ("loss_db", "playing", "configured", "change"),
    [
        (-6.0, 100, 100, 50),
        (-6.0, 40, 100, 20),  # turned down since the start
        (-6.0, 100, 40, None),  # turned up since
        (-6.0, 150, 100, 80),
        (-40.0, 100, 100, 10),
        (-6.0, 5, 5, None),
        (-0.1, 100, 100, None),
    ],
)
def test_a_loud_echo_lowers_what_was_heard_and_never_raises_it(loss_db: float, playing: int, configured: int, change: int | None) -> None:
    found = judged({"echo_return_loss_db": loss_db}, volume=playing, settings={"audio.playback.volume": configured})
    assert found["echo"].verdict is Verdict.WARNING
    assert recommended(found.values()) == ({} if change is None else {"audio.playback.volume": change})


def test_a_loud_echo_is_written_as_a_volume_that_starts(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(fixing.edited("", recommended(judged({"echo_return_loss_db": -6.0}).values())))
    assert load(path, {})["audio.playback.volume"] == 50


def test_headphones_leave_the_canceller_alone() -> None:
    assert "canceller" not in judged(NO_ECHO | {"louder_db": 0.0})


@pytest.mark.parametrize(
    ("how", "verdict", "change"), [("auto", "ok", {}), ("on", "warning", {"audio.echo_cancellation": "auto"}), ("off", "ok", {})]
)
def test_a_canceller_of_the_system_s_is_enough(how: str, verdict: str, change: dict[str, Any]) -> None:
    whole = {"microphone": DEVICE, "loudspeaker": DEVICE, "heard": HEARD | NO_ECHO | {"louder_db": 1.0}, "system_canceller": True}
    found = list(advice.findings(whole, Config({"audio.echo_cancellation": how}, ""), volume=100, daemon=False))
    canceller = next(finding for finding in found if finding.name == "canceller")
    assert (canceller.verdict.value, recommended(found)) == (verdict, change)


def test_what_it_leaves_is_told() -> None:
    assert judged(NO_ECHO | {"louder_db": 1.0}, system_canceller=True)["echo"].verdict is Verdict.OK
    left = judged(NO_ECHO | {"louder_db": 15.0}, system_canceller=True)["echo"]
    assert (left.verdict, left.figure) == (Verdict.WARNING, 15)


def failed(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "no input device like 'conch'; there are: Jabra (set audio.capture.device)"}}


def test_a_device_that_is_not_there_becomes_the_default_one() -> None:
    found = judged(microphone=failed("device_unknown"), heard=None)
    finding = found["microphone"]
    assert (finding.verdict, finding.settings) == (Verdict.FAILED, {"audio.capture.device": ""})
    assert "conch" in finding.meaning


def test_without_a_default_nothing_is_made_up() -> None:
    found = judged(microphone=failed("device_unknown"), inputs=[{**ROW, "default": False}])
    assert found["microphone"].settings == {}


def test_a_device_that_is_busy_while_the_daemon_runs_is_the_daemon_s() -> None:
    assert "voicectl shutdown" in judged(microphone=failed("device_unavailable"), daemon=True)["microphone"].remedy
    assert "voicectl shutdown" not in judged(microphone=failed("device_unavailable"))["microphone"].remedy


def test_no_sound_at_all_says_what_is_missing() -> None:
    error = {"error": {"code": "device_unavailable", "message": "no output device"}}
    found = {
        finding.name: finding
        for finding in advice.findings(
            {"inputs": [], "outputs": [], "microphone": error, "loudspeaker": error}, Config({}, ""), volume=100, daemon=False
        )
    }
    assert [finding.verdict for finding in found.values()] == [Verdict.FAILED, Verdict.FAILED]
    assert "PipeWire" in found["loudspeaker"].remedy


def test_devices_lost_on_the_way_are_told() -> None:
    whole = {"microphone": DEVICE, "loudspeaker": DEVICE, "error": {"code": "device_lost", "message": "it gives no sound"}}
    last = list(advice.findings(whole, Config({}, ""), volume=100, daemon=False))[-1]
    assert (last.verdict, last.meaning) == (Verdict.FAILED, "It gives no sound.")


@pytest.mark.parametrize(("device", "yes"), [("null", True), ("file:/x.wav", True), ("", False), ("null sink", False)])
def test_files_and_nothing_are_not_tried(device: str, yes: bool) -> None:
    assert advice.clocked(Config({"audio.playback.device": device}, "")) is yes
