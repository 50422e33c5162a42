"""From figures to verdicts, and to the settings that mend them."""

from typing import Any

import pytest

from voiced.config import Config
from voiced.doctor import advice
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
    heard: dict[str, Any] | None = None, canceller: dict[str, Any] | None = None, *, daemon: bool = False, settings: Any = (), **found: Any
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
    return {finding.name: finding for finding in advice.findings(whole | found, Config(dict(settings), ""), daemon=daemon)}


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
        ({"delay_ms": 400.0}, {}, {}, "round trip", "warning", {}),
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


@pytest.mark.parametrize("figures", [{"underruns": 1}, {"echo_return_loss_db": -40.0}, {"delay_ms": 1.0}])
def test_what_is_recommended_is_a_setting_that_can_be(figures: dict[str, Any]) -> None:
    for name, value in recommended(judged(figures).values()).items():
        key = KEYS[name]
        assert type(value) is key.type
        assert key.least is None or value >= key.least
        assert key.most is None or value <= key.most


def test_headphones_leave_the_canceller_alone() -> None:
    assert "canceller" not in judged(NO_ECHO | {"louder_db": 0.0})


@pytest.mark.parametrize(
    ("how", "verdict", "change"), [("auto", "ok", {}), ("on", "warning", {"audio.echo_cancellation": "auto"}), ("off", "ok", {})]
)
def test_a_canceller_of_the_system_s_is_enough(how: str, verdict: str, change: dict[str, Any]) -> None:
    whole = {"microphone": DEVICE, "loudspeaker": DEVICE, "heard": HEARD | NO_ECHO | {"louder_db": 1.0}, "system_canceller": True}
    found = list(advice.findings(whole, Config({"audio.echo_cancellation": how}, ""), daemon=False))
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
            {"inputs": [], "outputs": [], "microphone": error, "loudspeaker": error}, Config({}, ""), daemon=False
        )
    }
    assert [finding.verdict for finding in found.values()] == [Verdict.FAILED, Verdict.FAILED]
    assert "PipeWire" in found["loudspeaker"].remedy


def test_devices_lost_on_the_way_are_told() -> None:
    whole = {"microphone": DEVICE, "loudspeaker": DEVICE, "error": {"code": "device_lost", "message": "it gives no sound"}}
    last = list(advice.findings(whole, Config({}, ""), daemon=False))[-1]
    assert (last.verdict, last.meaning) == (Verdict.FAILED, "It gives no sound.")


@pytest.mark.parametrize(("device", "yes"), [("null", True), ("file:/x.wav", True), ("", False), ("null sink", False)])
def test_files_and_nothing_are_not_tried(device: str, yes: bool) -> None:
    assert advice.clocked(Config({"audio.playback.device": device}, "")) is yes
