import pytest

from voiced.errors import (
    KeyRefused,
    KeyUnavailable,
    ModelRefused,
    ProtocolViolated,
    QuotaExhausted,
    ServerUnreachable,
    SessionRefused,
    UrlInvalid,
    VoicedError,
)
from voiced.network.link import reconnect
from voiced.network.link.reconnect import Backoff

S = 1_000_000_000
WHERE = "wss://host/v1/realtime"


def test_the_delay_doubles_up_to_half_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.lost(0, 1.0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.attempt == 9


def test_where_nobody_is_there_to_be_burdened_it_looks_again_every_two_seconds() -> None:
    backoff = Backoff()
    hour = [backoff.lost(0, 1.0, nobody=True) for _ in range(1800)]
    assert hour[:4] == [0.5, 1, 2, 2]
    assert set(hour[3:]) == {2}, "noticed within 2 s however long it took"
    assert [backoff.lost(0, 1.0) for _ in range(3)] == [0.5, 1, 2], "and who is there again is not kept waiting for it"


def test_the_delay_is_jittered() -> None:
    assert Backoff().lost(0, 0.0) == 0.375
    assert Backoff().lost(0, 0.5) == 0.4375


def test_only_a_healthy_session_starts_over() -> None:
    backoff = Backoff()
    backoff.lost(0, 1)
    backoff.opened(0)
    assert backoff.lost(4 * S, 1) == 1.0
    backoff.opened(10 * S)
    assert backoff.lost(15 * S, 1) == 0.5
    assert backoff.lost(16 * S, 1) == 1.0


def test_a_healthy_session_that_came_of_age_is_followed_at_once() -> None:
    backoff = Backoff()
    backoff.lost(0, 1)
    backoff.opened(0)
    assert backoff.lost(5 * S, 1, at_once=True) == 0.0
    assert backoff.lost(6 * S, 1, at_once=True) == 1.0  # the next did not even open
    backoff.opened(7 * S)
    assert backoff.lost(8 * S, 1, at_once=True) == 2.0  # a server that lets nobody stay is not hammered


def test_after_a_sleep_all_is_new() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.lost(0, 1)
    backoff.verdict(KeyRefused("no"), by_command=True)
    backoff.forget()
    assert backoff.lost(0, 1) == 0.5
    assert not backoff.verdict(KeyRefused("no"), by_command=True).fatal


@pytest.mark.parametrize(
    ("code", "reason", "old"),
    [
        (1001, "", True),
        (1001, "Your session hit the maximum duration of 60 minutes.", True),
        (1000, "Your session hit the maximum duration of 60 minutes.", True),
        (4000, "invalid_request_error.session_expired", True),
        (0, "session_expired", True),
        (1000, "", False),
        (1006, "", False),
        (1008, "session_limit_reached", False),
    ],
)
def test_which_ends_are_those_of_age(code: int, reason: str, old: bool) -> None:
    assert reconnect.expired(code, reason) is old


def test_a_key_of_a_command_is_asked_for_once_more() -> None:
    backoff = Backoff()
    refused = KeyRefused("no")
    again = backoff.verdict(refused, by_command=True)
    assert type(again) is KeyUnavailable
    assert not again.fatal
    backoff.lost(0, 1)
    assert backoff.verdict(refused, by_command=True) is refused


def test_a_key_that_was_good_may_be_refused_once_again() -> None:
    backoff = Backoff()
    backoff.verdict(KeyRefused("no"), by_command=True)
    backoff.opened(0)
    assert not backoff.verdict(KeyRefused("no"), by_command=True).fatal


@pytest.mark.parametrize(("error", "by_command"), [(KeyRefused("no"), False), (ModelRefused("no"), True), (ServerUnreachable("no"), True)])
def test_nothing_else_is_asked_twice(error: VoicedError, by_command: bool) -> None:
    assert Backoff().verdict(error, by_command=by_command) is error


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_an_exhausted_quota_is_final_and_says_the_way_out(code: str) -> None:
    ways = (
        reconnect.from_status(WHERE, "x", 429, f"{code} You exceeded your current quota"),
        reconnect.from_status(WHERE, "x", 403, f"{code} no"),
        reconnect.from_code(WHERE, "x", code, "You exceeded your current quota"),
        reconnect.from_close(WHERE, "x", 1008, f"invalid_request_error.{code}"),
        reconnect.from_close(WHERE, "x", 4000, f"{code}: You exceeded your current quota"),
    )
    for error in ways:
        assert isinstance(error, QuotaExhausted)
        assert error.fatal
        assert "voicectl reload" in error.message


def test_what_passes_is_not_final() -> None:
    for code in ("rate_limit_exceeded", "session_limit_reached"):
        assert reconnect.from_code(WHERE, "x", code, "slow down") is None
        assert reconnect.from_close(WHERE, "x", 1008, code) is None
    assert type(reconnect.from_status(WHERE, "x", 429, "rate_limit_exceeded slow down")) is ServerUnreachable
    busy = reconnect.broken(1008, "the server closed the connection (code 1008: session_limit_reached)")
    assert type(busy) is ServerUnreachable
    assert "no session free" in busy.message


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (401, "", KeyRefused),
        (403, "invalid_api_key no", KeyRefused),
        (404, "model_not_found The model x does not exist", ModelRefused),
        (400, "OpperationNotSupported this model cannot do realtime", ModelRefused),
        (404, "", UrlInvalid),
        (200, "", UrlInvalid),
        (429, "slow down", ServerUnreachable),
        (503, "", ServerUnreachable),
    ],
)
def test_an_upgrade_refused_by_http(status: int, said: str, kind: type[VoicedError]) -> None:
    error = reconnect.from_status(WHERE, "x", status, said)
    assert type(error) is kind
    assert str(status) in error.message
    assert WHERE in error.message


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (3000, "invalid_request_error.invalid_api_key", KeyRefused),
        (3000, "", KeyRefused),
        (4000, "invalid_request_error.beta_api_shape_disabled", SessionRefused),
        (1008, "model_not_found", ModelRefused),
        (1001, "Your session hit the maximum duration of 60 minutes.", None),
        (1006, "", None),
        (1011, "", None),
    ],
)
def test_close_codes(code: int, reason: str, kind: type[VoicedError] | None) -> None:
    error = reconnect.from_close(WHERE, "x", code, reason)
    assert (None if error is None else type(error)) is kind


def test_what_may_work_again_is_not_fatal() -> None:
    assert type(reconnect.broken(1009, "too big")) is ProtocolViolated
    assert type(reconnect.broken(1006, "gone")) is ServerUnreachable
    assert not reconnect.broken(1009, "x").fatal
    assert not reconnect.broken(1006, "x").fatal


def test_a_message_is_one_short_line() -> None:
    error = reconnect.from_code(WHERE, "x", "invalid_api_key", "a\nb" * 1000)
    assert error is not None
    assert "\n" not in error.message
    assert len(error.message) < 400
