import pytest

from voiced.errors import KeyRefused, ModelRefused, ProtocolViolated, ServerUnreachable, SessionRefused, UrlInvalid, VoicedError
from voiced.network import reconnect
from voiced.network.reconnect import Backoff

S = 1_000_000_000
WHERE = "wss://host/v1/realtime"


def test_the_delay_doubles_up_to_half_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.lost(0, 1.0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.attempt == 9


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
