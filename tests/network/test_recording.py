"""Recordings of the wire: what is in them and what never is, what ends them, and that a replay does what was done."""

import json
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import replay
from tests.network.process import PATIENCE_S, World
from tests.network.script import MS, SETTINGS, Script, sent, sound, text
from tests.network.test_session_properties import STEPS
from tests.network.test_session_properties import _step as step
from tests.scripted_server import ScriptedServer
from voiced.errors import VoicedError
from voiced.messages import (
    Answer,
    Epoch,
    Flush,
    Flushed,
    Message,
    MicFrame,
    MonoNs,
    Order,
    PartHeard,
    PlayFinished,
    PlayStarted,
    Ready,
    ReplyAudio,
    ReplyEnd,
)
from voiced.network import events, recording
from voiced.network.interface import Conversing
from voiced.network.outputs import Output, Record, SendEvent
from voiced.network.quote import Quote
from voiced.network.recording import Recorder
from voiced.network.session import Session

KEY = SETTINGS["token"]


class Heard:
    """The supervisor's end, as far as a recording speaks to it."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        self.refusals: list[VoicedError] = []
        self.errors: list[dict[str, Any]] = []

    def answer(self, order: Order, **result: Any) -> None:
        self.answers.append(result)

    def refuse(self, order: Order, error: VoicedError) -> None:
        self.refusals.append(error)

    def publish(self, topic: str, **data: Any) -> None:
        assert topic == "error"
        self.errors.append(data)

    def log(self, level: int, text: str) -> None:
        pass


class Recorded(Script):
    """A script whose session can be recorded, with settings of its own."""

    def __init__(self, directory: Path | str, *, ready: bool = True, **settings: Any) -> None:
        super().__init__(ready=False)
        self.heard = Heard()
        self.settings = {**SETTINGS, "record_dir": str(directory), **settings}
        self.quote = Quote(self.settings["token"])
        self.recorder = Recorder(cast(Any, self.heard), self.quote, self._use)
        self.session = Session(self.settings, Epoch(1000), self.recorder.new_id, quote=self.quote)
        if ready:
            self.do(self.session.connected(self.now, 1e9))
            self.event("session.created", session={"type": "realtime", "id": "sess_1", "expires_at": 1_000_003_600})
            self.event("session.updated", session={"type": "realtime", "id": "sess_1"})
            self.out.clear()

    def _use(self, session: Conversing) -> None:
        self.session = cast(Session, session)

    def record(self, on: bool) -> dict[str, Any]:
        """What is answered."""
        for output in self.order("record", on=on):
            if isinstance(output, Record):
                self.recorder.obey(output.order, output.on, self.session, self.now)
        return self.heard.answers[-1]

    def lines(self) -> list[dict[str, Any]]:
        """Ends the recording; its lines."""
        return [json.loads(line) for line in Path(self.record(False)["path"]).read_text("ascii").splitlines()]

    def steps(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("in") == name]


@pytest.fixture
def script(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path / "state" / "recordings")


def differences(lines: list[dict[str, Any]], make: replay.Make = Session) -> list[replay.Step]:
    header, steps = replay.load([json.dumps(line) for line in lines])
    return [step for step in replay.replay(header, steps, make) if step.differs]


# the command -------------------------------------------------------------------------------------------------------------


def test_refused_unless_the_settings_allow_it() -> None:
    script = Recorded("")
    session = script.session
    script.order("record", on=True)
    script.recorder.obey(Order(5, "record", {"on": True}), True, session, script.now)
    assert [(error.code, "allow.recording" in error.message) for error in script.heard.refusals] == [("not_now", True)]
    assert script.session is session


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
    monkeypatch.setattr("voiced.network.spool.time.strftime", lambda form: "wire-20260101-000000")
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
    script = Recorded(tmp_path, history=[{"role": "user", "text": "words of before"}], tools=[_tool("/bin/true", "--secret")])
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
        {"left_out": {"type": None, "bytes": 2}},
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
    monkeypatch.setattr("voiced.network.spool._MOST_WAITING_BYTES", 100_000)
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


# the replay --------------------------------------------------------------------------------------------------------------


def _tool(*command: str) -> dict[str, Any]:
    return {"name": "lamp", "description": "", "parameters": {}, "command": list(command), "timeout_s": 5.0}


def converse(script: Recorded) -> None:
    """A reply that is interrupted, a tool, a question in writing, a lost connection."""
    script.wait(100)
    script.reply("i1", 400)
    script.event("response.output_audio_transcript.delta", response_id="r1", item_id="i1", delta="one two three four")
    for _ in range(5):
        script.wait(20)
        script.microphone()
    script.received += 1
    script.do(script.session.overtake(text("input_audio_buffer.speech_started", item_id="u1"), script.received, script.now))
    script.do(script.session.feed(text("input_audio_buffer.speech_started", item_id="u1"), script.received, script.now))
    script.flushed(("i1", 200))
    script.wait(200)
    script.event("input_audio_buffer.speech_stopped", item_id="u1")
    script.event("conversation.item.input_audio_transcription.completed", item_id="u1", transcript="light", usage={"seconds": 1})
    script.created("r2")
    call = {"id": "f1", "type": "function_call", "call_id": "c1", "name": "lamp", "arguments": "{}", "status": "completed"}
    script.event("response.output_item.done", response_id="r2", output_index=0, item=call)
    script.event("response.done", response={"id": "r2", "status": "completed", "output": [call], "usage": {"total_tokens": 7}})
    script.do(script.session.tool_ended("c1", True, "it is on", script.now))
    script.reply("i3", 200, "r3")
    script.done("r3")
    script.audio_done("i3", "r3")
    script.finished("i3", 200)
    script.order("ask", text="and now?")
    script.feed(b"no JSON")
    script.do(script.session.lost("the network is gone", 1, 0.5, script.now))
    script.microphone()
    script.wait(600)
    script.do(script.session.connected(script.now, 1e9 + 2))
    script.event("session.created", session={"id": "sess_2"})
    script.event("session.updated", session={"id": "sess_2"})
    script.microphone()
    script.wait(3000)


def test_a_replay_does_what_was_done(tmp_path: Path) -> None:
    script = Recorded(tmp_path, tools=[_tool("/bin/true")])
    script.wait(1500)
    script.record(True)
    converse(script)
    lines = script.lines()
    assert len(lines) > 40
    assert [list(step.told) for step in differences(lines)] == []


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_a_replay_does_what_was_done_whatever_that_was(steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        script = Recorded(directory)
        script.record(True)
        for kind, what in steps:
            script.now = MonoNs(script.now + MS)
            step(script, kind, what)
        assert [(step.told, step.recorded, step.replayed) for step in differences(script.lines())] == []


class Deaf(Session):
    """A bug: what was heard is forgotten."""

    def heard(self, message: Message, now: MonoNs) -> list[Output]:
        if isinstance(message, Flushed):
            message = message._replace(heard=())
        return super().heard(message, now)


class Hasty(Session):
    """A bug: sound is sent although nobody is there to take it."""

    def microphone(self, frame: MicFrame, pcm: bytes) -> list[Output]:
        return super().microphone(frame, pcm) or [SendEvent(events.InputAudioAppend(audio=pcm))]


class Forgetful(Session):
    """A bug: a new session is not told what was said."""

    def feed(self, text: bytes, seq: int, now: MonoNs) -> list[Output]:
        wanted = super().feed(text, seq, now)
        return [output for output in wanted if not (isinstance(output, SendEvent) and isinstance(output.event, events.ItemCreate))]


@pytest.mark.parametrize(("make", "at"), [(Deaf, "heard"), (Hasty, "microphone"), (Forgetful, "feed")])
def test_a_replay_shows_a_bug_where_it_is(tmp_path: Path, make: replay.Make, at: str) -> None:
    script = Recorded(tmp_path, tools=[_tool("/bin/true")])
    script.record(True)
    converse(script)
    assert differences(script.lines(), make)[0].told["in"] == at


def test_the_replay_as_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = Recorded(tmp_path, tools=[_tool("/bin/true")])
    script.record(True)
    converse(script)
    path = Path(script.record(False)["path"])
    assert replay.main([str(path)]) == 0
    out = capsys.readouterr().out
    assert "= " in out
    assert out.endswith("no difference\n")
    spoilt = path.read_text().replace('"audio_end_ms":200', '"audio_end_ms":210')
    path.write_text(spoilt)
    assert replay.main([str(path), "--brief"]) == 1
    out = capsys.readouterr().out
    assert "first difference" in out
    assert '- {"SendEvent": {"event": {"type": "conversation.item.truncate"' in out
    path.write_text(spoilt.replace('"audio_end_ms":210', '"audio_end_ms":200')[:-20])  # the process was killed
    assert replay.main([str(path), "--brief"]) == 0
    path.write_text("something else\n")
    assert replay.main([str(path)]) == 2
    assert replay.main([str(tmp_path / "none")]) == 2


def test_a_recording_that_begins_amid_a_reply_is_exact_from_the_next_quiet_moment_on(tmp_path: Path) -> None:
    script = Recorded(tmp_path, tools=[_tool("/bin/true")])
    script.reply("i0", 400, "r0")
    script.record(True)
    script.wait(100)
    script.done("r0")
    script.audio_done("i0", "r0")
    script.finished("i0", 400)
    script.wait(3000)
    converse(script)
    header, steps = replay.load([json.dumps(line) for line in script.lines()])
    played = list(replay.replay(header, steps))
    assert [step.told for step in played if step.differs] == []
    assert [step.told["in"] for step in played if step.replayed is None] == ["tick", "feed", "feed", "heard"]
    assert len(played) > 40


def test_a_recording_that_is_never_quiet(script: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    script.reply()
    path = script.record(True)["path"]
    script.wait(100)
    script.record(False)
    assert replay.main([path]) == 2
    assert "nothing to replay" in capsys.readouterr().out


def test_turns_of_before_the_recording_are_not_asked_of_a_replay(tmp_path: Path) -> None:
    script = Recorded(tmp_path, tools=[_tool("/bin/true")])
    script.event("conversation.item.input_audio_transcription.completed", item_id="u0", transcript="earlier")
    script.wait(3000)
    script.record(True)
    converse(script)
    lines = script.lines()
    told_again = [line for line in lines if '"id": "u0"' in json.dumps(line)]
    assert len(told_again) == 1
    assert not differences(lines)


# the real process --------------------------------------------------------------------------------------------------------


def answered(world: World, field: str) -> Any:
    """Waits for the answer that has this field; its value."""
    found = world.until(lambda message: isinstance(message, Answer) and field in message.result)
    assert isinstance(found, Answer)
    return found.result[field]


def speak_and_be_interrupted(world: World, server: ScriptedServer) -> None:
    reply = server.begin_reply()
    server.send_audio(reply, sound(2000))
    audio = world.until_from(world.replies, lambda message: isinstance(message, ReplyAudio))
    assert isinstance(audio, ReplyAudio)
    world.heard.send(PlayStarted(reply.item_id, 0, audio.epoch))
    world.until_published("state", state="speaking")
    for _ in range(20):
        world.speak(sound(20))
    server.until(lambda event: isinstance(event, events.InputAudioAppend))
    server.send(events.SpeechStarted(item_id="u1"))
    assert world.flushes is not None
    flush = world.until_from(world.flushes, lambda message: isinstance(message, Flush) and message.epoch > audio.epoch)
    assert isinstance(flush, Flush)
    world.heard.send(Flushed(flush.epoch, (PartHeard(reply.item_id, 0, 321),), 1679, 900, True))
    server.until(lambda event: isinstance(event, events.ItemTruncate))
    server.end_reply(reply, "cancelled", "turn_detected")
    server.send(events.SpeechStopped(item_id="u1"), events.TranscriptionCompleted(item_id="u1", transcript="the lamp, please"))


def call_a_tool(world: World, server: ScriptedServer) -> None:
    call = events.Item(type="function_call", id="f1", call_id="c1", name="lamp", arguments="{}", status="completed")
    server.send(
        events.ResponseCreated(response=events.Response(id="r_tool")),
        events.OutputItemDone(response_id="r_tool", item=call),
        events.ResponseDone(response=events.Response(id="r_tool", status="completed", output=[call], usage={"total_tokens": 5})),
    )
    server.until(lambda event: isinstance(event, events.ItemCreate) and (event.item.output or "").startswith("it is on"))
    server.until(lambda event: isinstance(event, events.ResponseCreate))
    reply = server.begin_reply()
    server.send_audio(reply, sound(200))
    server.end_reply(reply)
    last = world.until_from(world.replies, lambda message: isinstance(message, ReplyEnd) and message.item_id == reply.item_id)
    assert isinstance(last, ReplyEnd)
    world.heard.send(PlayStarted(reply.item_id, 0, last.epoch))
    world.heard.send(PlayFinished(reply.item_id, 0, last.epoch, 200))
    world.until_published("state", state="speaking")
    world.until_published("state", state="listening")


@pytest.mark.system
def test_a_real_conversation_and_its_replay(tmp_path: Path) -> None:
    """Of the process as it is: a reply that is interrupted, a tool's program, a lost connection, a move to another session."""
    with ScriptedServer() as server:
        wanted: dict[str, Any] = {"record_dir": str(tmp_path / "recordings"), "tools": [_tool("/bin/echo", "it is on")], "voice": "marin"}
        world = World(tmp_path, server.url, **wanted)
        try:
            world.until(lambda message: isinstance(message, Ready))
            world.listen()
            world.order("record", on=True)
            path = answered(world, "path")
            speak_and_be_interrupted(world, server)
            call_a_tool(world, server)
            server.hang_up(1011, "restarting with sk-secret")
            world.until_published("session", connected=True, reason=None)
            new = {"provider": "compatible", "url": server.url, "model": "m", "token": "sk-secret", **wanted, "voice": "cedar"}
            world.order("configure", settings=new)
            world.until_published("session", connected=True, reason="moved to a new session")
            world.order("ask", text="hello")
            server.until(lambda event: isinstance(event, events.ItemCreate) and "hello" in repr(event))
            world.order("record", on=False)
            assert answered(world, "recording") is False
        finally:
            assert world.close() == 0
    recorded = Path(path).read_text("ascii")
    assert "sk-secret" not in recorded
    happened = ("Flushed", "conversation.item.truncate", "RunTool", "tool_ended", "lost", "OpenNext", "next_feed", "TakeOver")
    assert not [name for name in happened if f'"{name}"' not in recorded]
    header, steps = replay.load(recorded.splitlines())
    assert [step for step in replay.replay(header, steps) if step.differs] == []
    assert next(step.told["in"] for step in replay.replay(header, steps, Deaf) if step.differs) == "heard"


@pytest.mark.system
def test_what_a_process_leaves_that_ends_while_it_records(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        world = World(tmp_path, server.url, record_dir=str(tmp_path / "recordings"))
        try:
            world.until(lambda message: isinstance(message, Ready))
            world.order("record", on=True)
            path = Path(answered(world, "path"))
            deadline = time.monotonic() + PATIENCE_S
            while not path.stat().st_size:  # a kill would leave this
                assert time.monotonic() < deadline
                time.sleep(0.01)
            world.order("ask", text="the last words")
            answered(world, "item_id")
        finally:
            assert world.close() == 0
    assert "the last words" in path.read_text("ascii")
    header, steps = replay.load(path.read_text("ascii").splitlines())
    assert [step for step in replay.replay(header, steps) if step.differs] == []
