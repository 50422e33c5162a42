"""A replay of a recording does what was done, and shows where another session does otherwise."""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import replay
from tests.network.process import PATIENCE_S, World
from tests.network.recording.recorded import Recorded, differences, tool
from tests.network.script import MS, sound, text
from tests.network.test_session_properties import STEPS
from tests.network.test_session_properties import step as step
from tests.scripted_server import ScriptedServer
from voiced.messages import (
    Answer,
    Flush,
    Flushed,
    Message,
    MicFrame,
    MonoNs,
    PartHeard,
    PlayFinished,
    PlayStarted,
    Ready,
    ReplyAudio,
    ReplyEnd,
)
from voiced.network import events
from voiced.network.outputs import Output, SendEvent
from voiced.network.session import Session


@pytest.fixture
def script(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


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
    script = Recorded(tmp_path, tools=[tool("/bin/true")])
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
    script = Recorded(tmp_path, tools=[tool("/bin/true")])
    script.record(True)
    converse(script)
    assert differences(script.lines(), make)[0].told["in"] == at


def test_the_replay_as_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = Recorded(tmp_path, tools=[tool("/bin/true")])
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
    script = Recorded(tmp_path, tools=[tool("/bin/true")])
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
    script = Recorded(tmp_path, tools=[tool("/bin/true")])
    script.event("conversation.item.input_audio_transcription.completed", item_id="item_of_the_past_0", transcript="earlier")
    script.wait(3000)
    script.record(True)
    converse(script)
    lines = script.lines()
    told_again = [line for line in lines if '"id": "item_of_the_past_0"' in json.dumps(line)]
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


def call_atool(world: World, server: ScriptedServer) -> None:
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
        wanted: dict[str, Any] = {"record_dir": str(tmp_path / "recordings"), "tools": [tool("/bin/echo", "it is on")], "voice": "marin"}
        world = World(tmp_path, server.url, **wanted)
        try:
            world.until(lambda message: isinstance(message, Ready))
            world.listen()
            world.order("record", on=True)
            path = answered(world, "path")
            speak_and_be_interrupted(world, server)
            call_atool(world, server)
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
