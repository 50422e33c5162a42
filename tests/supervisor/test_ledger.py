import json
import math
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.supervisor import running
from voiced.supervisor.ledger import Emissions, Ledger

NOW = time.mktime((2026, 11, 22, 12, 0, 0, 0, 0, -1))
DAY_S = 86_400
#: One million tokens cost a dollar, so that money can be read off.
PRICES = {"m": {"text_out": 1.0}}


def out(dollars: float) -> dict[str, Any]:
    return {"output_token_details": {"text_tokens": round(dollars * 1e6)}}


def ledger(home: Path | None, cap_usd: float = 0.0, wall_s: float = NOW, prices: Any = PRICES) -> Ledger:
    return Ledger(home, prices, cap_usd, wall_s)


def codes(emissions: Emissions) -> list[str]:
    return [data.get("code", topic) for topic, data in emissions]


def today_usd(ledger: Ledger, wall_s: float = NOW) -> float:
    return float(ledger.snapshot(wall_s)["today"]["usd"])


def test_each_spending_says_where_we_are(home: Path) -> None:
    book = ledger(home, 5.0)
    emissions = book.spend("response", "m", out(1.5), NOW)
    assert emissions == [("usage", book.snapshot(NOW))]
    shown = emissions[0][1]
    assert (shown["cap_usd"], shown["currency"], shown["prices_as_of"]) == (5.0, "USD", "2026-11-22")
    assert shown["today"] == shown["session"]
    assert (shown["today"]["usd"], shown["today"]["responses"], shown["today"]["output"]) == (1.5, 1, {"text": 1_500_000, "audio": 0})
    assert ledger(None).snapshot(NOW)["cap_usd"] is None


def test_a_restart_knows_the_day_but_begins_a_session(home: Path) -> None:
    ledger(home).spend("response", "m", out(1.5), NOW)
    again = ledger(home)
    again.spend("transcription", "whisper-1", {"type": "duration", "seconds": 60}, NOW)
    assert today_usd(again) == 1.506
    assert again.snapshot(NOW)["session"]["usd"] == 0.006
    assert again.snapshot(NOW)["today"]["transcribed"] == {"tokens": 0, "seconds": 60.0}
    rows = [json.loads(line) for line in (home / "usage-2026-11-22.jsonl").read_text().splitlines()]
    assert [(row["kind"], row["model"], row["usd"]) for row in rows] == [("response", "m", 1.5), ("transcription", "whisper-1", 0.006)]


def test_the_cap_warns_once_and_then_stops(home: Path) -> None:
    book = ledger(home, 10.0)
    said = [codes(book.spend("response", "m", out(2.0), NOW)) for _ in range(7)]
    assert said == [
        ["usage"],
        ["usage"],
        ["usage"],
        ["usage", "cost_cap_near"],
        ["usage", "cost_cap_reached"],
        ["usage"],
        ["usage"],
    ]
    assert book.exhausted == "14 USD spent today, the daily cap is 10 USD: raise cost.daily_cap_usd, or wait until midnight"
    assert book.roll(NOW) == []


def test_what_it_says_is_an_event(home: Path) -> None:
    book = ledger(home, 1.0)
    assert book.spend("response", "m", out(0.8), NOW)[1] == (
        "error",
        {
            "code": "cost_cap_near",
            "message": "0.8 USD spent today, the daily cap is 1 USD: "
            "beyond it no session is opened until midnight; cost.daily_cap_usd raises it",
            "fatal": False,
        },
    )
    assert book.exhausted == ""
    assert book.spend("response", "m", out(0.2), NOW)[1] == (
        "error",
        {"code": "cost_cap_reached", "message": book.exhausted, "fatal": False},
    )
    assert book.exhausted


def test_a_leap_over_both_thresholds_is_one_warning(home: Path) -> None:
    assert codes(ledger(home, 1.0).spend("response", "m", out(3.0), NOW)) == ["usage", "cost_cap_reached"]


def test_a_restart_repeats_no_warning_and_stays_shut(home: Path) -> None:
    ledger(home, 1.0).spend("response", "m", out(0.9), NOW)
    again = ledger(home, 1.0)
    assert again.roll(NOW) == []
    assert codes(again.spend("response", "m", out(0.2), NOW)) == ["usage", "cost_cap_reached"]
    third = ledger(home, 1.0)
    assert third.exhausted
    assert third.roll(NOW) == []


def test_a_cap_that_was_lowered_between_runs_is_told_at_the_start(home: Path) -> None:
    ledger(home, 10.0).spend("response", "m", out(3.0), NOW)
    again = ledger(home, 2.0)
    assert again.exhausted
    assert codes(again.roll(NOW)) == ["cost_cap_reached"]
    assert again.roll(NOW) == []


def test_midnight_opens_it_again(home: Path) -> None:
    book = ledger(home, 1.0)
    book.spend("response", "m", out(1.0), NOW)
    midnight = NOW + DAY_S / 2
    assert book.roll(midnight - 1) == []
    assert codes(book.roll(midnight)) == ["usage"]
    assert (book.exhausted, today_usd(book, midnight), book.snapshot(midnight)["session"]["usd"]) == ("", 0.0, 1.0)
    assert book.roll(midnight) == []
    assert codes(book.spend("response", "m", out(1.0), midnight)) == ["usage", "cost_cap_reached"]


def test_a_look_after_midnight_sees_the_new_day_and_leaves_it_to_roll(home: Path) -> None:
    book = ledger(home, 1.0)
    book.spend("response", "m", out(1.0), NOW)
    assert today_usd(book, NOW + DAY_S) == 0.0
    assert codes(book.roll(NOW + DAY_S)) == ["usage"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_clock_that_goes_back_over_midnight_finds_what_was_spent(home: Path, kept: bool) -> None:
    book = ledger(home if kept else None, 1.0)
    book.spend("response", "m", out(1.0), NOW)
    book.roll(NOW + DAY_S)
    assert not book.exhausted
    assert codes(book.roll(NOW)) == ["usage"]
    assert book.exhausted
    assert today_usd(book) == 1.0


def test_new_settings_hold_at_once(home: Path) -> None:
    book = ledger(home, 1.0)
    book.spend("response", "m", out(1.0), NOW)
    assert codes(book.configure(PRICES, 10.0)) == ["usage"]
    assert book.exhausted == ""
    assert codes(book.configure(PRICES, 1.2)) == ["usage", "cost_cap_near"]
    assert codes(book.configure({"m": {"text_out": 5.0}}, 1.2)) == ["usage", "cost_cap_reached"]
    assert today_usd(book) == 5.0
    assert codes(book.configure({"m": {"text_out": 5.0}}, 0.0)) == ["usage"]
    assert book.exhausted == ""


def test_what_has_no_price_is_named_and_warned_of_once(home: Path) -> None:
    book = ledger(home, 1.0)
    for model in ("mystery", "", "mystery"):
        book.spend("response", model, out(1.0), NOW)
    assert book.snapshot(NOW)["today"]["unpriced"] == ["mystery", "unknown"]
    said = 'the daily cap can\'t see what {0} costs; set [prices."{0}"]'.format
    assert book.complaint == f"{said('mystery')}; {said('unknown')}"
    book.spend("response", "mystery", out(1.0), NOW)
    assert book.complaint is None


def test_a_price_that_is_given_later_holds_for_the_whole_day(home: Path) -> None:
    book = ledger(home, 1.0)
    book.spend("response", "mystery", out(1.0), NOW)
    assert book.exhausted == ""
    assert codes(book.configure({"mystery": {"text_out": 1.0}}, 1.0)) == ["usage", "cost_cap_reached"]
    assert book.snapshot(NOW)["today"]["unpriced"] == []


def test_without_a_cap_nobody_is_bothered_by_prices() -> None:
    book = ledger(None)
    book.spend("response", "mystery", out(1.0), NOW)
    assert book.complaint is None


def test_the_embedded_server_is_free() -> None:
    book = ledger(None, 0.001)
    assert codes(book.spend("response", "voiced-embedded", out(9.0), NOW)) == ["usage"]
    shown = book.snapshot(NOW)["today"]
    assert (shown["usd"], shown["unpriced"], shown["output"]["text"]) == (0.0, [], 9_000_000)


def test_trouble_with_the_disk_is_one_complaint_and_counting_goes_on(home: Path) -> None:
    (home / "file").touch()
    book = ledger(home / "file", 1.0)
    assert [codes(book.spend("response", "m", out(0.5), NOW)) for _ in range(2)] == [["usage"], ["usage", "cost_cap_reached"]]
    assert book.complaint == (
        f"{home}/file: Not a directory; what is spent now is forgotten at the next start, by the daily cap as well; "
        "make room there or put that right"
    )
    book.spend("response", "m", out(0.5), NOW)
    assert book.complaint is None
    (home / "file").unlink()
    book.spend("response", "m", out(0.5), NOW)
    assert today_usd(ledger(home / "file")) == today_usd(book) == 2.0


def test_a_file_full_of_nonsense_counts_what_it_can(home: Path) -> None:
    ledger(home, 1.0).spend("response", "m", out(0.9), NOW)
    with (home / "usage-2026-11-22.jsonl").open("a") as file:
        file.write('{"told": "cost_cap_reached", "cap_usd": "x"}\n{"told": ["x"], "cap_usd": 1.0}\n[]\n\0\0{"kind": "resp')
    again = ledger(home, 1.0)
    assert (today_usd(again), again.complaint) == (0.9, None)
    assert codes(again.spend("response", "m", out(0.1), NOW)) == ["usage", "cost_cap_reached"]


def test_an_unknown_kind_is_a_response_and_no_usage_none(home: Path) -> None:
    book = ledger(home)
    nothing: tuple[Any, ...] = (None, [], "x", {"output_tokens": None})
    for usage in nothing:
        book.spend("song", "m", usage, NOW)
    assert (book.snapshot(NOW)["today"]["responses"], today_usd(ledger(home))) == (4, 0.0)


# whatever happens --------------------------------------------------------------------------------------------------------

_TOKENS = st.integers(0, 100_000)


@st.composite
def _usages(draw: st.DrawFn) -> dict[str, Any]:
    tokens = {kind: draw(_TOKENS) for kind in ("text", "audio", "image")}
    cached = {kind: draw(st.integers(0, count)) for kind, count in tokens.items()}
    given_out = {kind: draw(_TOKENS) for kind in ("text", "audio")}
    details: dict[str, Any] = {f"{kind}_tokens": count for kind, count in tokens.items()}
    details["cached_tokens"] = sum(cached.values())
    details["cached_tokens_details"] = {f"{kind}_tokens": count for kind, count in cached.items()}
    return {
        "input_tokens": sum(tokens.values()),
        "input_token_details": details,
        "output_tokens": sum(given_out.values()),
        "output_token_details": {f"{kind}_tokens": count for kind, count in given_out.items()},
    }


_ROW = {"text_in": 4.0, "text_cached": 0.4, "text_out": 24.0, "audio_in": 32.0, "audio_cached": 0.3, "audio_out": 64.0}
_ROW |= {"image_in": 5.0, "image_cached": 0.5}
_SPENDINGS = st.lists(st.tuples(st.sampled_from(["a", "b"]), _usages(), st.integers(-2, 2), st.booleans()), max_size=12)


def _paid(usage: dict[str, Any]) -> float:
    """Token by token, as one would with pencil and paper."""
    given, cached = usage["input_token_details"], usage["input_token_details"]["cached_tokens_details"]
    paid = 0.0
    for kind in ("text", "audio", "image"):
        part = cached[f"{kind}_tokens"]
        paid += (given[f"{kind}_tokens"] - part) * _ROW[f"{kind}_in"] + part * _ROW[f"{kind}_cached"]
    return paid + math.fsum(usage["output_token_details"][f"{kind}_tokens"] * _ROW[f"{kind}_out"] for kind in ("text", "audio"))


@settings(max_examples=60)
@given(_SPENDINGS, st.randoms(use_true_random=False))
def test_totals_are_the_sum_of_the_spendings_whatever_the_order_day_or_restart(spendings: Any, random: Any) -> None:
    prices = {"a": _ROW, "b": _ROW}
    with running.home() as home:
        book, shuffled = Ledger(home, prices, 0.0, NOW), Ledger(None, prices, 0.0, NOW)
        by_day: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for model, usage, day, restart in spendings:
            book = Ledger(home, prices, 0.0, NOW + day * DAY_S) if restart else book
            book.spend("response", model, usage, NOW + day * DAY_S)
            by_day[day].append(usage)
        mixed = list(spendings)
        random.shuffle(mixed)
        for model, usage, _, _ in mixed:
            shuffled.spend("response", model, usage, NOW)
        for day in range(-2, 3):
            for one in (book, Ledger(home, prices, 0.0, NOW)):
                today = one.snapshot(NOW + day * DAY_S)["today"]
                assert today["responses"] == len(by_day[day])
                assert today["usd"] == pytest.approx(math.fsum(map(_paid, by_day[day])) / 1e6, abs=1e-6)
                assert sum(today["input"][kind] for kind in ("text", "audio", "image")) == sum(use["input_tokens"] for use in by_day[day])
                assert all(today["input"][f"cached_{kind}"] <= today["input"][kind] for kind in ("text", "audio", "image"))
        whole = math.fsum(_paid(usage) for _, usage, _, _ in spendings) / 1e6
        assert shuffled.snapshot(NOW)["session"]["usd"] == pytest.approx(whole, abs=1e-6)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "seconds", "input_tokens", "output_tokens", "input_token_details", "output_token_details"])
            | st.sampled_from(["text_tokens", "audio_tokens", "image_tokens", "cached_tokens", "cached_tokens_details"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=150)
@given(st.sampled_from(["response", "transcription"]), _ANYTHING)
def test_no_usage_map_breaks_it_or_pays_us(kind: str, usage: Any) -> None:
    book = Ledger(None, {"m": _ROW | {"minute": 1.0}}, 1.0, NOW)
    today = book.spend(kind, "m", usage, NOW)[0][1]["today"]
    assert math.isfinite(today["usd"])
    assert today["usd"] >= 0
    assert all(0 <= today["input"][f"cached_{name}"] <= today["input"][name] for name in ("text", "audio", "image"))


_WRITER = """
import sys, time
from pathlib import Path
from voiced.supervisor.ledger import Ledger
book = Ledger(Path(sys.argv[1]), {"m": {"text_out": 1.0}}, 0.0, float(sys.argv[2]))
for n in range(10**9):
    book.spend("response", "m", {"output_token_details": {"text_tokens": 1_000_000}}, float(sys.argv[2]))
    print(n, flush=True)
"""


@pytest.mark.system
def test_kill_9_loses_at_most_one_spending(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(home), str(NOW)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(30):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        said = max([said, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    assert said + 1 <= today_usd(ledger(home)) <= said + 2
