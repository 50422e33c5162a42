import json

import pytest

from tests.network.script import SETTINGS, Script, published
from voiced import messages
from voiced.network.outputs import Fail, LogLine
from voiced.network.quote import Quote

KEY = SETTINGS["token"]


def test_the_key_is_gone_before_the_text_is_cut() -> None:
    assert Quote("k" * 40)("x" * 180 + "k" * 40) == "x" * 180 + "***"
    assert Quote("")("abc") == "abc"
    assert Quote(None)("abc") == "abc"


def test_keys_of_a_command_pass_but_those_of_the_settings_are_kept() -> None:
    quote = Quote("sk-main")
    for number in range(20):
        quote.hide(f"auth-{number}.")
    for number in range(20):
        quote.hide(f"hourly-{number}.", passing=True)
        quote.hide("hourly-0.", passing=True)  # it is told again and again
    quote.hide("sk-main", passing=True)
    assert quote("sk-main auth-0. auth-19. hourly-19. hourly-0.") == "*** *** *** *** ***"
    assert quote("hourly-1.") == "hourly-1."


def test_a_quote_is_one_short_line_that_msgpack_takes() -> None:
    said = Quote("")("a\x1b[31m\r\nb\t\u202e\ud800c" + "d" * 999)
    assert said.startswith("a [31m b ?c")
    assert len(said) == 200
    messages.encode(messages.Log(30, said))


NASTY = f"key {KEY} \x1b[2J\n" + "x" * 5000


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": {"type": "t", "code": "invalid_value", "message": NASTY}},
        {"type": "error", "error": {"type": "t", "code": NASTY, "message": "no"}},
        {"type": "error", "error": {"type": "t", "code": "invalid_api_key", "message": NASTY}},
        {
            "type": "response.done",
            "response": {"id": "r1", "status": "failed", "status_details": {"error": {"code": "c", "message": NASTY}}},
        },
        {"type": "response.done", "response": {"id": "r1", "status": "incomplete", "status_details": {"reason": NASTY}}},
        {"type": "conversation.item.input_audio_transcription.failed", "item_id": "u1", "content_index": 0, "error": {"message": NASTY}},
    ],
)
def test_whatever_the_server_says_is_quoted(event: dict[str, object]) -> None:
    script = Script()
    script.feed(json.dumps(event).encode())
    said = [output.text for output in script.all if isinstance(output, LogLine)]
    said += [output.error.message for output in script.all if isinstance(output, Fail)]
    for topic in ("error", "response.done", "session"):
        said += [value for data in published(script.all, topic) for value in data.values() if isinstance(value, str)]
    assert "***" in repr(script.out)
    assert KEY not in repr(script.out)
    assert all(len(text) <= 400 and text.isprintable() for text in said)


def test_a_loss_is_quoted_everywhere() -> None:
    script = Script()
    script.do(script.session.lost(f"closed: {KEY}\x07", 1, 0.5, script.now))
    assert script.session.facts(0.0)["last_error"] == "closed: ***"
    assert KEY not in repr(script.out)


def test_a_server_that_repeats_itself_is_heard_once_a_second() -> None:
    script = Script()
    for number in range(100):
        script.event("error", error={"type": "t", "code": "slow_down", "message": f"no {number}"})
    assert [data["message"] for data in published(script.out, "error")] == ["no 0"]
    assert len([output for output in script.out if isinstance(output, LogLine)]) == 1
    script.wait(1000)
    script.event("error", error={"type": "t", "code": "slow_down", "message": "again"})
    assert [data["message"] for data in published(script.out, "error")] == [
        "no 0",
        "again (99 more errors of the server's were not told)",
    ]


def test_new_codes_do_not_get_round_it() -> None:
    script = Script()
    for number in range(100):
        script.event("error", error={"type": "t", "code": f"c{number}", "message": "no"})
    assert len(published(script.out, "error")) == 8
