"""Events whose order the protocol leaves open (realtime-protocol 4), in any order: the same is played, told and remembered.

A sequence is made of strands. Within a strand the order is the server's; between strands anything goes, but for what an
event must come `after`. Lifecycle events that some servers leave out are left out at random.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.network.script import SETTINGS, Script, delta, ended, flushes, published, sound, text
from voiced.messages import Flushed, PartHeard
from voiced.network import events
from voiced.network.outputs import Answered, Play, SendEvent

_TOOL = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}, "command": [], "timeout_s": 30.0}
_STORY = "A long story about everything."
_PCM = [sound(200, bytes([number, 1])) for number in range(1, 5)]


class Step(NamedTuple):
    name: str
    do: Callable[[Script], Any]
    after: tuple[str, ...] = ()
    may_lack: bool = False
    #: What must have come of it already, where that is no event of the server's.
    when: Callable[[Script], bool] = lambda script: True


def _says(name: str, type: str, after: tuple[str, ...] = (), may_lack: bool = False, /, **fields: Any) -> Step:
    return Step(name, lambda script: script.feed(text(type, **fields)), after, may_lack)


def _part(item_id: str, response_id: str, **fields: Any) -> dict[str, Any]:
    return {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0, **fields}


def _item(item_id: str, role: str) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": role, "status": "in_progress"}


def user(item_id: str, words: str) -> list[list[Step]]:
    """A turn of the user's: its strands."""
    transcription = "conversation.item.input_audio_transcription"
    return [
        [
            _says(f"{item_id} started", "input_audio_buffer.speech_started", item_id=item_id, audio_start_ms=0),
            _says(f"{item_id} stopped", "input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=900),
            _says(f"{item_id} committed", "input_audio_buffer.committed", item_id=item_id),
            _says(f"{item_id} added", "conversation.item.added", (), True, item=_item(item_id, "user")),
            _says(f"{item_id} done", "conversation.item.done", (), True, item=_item(item_id, "user")),
        ],
        [
            _says(f"{item_id} delta", f"{transcription}.delta", (f"{item_id} committed",), True, item_id=item_id, delta=words[:4]),
            _says(f"{item_id} words", f"{transcription}.completed", (f"{item_id} committed",), item_id=item_id, transcript=words),
        ],
    ]


def rate_limits() -> list[list[Step]]:
    return [[_says("limits", "rate_limits.updated", rate_limits=[{"name": "tokens"}])], [_says("limits 2", "rate_limits.updated")]]


_WORDS = "response.output_audio_transcript"


def reply(item_id: str, response_id: str, pcm: list[bytes], words: list[str], *after: str) -> list[list[Step]]:
    """A whole answer: its strands."""
    of_part = _part(item_id, response_id)
    item = {"item": _item(item_id, "assistant")}
    opened, sounded, said = f"{item_id} opened", f"{item_id} sounded", f"{item_id} said"

    def sounds(piece: bytes) -> Callable[[Script], Any]:
        return lambda script: script.feed(delta(item_id, piece, response_id))

    return [
        [
            _says(f"{response_id} created", "response.created", after, response={"id": response_id}),
            _says(f"{item_id} output", "response.output_item.added", (), True, response_id=response_id, **item),
            _says(f"{item_id} added", "conversation.item.added", (), True, **item),
            _says(opened, "response.content_part.added", (), True, **of_part, part={"type": "audio"}),
            _says(sounded, "response.output_audio.done", (f"{item_id} sound {len(pcm)}",), True, **of_part),
            _says(f"{item_id} part", "response.content_part.done", (said,), True, **of_part, part={"type": "audio"}),
            _says(f"{item_id} done", "conversation.item.done", (), True, **item),
            _says(f"{item_id} output done", "response.output_item.done", (), True, response_id=response_id, **item),
            _says(
                f"{response_id} done",
                "response.done",
                (said, f"{item_id} sound {len(pcm)}"),
                response={"id": response_id, "status": "completed"},
            ),
        ],
        [Step(f"{item_id} sound {n}", sounds(piece), (f"{response_id} created", opened)) for n, piece in enumerate(pcm, 1)],
        [
            *(
                _says(
                    f"{item_id} word {n}",
                    "response.output_audio_transcript.delta",
                    (f"{response_id} created", opened),
                    **of_part,
                    delta=word,
                )
                for n, word in enumerate(words, 1)
            ),
            _says(said, "response.output_audio_transcript.done", (), **of_part, transcript="".join(words)),
        ],
    ]


def play_in_any_order(data: st.DataObject, script: Script, strands: Iterable[list[Step]]) -> None:
    lacking = data.draw(st.booleans(), "some lifecycle events are missing")
    left = [[step for step in strand if not (step.may_lack and lacking and data.draw(st.booleans()))] for strand in strands]
    left = [strand for strand in left if strand]
    while left:
        waiting = {step.name for strand in left for step in strand}
        ready = [strand for strand in left if not waiting & set(strand[0].after) and strand[0].when(script)]
        assert ready, f"nothing may come next: {[strand[0].name for strand in left]}"
        strand = data.draw(st.sampled_from(ready), "next") if len(ready) > 1 else ready[0]
        strand.pop(0).do(script)
        left = [strand for strand in left if strand]


def sound_of(script: Script, item_id: str) -> bytes:
    return b"".join(output.pcm for output in script.all if isinstance(output, Play) and output.header.item_id == item_id)


def sent_to_server(script: Script) -> list[events.ClientEvent]:
    """What was sent after the opening."""
    return [output.event for output in script.all if isinstance(output, SendEvent)][1:]


def turns(script: Script) -> list[tuple[str, str, bool]]:
    """The conversation as it is remembered, in order."""
    [answered] = [output for output in script.order("transcript", limit=10) if isinstance(output, Answered)]
    return [(turn["role"], turn["text"], turn["interrupted"]) for turn in answered.result["turns"]]


@settings(max_examples=150)
@given(st.data())
def test_a_turn_and_its_answer(data: st.DataObject) -> None:
    script = Script()
    answer = reply("a1", "r1", _PCM[:3], ["Good ", "day ", "to you."], "u1 committed")
    play_in_any_order(data, script, [*user("u1", "Hello there."), *answer, *rate_limits()])
    script.started("a1")
    script.finished("a1", 600)
    assert sound_of(script, "a1") == b"".join(_PCM[:3])
    assert ended(script.all) == ["a1"]
    assert sent_to_server(script) == []
    assert turns(script) == [("user", "Hello there.", False), ("assistant", "Good day to you.", False)]
    assert sorted((turn["role"], turn["heard"]) for turn in published(script.all, "turn")) == [
        ("assistant", "Good day to you."),
        ("user", "Hello there."),
    ]
    assert len(published(script.all, "response.done")) == 1
    assert published(script.all, "state")[-1] == {"state": "listening"}
    assert published(script.all, "error") == []


def _flushed(script: Script) -> None:
    heard = (PartHeard("a1", 0, 300),)
    script.do(script.session.heard(Flushed(script.session.epoch, heard, 300, 70, True), script.now))


@settings(max_examples=150)
@given(st.data())
def test_a_barge_in_and_the_next_answer(data: st.DataObject) -> None:
    script = Script()
    script.created("r1")
    script.announced("a1")
    for piece in _PCM[:3]:
        script.delta("a1", piece)
    script.event("response.output_audio_transcript.delta", **_part("a1", "r1", delta=_STORY))
    script.started("a1")
    cancelled = {"id": "r1", "status": "cancelled", "status_details": {"type": "cancelled", "reason": "turn_detected"}}
    in_flight = data.draw(st.booleans(), "sound is in flight when the user speaks")
    late = [Step("a1 late", lambda script: script.feed(delta("a1", _PCM[3])), ("u2 started",))] if in_flight else []
    end = [
        *late,
        _says("a1 sounded", "response.output_audio.done", (), True, **_part("a1", "r1")),
        _says("a1 said", "response.output_audio_transcript.done", (), True, **_part("a1", "r1", transcript=_STORY)),
        _says("a1 output done", "response.output_item.done", (), True, response_id="r1", item=_item("a1", "assistant")),
        _says("r1 done", "response.done", (), response=cancelled),
    ]
    playback = [Step("flushed", _flushed, ("u2 started",))]
    answer = reply("a2", "r2", _PCM[:2], ["As ", "you like."], "u2 committed", "r1 done")
    play_in_any_order(data, script, [*user("u2", "Stop that."), end, playback, *answer, *rate_limits()])
    script.started("a2")
    script.finished("a2", 400)
    assert sound_of(script, "a1") == b"".join(_PCM[:3])
    assert sound_of(script, "a2") == b"".join(_PCM[:2])
    assert [reason for _, reason in flushes(script.all)] == ["speech_started"]
    assert sent_to_server(script) == [events.ItemTruncate(item_id="a1", content_index=0, audio_end_ms=300)]
    assert turns(script) == [
        ("assistant", _STORY, True),
        ("user", "Stop that.", False),
        ("assistant", "As you like.", False),
    ]
    cut = [turn for turn in published(script.all, "turn") if turn["interrupted"]]
    assert [(turn["item_id"], turn["played_ms"]) for turn in cut] == [("a1", 300)]
    assert published(script.all, "state")[-1] == {"state": "listening"}


@settings(max_examples=150)
@given(st.data())
def test_tool_calls_and_what_follows(data: st.DataObject) -> None:
    script = Script(settings=SETTINGS | {"tools": [_TOOL]})
    strands: list[list[Step]] = []
    calls = data.draw(st.integers(1, 2), "calls")
    items = [
        {"id": f"f{n}", "type": "function_call", "call_id": f"c{n}", "name": "look", "arguments": "{}", "status": "completed"}
        for n in range(calls)
    ]
    main = [_says("r1 created", "response.created", ("u1 committed",), response={"id": "r1"})]
    for item in items:
        opened = {**item, "arguments": "", "status": "in_progress"}
        done = {"response_id": "r1", "item_id": item["id"], "call_id": item["call_id"], "output_index": 0}
        main += [
            _says("output", "response.output_item.added", (), True, response_id="r1", item=opened),
            _says("added", "conversation.item.added", (), True, item=opened),
            _says("piece", "response.function_call_arguments.delta", (), True, **done, delta="{}"),
            _says("arguments", "response.function_call_arguments.done", (), True, **done, name="look", arguments="{}"),
            _says("item done", "conversation.item.done", (), True, item=item),
            _says("output done", "response.output_item.done", (), True, response_id="r1", item=item),
        ]
        strands.append([_result(item["call_id"])])
    main.append(_says("r1 done", "response.done", (), response={"id": "r1", "status": "completed", "output": items}))
    play_in_any_order(data, script, [*user("u1", "Look at it."), main, *strands, *rate_limits()])
    called = published(script.all, "tool.call")
    assert sorted(call["call_id"] for call in called) == [item["call_id"] for item in items]
    told = sent_to_server(script)
    outputs = [event.item.call_id for event in told if isinstance(event, events.ItemCreate)]
    assert sorted(filter(None, outputs)) == [item["call_id"] for item in items]
    assert [type(event) for event in told] == [events.ItemCreate] * calls + [events.ResponseCreate]
    assert turns(script) == [("user", "Look at it.", False)]
    assert published(script.all, "error") == []


def _result(call_id: str) -> Step:
    """A script answers as soon as it was asked, or later."""
    return Step(
        f"{call_id} result",
        lambda script: script.order("tool_result", call_id=call_id, output="seen"),
        when=lambda script: any(call["call_id"] == call_id for call in published(script.all, "tool.call")),
    )
