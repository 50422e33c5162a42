"""The engine without I/O: order, states and final payloads."""

import base64
from typing import Any

import pytest

from tests.embedded.driver import Driver, error, one, types
from voiced.embedded import ear
from voiced.embedded.engine import SESSION_S
from voiced.embedded.work import Drop, HangUp, Recognise, Said, Speak, Think

ANSWER = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
END = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


def audio_of(events: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(event["delta"]) for event in events if event["type"] == "response.output_audio.delta")


def transcript_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_audio_transcript.delta")


def test_the_first_event_shows_the_whole_configuration() -> None:
    driver = Driver()
    session = one(driver.take(driver.engine.opened()), "session.created")["session"]
    assert session["type"] == "realtime"
    assert session["object"] == "realtime.session"
    assert session["model"] == "test-model"
    assert session["expires_at"] == 1_800_000_000 + SESSION_S
    assert session["output_modalities"] == ["audio"]
    assert session["max_output_tokens"] == "inf"
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
    detection = session["audio"]["input"]["turn_detection"]
    assert (detection["type"], detection["threshold"]) == ("server_vad", 0.5)
    assert (detection["prefix_padding_ms"], detection["silence_duration_ms"]) == (300, 200)


def test_a_spoken_turn_and_its_answer_come_in_the_order_of_the_wire() -> None:
    driver = Driver()
    heard = driver.turn("What time is it?")
    assert types(heard) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert {event["item_id"] for event in heard[:3]} == {heard[3]["item"]["id"]}
    assert driver.last(Think).said == (Said("user", "What time is it?"),)
    said = driver.reply("It is noon. Time for lunch.")
    assert types(said)[:3] == ANSWER
    assert types(said)[-6:] == END
    deltas = types(said)[3:-6]
    assert set(deltas) == {"response.output_audio.delta", "response.output_audio_transcript.delta"}
    assert deltas.index("response.output_audio.delta") == 1  # its words before it
    assert one(said, "conversation.item.added")["previous_item_id"] == heard[3]["item"]["id"]


def test_the_clock_of_speech_is_that_of_the_audio_appended() -> None:
    driver = Driver()
    started, stopped = driver.hear((0.0, 960), (0.9, 640), (0.0, 320))[:2]
    assert started["audio_start_ms"] == 960 - 300
    assert stopped["audio_end_ms"] == 960 + 640 + 224  # 200 ms of silence in windows of 32
    pcm = driver.last(Recognise).pcm
    assert len(pcm) == (stopped["audio_end_ms"] - started["audio_start_ms"]) * 48


def test_one_large_append_makes_the_same_turns_as_many_small_ones() -> None:
    small, large = Driver(), Driver()
    for _ in range(20):
        small.hear((0.0, 32))
    for _ in range(20):
        small.hear((0.9, 32))
    for _ in range(40):
        small.hear((0.0, 32))
    large.send("input_audio_buffer.append", audio=base64.b64encode(b"\x01\x02" * (24 * 32 * 80)).decode())
    large.take(large.engine.hear([0.0] * 20 + [0.9] * 20 + [0.0] * 40, 0.0))
    assert [{**event, "event_id": ""} for event in small.sent_since()] == [{**event, "event_id": ""} for event in large.sent_since()]
    assert small.last(Recognise).pcm == large.last(Recognise).pcm


def test_final_payloads_are_the_deltas_together() -> None:
    driver = Driver()
    driver.turn()
    said = driver.reply("It is noon. Time for lunch.", 1000)
    done = one(said, "response.done")["response"]
    text = transcript_of(said)
    assert text == "It is noon. Time for lunch."
    assert one(said, "response.output_audio_transcript.done")["transcript"] == text
    assert one(said, "response.content_part.done")["part"] == {"type": "audio", "transcript": text}
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": text}]
    assert (done["status"], done["output"][0]["status"]) == ("completed", "completed")
    assert done["usage"]["output_token_details"]["audio_tokens"] == 2000 // 50
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]
    item = one(driver.send("conversation.item.retrieve", item_id=done["output"][0]["id"]), "conversation.item.retrieved")["item"]
    assert base64.b64decode(item["content"][0]["audio"]) == audio_of(said)


def test_deltas_are_short_first_then_a_quarter_of_a_second() -> None:
    driver = Driver()
    driver.turn()
    said = driver.reply("One sentence only.", 1000)
    sizes = [len(base64.b64decode(event["delta"])) for event in said if event["type"] == "response.output_audio.delta"]
    assert sizes == [60 * 48, 12_000, 12_000, 12_000, (1000 - 60 - 750) * 48]


def test_sentences_are_spoken_one_by_one_and_sound_in_order() -> None:
    driver = Driver()
    driver.turn()
    driver.think("First one. Second one. Th", last=False)
    assert [request.text for request in driver.requests if isinstance(request, Speak)] == ["First one.", "Second one."]
    rid = driver.last(Think).response_id
    driver.take(driver.engine.spoken(rid, 1, b"\x02\x02" * 2400))
    assert not driver.engine.has_delta  # the second waits for the first
    driver.take(driver.engine.spoken(rid, 0, b"\x01\x01" * 2400))
    sound = audio_of(driver.drain())
    assert sound == b"\x01\x01" * 2400 + b"\x02\x02" * 2400
    driver.think("ird.")
    driver.speak(100)
    assert "response.done" in types(driver.drain())


def test_barge_in_stops_a_burst_between_two_deltas() -> None:
    driver = Driver()
    driver.turn()
    driver.think("A long story begins. And goes on.")
    driver.speak(5000)
    before = driver.drain(limit=3)
    driver.sent_since()
    after = driver.hear((0.9, 96))
    assert types(after) == ["input_audio_buffer.speech_started", *END]
    done = one(after, "response.done")["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["output"][0]["status"] == "incomplete"
    assert one(after, "response.output_audio_transcript.done")["transcript"] == transcript_of(before)
    assert done["usage"]["output_token_details"]["audio_tokens"] == len(audio_of(before)) // 48 // 50
    assert not driver.engine.has_delta
    assert driver.requests[-1] == Drop(done["id"])


def test_what_arrives_late_for_a_cancelled_response_is_ignored() -> None:
    driver = Driver()
    driver.turn()
    driver.think("Too late.", last=False)
    rid = driver.last(Think).response_id
    driver.send("response.cancel")
    driver.sent_since()
    assert driver.take(driver.engine.thought(rid, "more.", True)) == []
    assert driver.take(driver.engine.spoken(rid, 0, bytes(4800))) == []
    assert driver.take(driver.engine.speak_failed(rid, "broken")) == []
    assert not driver.engine.has_delta


def test_a_response_cancelled_before_it_said_anything_has_no_output_and_zero_usage() -> None:
    driver = Driver()
    driver.turn()
    done = one(driver.send("response.cancel"), "response.done")["response"]
    assert done["output"] == []
    assert done["status_details"]["reason"] == "client_cancelled"
    assert done["usage"]["total_tokens"] == 0


def test_interruptions_may_be_switched_off() -> None:
    driver = Driver(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
    driver.turn()
    running = driver.last(Think).response_id
    after = driver.hear((0.0, 320), (0.9, 320), (0.0, 320))
    assert types(after)[0] == "input_audio_buffer.speech_started"
    assert "response.done" not in types(after)
    assert running in error(after[-1:])["message"]


def test_answers_may_be_switched_off() -> None:
    driver = Driver(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    assert "response.created" not in types(driver.turn())


def test_push_to_talk() -> None:
    driver = Driver(audio={"input": {"turn_detection": None}})
    assert driver.hear((0.9, 960), (0.0, 960)) == []
    committed = driver.send("input_audio_buffer.commit")
    assert types(committed) == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    assert len(driver.last(Recognise).pcm) == 1920 * 48
    assert types(driver.send("response.create")) == ["response.created"]
    assert not any(isinstance(request, Think) for request in driver.requests)  # it waits for the words
    driver.recognise("hello")
    assert driver.last(Think).said == (Said("user", "hello"),)


def test_an_answer_waits_for_all_the_words_it_answers_to() -> None:
    driver = Driver(audio={"input": {"turn_detection": None}})
    for _ in range(2):
        driver.hear((0.9, 960))
        driver.send("input_audio_buffer.commit")
    driver.send("response.create")
    first, second = (request.item_id for request in driver.requests if isinstance(request, Recognise))
    driver.take(driver.engine.recognised(second, "two"))
    assert not any(isinstance(request, Think) for request in driver.requests)
    driver.take(driver.engine.recognised(first, "one"))
    assert driver.last(Think).said == (Said("user", "one"), Said("user", "two"))


def test_the_padding_before_a_turn_does_not_reach_into_the_turn_before() -> None:
    driver = Driver()
    stopped = driver.hear((0.0, 640), (0.9, 640), (0.0, 224))[1]
    started = driver.hear((0.9, 96))[0]
    assert started["audio_start_ms"] == stopped["audio_end_ms"]


def test_semantic_vad_is_more_patient() -> None:
    driver = Driver(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "medium"}}})
    assert types(driver.hear((0.0, 320), (0.9, 320), (0.0, 480))) == ["input_audio_buffer.speech_started"]
    assert types(driver.hear((0.0, 160)))[0] == "input_audio_buffer.speech_stopped"


def test_a_commit_of_under_100_ms_is_refused() -> None:
    driver = Driver(audio={"input": {"turn_detection": None}})
    driver.hear((0.0, 96))
    refused = error(driver.send("input_audio_buffer.commit", event_id="mine"))
    assert refused["code"] == "input_audio_buffer_commit_empty"
    assert "96.00ms" in refused["message"]
    assert refused["event_id"] == "mine"


def test_a_commit_after_the_servers_own_is_refused() -> None:
    driver = Driver()
    driver.hear((0.0, 320), (0.9, 320), (0.0, 224))
    assert error(driver.send("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"


def test_clear_forgets_the_sound_and_the_turn() -> None:
    driver = Driver()
    driver.hear((0.0, 320), (0.9, 320))
    assert types(driver.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert driver.hear((0.0, 640)) == []
    assert driver.hear((0.9, 96))[0]["audio_start_ms"] == 1280 - 300


def test_audio_of_an_odd_number_of_bytes_is_refused_and_not_kept() -> None:
    driver = Driver(audio={"input": {"turn_detection": None}})
    refused = error(driver.send("input_audio_buffer.append", audio=base64.b64encode(b"abc").decode(), event_id="odd"))
    assert (refused["code"], refused["param"], refused["event_id"]) == ("invalid_value", "audio", "odd")
    assert "0.00ms" in error(driver.send("input_audio_buffer.commit"))["message"]


def test_silence_without_end_is_not_kept() -> None:
    driver = Driver()
    for _ in range(100):
        driver.hear((0.0, 3200))
    assert len(driver.engine._ear._kept) < 6 * 48_000


def test_transcription_is_reported_when_asked_for_and_known_to_the_brain_always() -> None:
    silent, asked = Driver(), Driver(audio={"input": {"transcription": {"model": "whisper-1"}}})
    assert "conversation.item.input_audio_transcription.completed" not in types(silent.turn("hi"))
    completed = one(asked.turn("hi"), "conversation.item.input_audio_transcription.completed")
    assert (completed["transcript"], completed["content_index"]) == ("hi", 0)
    assert completed["usage"]["type"] == "duration"
    assert silent.last(Think).said == asked.last(Think).said == (Said("user", "hi"),)


def test_without_recognition_the_client_is_told_and_the_brain_too() -> None:
    driver = Driver(audio={"input": {"transcription": {"model": "whisper-1"}}})
    failed = one(driver.turn(None), "conversation.item.input_audio_transcription.failed")
    assert failed["error"]["message"] == "no ears"
    assert driver.last(Think).said == (Said("user", None),)


def test_text_in_and_text_out() -> None:
    driver = Driver(output_modalities=["text"])
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    assert types(driver.send("conversation.item.create", item=item)) == ["conversation.item.added", "conversation.item.done"]
    driver.send("response.create")
    said = driver.think("Good ", "day.")
    assert types(said)[3:] == [
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        *END[2:],
    ]
    assert one(said, "response.done")["response"]["output"][0]["content"] == [{"type": "output_text", "text": "Good day."}]


def test_a_second_response_is_refused_and_the_running_one_named() -> None:
    driver = Driver()
    driver.turn()
    refused = error(driver.send("response.create", event_id="again"))
    assert refused["code"] == "conversation_already_has_active_response"
    assert driver.last(Think).response_id in refused["message"]
    assert refused["event_id"] == "again"


def test_a_cancel_with_nothing_to_cancel_is_refused() -> None:
    driver = Driver()
    assert error(driver.send("response.cancel"))["code"] == "response_cancel_not_active"
    driver.turn()
    assert error(driver.send("response.cancel", response_id="resp_other"))["code"] == "response_cancel_not_active"


def test_an_out_of_band_response_leaves_no_trace() -> None:
    driver = Driver()
    driver.turn()
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "aside"}]}
    created = driver.send("response.create", response={"conversation": "none", "metadata": {"k": "v"}, "input": [item]})
    aside = one(created, "response.created")["response"]
    assert (aside["conversation_id"], aside["metadata"]) == (None, {"k": "v"})
    assert driver.last(Think).said == (Said("user", "aside"),)
    said = driver.reply("Psst.")
    assert "conversation.item.added" not in types(said)
    assert one(said, "response.done")["response"]["id"] == aside["id"]
    assert error(driver.send("conversation.item.retrieve", item_id=one(said, "response.output_item.added")["item"]["id"]))
    # It did not lock the voice, the user's speech does not cancel it, and the conversation's own response still runs.
    assert types(driver.send("session.update", session={"type": "realtime", "audio": {"output": {"voice": "cedar"}}})) == [
        "session.updated"
    ]
    assert error(driver.send("response.create"))["code"] == "conversation_already_has_active_response"


def test_speech_does_not_cancel_an_out_of_band_response() -> None:
    driver = Driver()
    driver.send("response.create", response={"conversation": "none"})
    assert types(driver.hear((0.0, 320), (0.9, 320))) == ["input_audio_buffer.speech_started"]


def test_context_may_be_given_by_reference() -> None:
    driver = Driver()
    driver.turn("first")
    driver.reply("Fine.")
    driver.turn("second")
    driver.send("response.cancel")
    first = driver.engine._conversation.entries()[0].id
    driver.send("response.create", response={"input": [{"type": "item_reference", "id": first}]})
    assert driver.last(Think).said == (Said("user", "first"),)
    driver.send("response.cancel")
    unknown = {"conversation": "none", "input": [{"type": "item_reference", "id": "item_x"}]}
    assert error(driver.send("response.create", response=unknown))["code"] == "item_not_found"


def test_overrides_are_for_one_response() -> None:
    driver = Driver(instructions="Be brief.")
    created = driver.send("response.create", response={"output_modalities": ["text"], "instructions": "Sing."})
    assert one(created, "response.created")["response"]["output_modalities"] == ["text"]
    assert driver.last(Think).instructions == "Sing."
    driver.think("La.")
    assert one(driver.send("response.create"), "response.created")["response"]["output_modalities"] == ["audio"]
    assert driver.last(Think).instructions == "Be brief."


@pytest.mark.parametrize(
    "bad", [{"output_modalities": ["smell"]}, {"max_output_tokens": 0}, {"audio": {"input": {}}}, {"conversation": "both"}]
)
def test_a_bad_override_starts_nothing(bad: dict[str, Any]) -> None:
    driver = Driver()
    assert error(driver.send("response.create", response=bad))["param"].startswith("response")
    assert types(driver.send("response.create")) == ["response.created"]


def test_a_limit_of_tokens_ends_the_response_incomplete() -> None:
    driver = Driver(max_output_tokens=10)
    driver.turn()
    said = driver.reply("A long story.", 5000)
    done = one(said, "response.done")["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert len(audio_of(said)) == 10 * 50 * 48
    assert types(said)[-6:] == END


def test_a_failure_of_the_brain_or_the_voice_ends_the_response_failed() -> None:
    driver = Driver()
    driver.turn()
    done = one(driver.take(driver.engine.speak_failed(driver.last(Think).response_id, "no voice here")), "response.done")["response"]
    assert (done["status"], done["status_details"]["error"]["message"]) == ("failed", "no voice here")
    assert types(driver.send("response.create")) == ["response.created"]


def test_an_unknown_event_is_refused_politely_and_the_session_lives() -> None:
    driver = Driver()
    refused = error(driver.send("session.dance", event_id="e1"))
    assert (refused["type"], refused["code"], refused["param"], refused["event_id"]) == (
        "invalid_request_error",
        "invalid_value",
        "type",
        "e1",
    )
    assert types(driver.send("response.create")) == ["response.created"]


@pytest.mark.parametrize(
    ("text", "code"), [("{}", "invalid_event"), ('{"type": "conversation.item.delete"}', "missing_required_parameter")]
)
def test_what_is_no_event_is_refused(text: str, code: str) -> None:
    from voiced.network import events as wire

    driver = Driver()
    with pytest.raises(wire.WireMalformed) as caught:
        wire.decode_client(text)
    assert error(driver.take(driver.engine.refuse(caught.value)))["code"] == code


def test_every_event_has_an_id_of_its_own() -> None:
    driver = Driver()
    driver.turn()
    driver.reply()
    driver.turn("more")
    ids = [event["event_id"] for event in driver.events]
    assert len(set(ids)) == len(ids) > 20


def test_the_session_ends_after_an_hour() -> None:
    driver = Driver()
    assert driver.engine.deadline == SESSION_S
    assert driver.take(driver.engine.tick(SESSION_S - 1)) == []
    assert error(driver.take(driver.engine.tick(SESSION_S)))["code"] == "session_expired"
    assert isinstance(driver.requests[-1], HangUp)
    assert driver.requests[-1].code == 1001


def test_an_idle_user_is_spoken_to() -> None:
    driver = Driver(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}}})
    driver.turn()
    driver.now = 10.0
    driver.hear((0.0, 32))
    driver.reply("Done.", 2000)
    assert driver.engine.deadline == pytest.approx(10 + 2 + 6)
    driver.hear((0.0, 960))
    after = driver.take(driver.engine.tick(18.0))
    assert types(after)[:4] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert types(after)[4] == "response.created"


def test_after_an_interruption_the_brain_knows_what_was_heard() -> None:
    driver = Driver()
    driver.turn("read")
    driver.think("One two three four five six seven eight nine ten. Eleven twelve.")
    driver.speak(10_000)
    driver.drain(limit=9)  # 60 + 8 * 250 ms: the words of the first two seconds
    item = driver.engine._conversation.entries()[-1].id
    driver.hear((0.9, 96))
    truncated = driver.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=1000)
    assert types(truncated) == ["conversation.item.truncated"]
    driver.hear((0.9, 320), (0.0, 320))
    driver.recognise("go on")
    said = driver.last(Think).said
    assert said[1].role == "assistant"
    assert f"{said[1].text} {said[1].unheard}" == "One two three four five six seven eight nine ten. Eleven twelve."
    assert said[1].text in ("One", "One two")


def test_a_turn_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ear, "_MAX_TURN_BYTES", 10_000 * 48)
    driver = Driver()
    driver.hear((0.9, 25_000))
    sent = types(driver.sent_since())
    assert sent.count("input_audio_buffer.committed") == 2
    assert sent.count("input_audio_buffer.speech_started") == 3
    assert "error" not in sent
    assert len(driver.last(Recognise).pcm) == pytest.approx(10_000 * 48, rel=0.01)


def test_who_never_commits_loses_the_oldest_sound_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ear, "_MAX_BUFFER_BYTES", 1000 * 48)
    driver = Driver(audio={"input": {"turn_detection": None}})
    assert driver.hear((0.9, 3200)) == []
    assert driver.hear((0.9, 320)) == []
    driver.send("input_audio_buffer.commit")
    assert len(driver.last(Recognise).pcm) == 1000 * 48


def test_the_longest_prefix_is_kept() -> None:
    driver = Driver(audio={"input": {"turn_detection": {"type": "server_vad", "prefix_padding_ms": 5000}}})
    driver.hear((0.0, 9600), (0.9, 320))
    assert one(driver.sent_since(), "input_audio_buffer.speech_started")["audio_start_ms"] == 4600


def test_the_item_of_the_turn_in_progress_can_not_be_created() -> None:
    driver = Driver()
    driver.hear((0.0, 320), (0.9, 320))
    announced = one(driver.sent_since(), "input_audio_buffer.speech_started")["item_id"]
    item = {"type": "message", "id": announced, "role": "user", "content": []}
    assert error(driver.send("conversation.item.create", item=item))["param"] == "item.id"
    assert one(driver.hear((0.0, 640)), "input_audio_buffer.committed")["item_id"] == announced


def test_four_responses_run_beside_the_conversations_own() -> None:
    driver = Driver()
    beside = {"conversation": "none"}
    for _ in range(4):
        assert types(driver.send("response.create", response=beside)) == ["response.created"]
    assert error(driver.send("response.create", response=beside))["code"] == "rate_limit_exceeded"
    assert types(driver.send("response.create")) == ["response.created"]


def test_written_answers_obey_their_limit() -> None:
    driver = Driver(output_modalities=["text"], max_output_tokens=2)
    driver.send("response.create")
    news = driver.think("Twelve letters", " and more.")
    assert "".join(event["delta"] for event in news if event["type"] == "response.output_text.delta") == "Twelve l"
    done = one(news, "response.done")["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert types(driver.send("response.create")) == ["response.created"]
