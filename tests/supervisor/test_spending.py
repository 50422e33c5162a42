import json
from typing import Any

import pytest

from voiced.keys import TABLES
from voiced.supervisor.prices import BUILT_IN, priced, row_for
from voiced.supervisor.spending import RESPONSE, TRANSCRIPTION, Tally, counted, row_of, spendings

#: As response.done carries it (realtime-protocol 6.1).
USAGE: dict[str, Any] = {
    "total_tokens": 1800,
    "input_tokens": 1600,
    "output_tokens": 200,
    "input_token_details": {
        "text_tokens": 900,
        "audio_tokens": 600,
        "image_tokens": 100,
        "cached_tokens": 1200,
        "cached_tokens_details": {"text_tokens": 800, "audio_tokens": 350, "image_tokens": 50},
    },
    "output_token_details": {"text_tokens": 50, "audio_tokens": 150},
}
COUNTS = {
    "times": 1,
    "text_in": 900,
    "audio_in": 600,
    "image_in": 100,
    "text_cached": 800,
    "audio_cached": 350,
    "image_cached": 50,
    "text_out": 50,
    "audio_out": 150,
}


def test_a_response_by_kind_and_cached_part() -> None:
    assert counted(RESPONSE, USAGE) == COUNTS


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        # the early beta: no image, no cached details; the prefix, where the instructions are, is cached first
        (
            {
                "input_tokens": 150,
                "output_tokens": 10,
                "input_token_details": {"text_tokens": 100, "audio_tokens": 50, "cached_tokens": 120},
                "output_token_details": {"text_tokens": 4, "audio_tokens": 6},
            },
            {"text_in": 100, "audio_in": 50, "text_cached": 100, "audio_cached": 20, "text_out": 4, "audio_out": 6},
        ),
        # totals alone count as speech; beside details, what no detail claims is text
        ({"input_tokens": 7, "output_tokens": 5}, {"audio_in": 7, "audio_out": 5}),
        (
            {
                "input_tokens": 9,
                "output_tokens": 9,
                "input_token_details": {"audio_tokens": 5},
                "output_token_details": {"audio_tokens": 6},
            },
            {"audio_in": 5, "text_in": 4, "audio_out": 6, "text_out": 3},
        ),
        ({"input_tokens": 7, "input_token_details": None, "output_token_details": None}, {"audio_in": 7}),
        # more cached than there is
        (
            {
                "input_token_details": {
                    "text_tokens": 5,
                    "cached_tokens": 100,
                    "cached_tokens_details": {"text_tokens": 9, "audio_tokens": 9},
                }
            },
            {"text_in": 5, "text_cached": 5},
        ),
        # of one kind more than there is: not the other's
        (
            {"input_token_details": {"text_tokens": 5, "audio_tokens": 9, "cached_tokens_details": {"text_tokens": 9}}},
            {"text_in": 5, "audio_in": 9, "text_cached": 5},
        ),
        # details that say more than the sum
        ({"input_tokens": 3, "input_token_details": {"text_tokens": 5, "audio_tokens": 5}}, {"text_in": 5, "audio_in": 5}),
    ],
)
def test_what_servers_leave_out(usage: dict[str, Any], counts: dict[str, int]) -> None:
    assert counted(RESPONSE, usage) == {"times": 1} | counts


@pytest.mark.parametrize("nonsense", [None, -1, float("nan"), float("inf"), "12", True, [], {}, 10**400, 10**8, b""])
def test_nonsense_counts_for_nothing(nonsense: Any) -> None:
    def spoilt(usage: Any) -> Any:
        return {name: spoilt(value) for name, value in usage.items()} if isinstance(usage, dict) else nonsense

    for usage in (nonsense, spoilt(USAGE), dict.fromkeys(USAGE, nonsense), {"seconds": nonsense}):
        for kind in (RESPONSE, TRANSCRIPTION):
            assert counted(kind, usage) == {"times": 1}


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"type": "duration", "seconds": 2.5}, {"ms": 2500}),
        ({"seconds": 3}, {"ms": 3000}),
        (
            {
                "type": "tokens",
                "total_tokens": 33,
                "input_tokens": 25,
                "input_token_details": {"text_tokens": 5, "audio_tokens": 20},
                "output_tokens": 8,
            },
            {"text_in": 5, "audio_in": 20, "text_out": 8},
        ),
        ({"type": "tokens", "input_tokens": 25, "output_tokens": 8, "seconds": 3}, {"audio_in": 25, "text_out": 8}),
        ({"type": "duration"}, {}),
    ],
)
def test_a_transcription_by_time_or_by_tokens(usage: dict[str, Any], counts: dict[str, int]) -> None:
    assert counted(TRANSCRIPTION, usage) == {"times": 1} | counts


# money -------------------------------------------------------------------------------------------------------------------


def test_each_token_is_paid_once() -> None:
    # (100 * 4 + 800 * 0.40 + 50 * 24) text, (250 * 32 + 350 * 0.40 + 150 * 64) audio, (50 * 5 + 50 * 0.50) image
    usd, known = priced(COUNTS, BUILT_IN["gpt-realtime-2.1"])
    assert usd == pytest.approx(0.019935)
    assert known


def test_sixty_seconds_of_speech_as_worked_out_in_the_protocol_notes() -> None:
    row = BUILT_IN["gpt-realtime-2.1"]
    assert priced({"audio_out": 1200}, row)[0] == pytest.approx(0.0768)
    assert priced({"audio_in": 600}, row)[0] == pytest.approx(0.0192)


@pytest.mark.parametrize(
    ("row", "counts", "paid"),
    [
        ({"minute": 0.06}, {"ms": 30_000}, (0.03, True)),
        ({"minute": 0.06}, {"audio_in": 10}, (0.0, False)),
        ({"audio_in": 3.0}, {"ms": 30_000}, (0.0, False)),
        ({"audio_in": 3.0, "minute": 0.06}, {"ms": 30_000, "audio_in": 1_000_000}, (3.03, True)),
        ({}, {"ms": 30_000, "audio_in": 5}, (0.0, True)),
        (dict.fromkeys(BUILT_IN["gpt-realtime"], 0.0), COUNTS, (0.0, True)),
        ({"text_in": 10.0}, {"text_in": 1_000_000, "text_cached": 500_000}, (10.0, True)),
        (None, {"text_out": 1}, (0.0, False)),
        (None, {"ms": 1}, (0.0, False)),
        (None, {"times": 1}, (0.0, True)),
    ],
)
def test_what_is_not_known_is_said_to_be_so(row: Any, counts: dict[str, int], paid: tuple[float, bool]) -> None:
    usd, known = priced(counts, row)
    assert usd == pytest.approx(paid[0])
    assert known is paid[1]


def test_whose_prices_hold() -> None:
    own = {"gpt-realtime": {"text_in": 1.0}, "gpt-realtime-2025-08-28": {"text_in": 2.0}, "broken": {"text_in": float("inf")}}
    assert row_for("gpt-realtime", own) == own["gpt-realtime"]
    assert row_for("gpt-realtime-2025-08-28", own) == own["gpt-realtime-2025-08-28"]
    assert row_for("gpt-realtime-2099-01-01", own) == own["gpt-realtime"]
    assert row_for("gpt-realtime-mini-2025-12-15", own) == BUILT_IN["gpt-realtime-mini"]
    assert row_for("broken", own) is row_for("my-deployment", own) is row_for("", own) is None
    assert priced(COUNTS, row_for("voiced-embedded", {})) == (0.0, True)


def test_every_key_of_a_built_in_row_is_one_that_a_row_of_the_settings_may_have() -> None:
    assert {name for row in BUILT_IN.values() for name in row} <= set(TABLES["prices"].keys)


# sums and rows -----------------------------------------------------------------------------------------------------------


def test_a_tally_shows_responses_and_transcriptions_apart() -> None:
    tally = Tally()
    for _ in range(2):
        tally.add(RESPONSE, "gpt-realtime-2.1", COUNTS)
    tally.add(TRANSCRIPTION, "gpt-4o-mini-transcribe", {"times": 1, "audio_in": 20, "text_in": 5, "text_out": 8})
    tally.add(TRANSCRIPTION, "whisper-1", {"times": 1, "ms": 30_000})
    tally.add(RESPONSE, "mystery", {"times": 1, "text_out": 3})
    assert tally.shown({}) == {
        "responses": 3,
        "transcriptions": 2,
        "input": {"text": 1800, "audio": 1200, "image": 200, "cached_text": 1600, "cached_audio": 700, "cached_image": 100},
        "output": {"text": 103, "audio": 300},
        "transcribed": {"tokens": 33, "seconds": 30.0},
        "usd": round(2 * 0.019935 + (20 * 3 + 5 * 1.25 + 8 * 5) / 1e6 + 0.003, 6),
        "unpriced": ["mystery"],
    }


def test_a_row_is_read_as_it_was_written() -> None:
    row = row_of(RESPONSE, "gpt-realtime-2.1", COUNTS, {}, 1.23456)
    assert row["usd"] == pytest.approx(0.019935)
    assert row["time"] == 1.235
    assert row_of(RESPONSE, "mystery", COUNTS, {}, 1.0)["usd"] is None
    assert list(spendings([json.loads(json.dumps(row))])) == [(RESPONSE, "gpt-realtime-2.1", COUNTS | {"ms": 0})]


def test_rows_that_are_no_spendings_are_left_out() -> None:
    rows: list[Any] = [
        {},
        {"kind": "response"},
        {"kind": "x", "model": "m"},
        {"kind": ["response"], "model": "m"},
        {"told": "cost_cap_near"},
    ]
    assert list(spendings(rows)) == []
    spoilt = {"kind": RESPONSE, "model": "m", "times": "1", "text_in": 10**400, "audio_in": -5, "ms": float("nan"), "text_out": 2}
    assert list(spendings([spoilt])) == [(RESPONSE, "m", {"times": 0, "text_in": 0, "audio_in": 0, "text_out": 2, "ms": 0})]
