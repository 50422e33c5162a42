"""Recordings of the wire: what is in them and what never is, and what ends them."""

import json
import os
import stat
import time
from pathlib import Path
from typing import Any, cast

import pytest

from tests.network.recording.recorded import KEY, Recorded, differences, tool
from tests.network.script import MS, sent, text
from voiced.messages import MonoNs, Order
from voiced.network.outputs import Output, Record
from voiced.network.recording import recorder as recording
from voiced.network.session import Session


@pytest.fixture
def script(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path / "state" / "recordings")


# the command -------------------------------------------------------------------------------------------------------------


def test_refused_unless_the_settings_allow_it() -> None:
    script = Recorded("")
    session = script.session
    script.order("record", on=True)
    script.recorder.obey(Order(5, "record", {"on": True}), True, session, script.now)
    assert [(error.code, "allow.recording" in error.message) for error in script.heard.refusals] == [("not_now", True)]
    assert script.session is session


def test_refused_for_the_reason_that_the_settings_have() -> None:
    script = Recorded("", record_refused="the disk is on fire")
    script.recorder.obey(Order(5, "record", {"on": True}), True, script.session, script.now)
    assert [error.message for error in script.heard.refusals] == ["the disk is on fire"]


def test_on_and_off(script: Recorded) -> None:
    session = script.session
    assert script.record(False) == {"recording": False, "path": None}
    path = script.record(True)["path"]
    assert script.record(True) == {"recording": True, "path": path}
    assert script.session is not session
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert script.record(False) == {"recording": False, "path": path}
    assert script.session is session
    assert script.record(True)["path"] != path  # of the same second, most likely
    assert script.record(False)["recording"] is False


def test_a_name_that_is_taken_is_left_alone(script: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiced.network.recording.spool.time.strftime", lambda form: "wire-20260101-000000")
    script.record(True)
    target = tmp_path / "precious"
    taken = Path(script.record(False)["path"])
    taken.unlink()
    taken.symlink_to(target)
    assert script.record(True)["path"].endswith("000000-2.jsonl")
    assert not target.exists()
    script.record(False)


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    script = Recorded(tmp_path / "file")
    for output in script.order("record", on=True):
        assert isinstance(output, Record)
        script.recorder.obey(output.order, output.on, script.session, script.now)
    assert [error.code for error in script.heard.refusals] == ["not_now"]


# what is in it -----------------------------------------------------------------------------------------------------------


def test_the_header_has_what_a_replay_needs(tmp_path: Path) -> None:
    script = Recorded(tmp_path, history=[{"role": "user", "text": "words of before"}], tools=[tool("/bin/true", "--secret")])
    script.record(True)
    header = script.lines()[0]
    assert (header["format"], header["epoch"], header["mono_ns"]) == (1, 1000, script.now)
    assert header["moment"]["phase"] == "READY"
    assert header["moment"]["expires_ns"] == script.now + 3600 * 1_000_000_000
    settings = header["settings"]
    assert (settings["token"], settings["history"], settings["voice"]) == ("***1", 1, "marin")
    assert settings["tools"][0]["command"] == ["/bin/true"]
    assert "record_dir" not in settings


def test_sound_is_there_by_its_length(script: Recorded) -> None:
    script.record(True)
    script.reply(ms=400)
    for _ in range(3):
        script.wait(20)
        script.microphone()
    script.microphone(muted=True)
    lines = script.lines()
    (told,) = [line for line in lines if line.get("event", {}).get("type") == "response.output_audio.delta"]
    assert told["event"]["delta"] == {"audio_bytes": 400 * 48}
    assert told["out"][-1]["Play"]["pcm"] == {"audio_bytes": 400 * 48}
    spoken, muted = [line for line in lines if line.get("in") == "microphone"][-2:]
    assert (spoken["muted"], spoken["bytes"], spoken["sent"]) == (False, 960, True)
    assert len(spoken["captured_ns"]) <= 3
    assert (muted["muted"], len(muted["captured_ns"])) == (True, 1)


def test_frames_in_a_row_are_one_line(script: Recorded) -> None:
    script.record(True)
    for number in range(10):
        script.now = MonoNs(script.now + (20 + number) * MS)  # no tick: those end the row
        script.microphone()
    (told,) = script.steps("microphone")
    assert told["captured_ns"] == [(20 + number) * MS for number in range(10)]


def test_frames_keep_their_place_among_other_inputs(script: Recorded) -> None:
    script.record(True)
    script.microphone()
    script.order("interrupt")
    script.microphone()
    assert [(line["n"], line["in"]) for line in script.lines()[1:4]] == [(1, "microphone"), (2, "order"), (3, "microphone")]


def test_no_key_is_in_a_file_whatever_the_server_repeats(script: Recorded) -> None:
    escaped = KEY.replace("s", "\\u0073", 1).encode()
    script.record(True)
    script.event("session.updated", session={"id": KEY, "instructions": f"say {KEY}", KEY: [{"x": KEY}]})
    script.event("error", error={"type": "x", "code": f"c_{KEY}", "message": f"bad key: {KEY}"})
    script.event("conversation.item.input_audio_transcription.completed", item_id=f"i{KEY}", transcript=f"my key is {KEY}")
    script.feed(b'{"type": "error", "error": {"code": "x", "message": "' + escaped + b'"}}')
    script.feed(f"not JSON {KEY}".encode())
    script.feed(b'{"not JSON ' + escaped)
    script.feed(f'{{"type": "x{KEY}", "y": "{"x" * 300_000}{KEY}"}}'.encode())
    script.order("ask", text=f"what is {KEY}?")
    script.order("tool_result", call_id="c", output=KEY)
    script.do(script.session.tool_ended("c", True, KEY, script.now))
    script.do(script.session.lost(f"refused: {KEY}", 1, 0.5, script.now))
    told = [json.dumps(line) for line in script.lines()]
    assert len(told) == 13
    assert not [line for line in told if KEY[1:] in line]
    assert sum("***" in line for line in told) == 11


def test_secrets_of_the_settings_are_not_in_a_file(tmp_path: Path) -> None:
    script = Recorded(tmp_path, url="wss://h/v1?key=in-the-url-1", secrets=["in-the-url-1"], mcp=[])
    script.record(True)
    script.event("error", error={"type": "x", "code": "x", "message": "in-the-url-1 is wrong"})
    lines = script.lines()
    assert "in-the-url" not in json.dumps(lines)
    assert lines[0]["settings"]["url"] == "wss://h/v1?***1"
    assert "secrets" not in lines[0]["settings"]


def test_no_key_that_a_program_told_is_in_a_file(tmp_path: Path) -> None:
    script = Recorded(tmp_path, token="", token_command=["keys", "--pin=4711"])
    script.record(True)
    script.quote.hide("told-by-the-program")
    script.event("error", error={"type": "x", "code": "x", "message": "told-by-the-program is wrong"})
    whole = json.dumps(script.lines())
    assert "*** is wrong" in whole
    assert "told-by" not in whole
    assert "4711" not in whole


def test_secrets_of_the_settings_are_numbered(tmp_path: Path) -> None:
    def server(token: str) -> dict[str, Any]:
        url = f"https://mcp.example/?key={token}"
        headers = {"X-Key": f"Bearer of-{token[::-1]}"}
        return {"type": "mcp", "server_label": "m", "server_url": url, "authorization": token, "headers": headers}

    script = Recorded(
        tmp_path, mcp=[server("mcp-token-1")], proxy="http://me:proxy-password@127.0.0.1:1", url="ws://127.0.0.1/v1?code=hidden"
    )
    script.record(True)
    script.event("session.updated", session={"tools": [server("mcp-token-1")]})
    script.event("error", error={"code": "x", "message": "mcp-token-1 and proxy-password are wrong"})
    new = {**script.settings, "mcp": [server("mcp-token-2")], "token": "sk-another-secret", "token_command": ["keys", "--pin=4711"]}
    script.order("configure", settings=new)
    lines = script.lines()
    whole = json.dumps(lines)
    assert not [secret for secret in ("mcp-token", "nekot-pcm", "proxy-password", "hidden", KEY, "another", "4711") if secret in whole]
    before, after = lines[0]["settings"], next(line for line in lines if line.get("order", {}).get("command") == "configure")
    after = after["order"]["args"]["settings"]
    assert before["url"] == after["url"]
    assert before["proxy"] == after["proxy"]
    assert before["token"] != after["token"]
    assert before["mcp"][0]["authorization"] != after["mcp"][0]["authorization"]
    assert before["mcp"][0]["server_url"].startswith("https://mcp.example/?***")


def test_what_makes_no_sense_is_kept_as_it_is(script: Recorded) -> None:
    script.record(True)
    script.feed(b"no JSON")
    script.feed(b"\xff\xfe")
    script.feed(b'{"type": "response.output_audio.delta", "delta": "no base64"}')
    kept = [{name: line[name] for name in line if name in ("event", "malformed", "left_out")} for line in script.lines()[1:4]]
    assert kept == [
        {"malformed": "no JSON"},
        {"left_out": {"type": None, "bytes": 2, "code": "invalid_json"}},
        {"event": {"type": "response.output_audio.delta", "delta": "no base64"}},
    ]


def test_a_step_that_raises_is_recorded(script: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    script.record(True)

    def broken(self: Session, now: MonoNs) -> list[Output]:
        raise KeyError("no ***" if isinstance(script.session, Session) else f"no {KEY}")

    monkeypatch.setattr(Session, "tick", broken)
    with pytest.raises(KeyError):
        script.wait(20)
    lines = script.lines()
    assert [line["raised"] for line in lines if "raised" in line] == ["KeyError: 'no ***'"]
    assert not differences(lines)
    monkeypatch.undo()
    assert [step.told["in"] for step in differences(lines)] == ["tick"]


def test_an_input_amid_a_speech_that_overtakes(script: Recorded) -> None:
    """What is done about the flush may lead to an input before the rest of the step is asked for."""
    script.reply()
    script.record(True)
    script.received += 1
    overtaking = iter(script.session.overtake(text("input_audio_buffer.speech_started", item_id="u1"), script.received, script.now))
    flush = next(overtaking)
    script.flushed(("i1", 200))
    rest = list(overtaking)
    lines = script.lines()
    nested, outer = lines[1:3]
    assert (nested["in"], outer["in"]) == ("heard", "overtake")
    assert nested["n"] > outer["n"]
    assert len(outer["out"]) == 1 + len(rest)
    assert list(outer["out"][0]) == [type(flush).__name__] == ["Broadcast"]


# what ends it ------------------------------------------------------------------------------------------------------------


def test_it_ends_where_it_is_not_allowed_any_more(script: Recorded) -> None:
    path = script.record(True)["path"]
    script.order("configure", settings={**script.settings, "record_dir": ""})
    script.recorder.keep_up(script.now)
    assert [(error["code"], path in error["message"]) for error in script.heard.errors] == [("recording_ended", True)]
    assert isinstance(script.session, Session)


def test_it_ends_at_its_size(script: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_MOST_BYTES", 20_000)
    path = Path(script.record(True)["path"])
    for _ in range(200):
        script.wait(20)
        script.event("rate_limits.updated", rate_limits=[])
        script.recorder.keep_up(script.now)
    assert [error["code"] for error in script.heard.errors] == ["recording_ended"]
    assert "reached" in script.heard.errors[0]["message"]
    assert 15_000 < path.stat().st_size <= 20_000
    assert isinstance(script.session, Session)
    assert json.loads(path.read_text().splitlines()[-1])["n"] > 0


def test_a_disk_that_is_full_ends_the_recording_alone(script: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "create", lambda directory: ("/dev/full", os.open("/dev/full", os.O_WRONLY)))
    script.record(True)
    deadline = time.monotonic() + 5
    while isinstance(script.session, recording.Tap) and time.monotonic() < deadline:
        script.wait(2000)
        script.recorder.keep_up(script.now)
        time.sleep(0.001)
    assert [error["code"] for error in script.heard.errors] == ["recording_ended"]
    assert "No space left" in script.heard.errors[0]["message"]
    assert sent(script.event("response.created", response={"id": "r1"})) == []
    assert script.order("interrupt")


def test_a_disk_that_hangs_holds_nothing_up(script: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr(recording, "create", lambda directory: ("pipe", writer))
    monkeypatch.setattr("voiced.network.recording.spool._MOST_WAITING_BYTES", 100_000)
    script.record(True)
    before = time.monotonic()
    while isinstance(script.session, recording.Tap) and time.monotonic() < before + 5:
        script.event("rate_limits.updated", rate_limits=[{"name": "x" * 1000}])
        script.recorder.keep_up(script.now)
    took_s = time.monotonic() - before
    os.close(reader)
    assert [error["code"] for error in script.heard.errors] == ["recording_ended"]
    assert "too slow" in script.heard.errors[0]["message"]
    assert took_s < 2


def test_what_cannot_be_written_down_ends_the_recording_alone(script: Recorded) -> None:
    script.record(True)
    script.order("tool_result", call_id="c", output=cast(str, {1, 2}))
    script.recorder.keep_up(script.now)
    assert [error["code"] for error in script.heard.errors] == ["recording_ended"]
    assert isinstance(script.session, Session)
