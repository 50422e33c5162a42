"""When to connect again, and which failures make that useless. Pure: time and chance are arguments."""

import re
from typing import Final

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

#: The close code of a session that came to its age (realtime-protocol 1.6).
GOING_AWAY: Final = 1001
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
#: Where nobody is there to be burdened: a machine without a network, a server that is being started. It is noticed soon.
_NOBODY_DELAY_S: Final = 2.0
#: A connection counts as healthy after this long. An upgrade can succeed and be followed by error and close
#: (realtime-protocol 1.6), so success alone must not reset the delay.
_HEALTHY_AFTER_NS: Final = 5_000_000_000


class Backoff:
    """Growing, jittered delays: 0.5 s doubling to 30 s, or to 2 s where nobody is there, times 0.75 to 1."""

    def __init__(self) -> None:
        self.attempt = 0
        self._burdens = 0  # of these, those that somebody answered
        self._opened_ns: int | None = None
        self._key_refused = False

    def opened(self, now_ns: int) -> None:
        """The session is open (ready, not merely connected)."""
        self._opened_ns = now_ns
        self._key_refused = False

    def lost(self, now_ns: int, chance: float, *, at_once: bool = False, nobody: bool = False) -> float:
        """The seconds to wait after a failed attempt or a lost connection; `chance` is uniform in [0, 1). None where nothing
        is wrong (`at_once`), unless that was so of the last attempt too and no healthy session came of it."""
        if self._opened_ns is not None and now_ns - self._opened_ns >= _HEALTHY_AFTER_NS:
            self.attempt = self._burdens = 0
        self._opened_ns = None
        longest_s, doublings = (_NOBODY_DELAY_S, self.attempt) if nobody else (_LONGEST_DELAY_S, self._burdens)
        delay_s = min(longest_s, _FIRST_DELAY_S * 2 ** min(doublings, 16))
        if at_once and self.attempt == 0:
            delay_s = 0.0
        self.attempt += 1
        self._burdens += not nobody
        return float(delay_s * (0.75 + 0.25 * chance))

    def forget(self) -> None:
        """What failed so far says nothing about the next attempt: the machine slept, or somebody changed something."""
        self.attempt = self._burdens = 0
        self._key_refused = False

    def verdict(self, error: VoicedError, *, by_command: bool) -> VoicedError:
        """`error`, or what stands for it because another attempt may do: a key that a command told may have been a stale
        one of its cache, so the first refusal in a row is not final."""
        if not by_command or not isinstance(error, KeyRefused) or self._key_refused:
            return error
        self._key_refused = True
        return KeyUnavailable(f"{error.message}; realtime.api_key_command is asked for another")


_KEY_CODES = frozenset({"invalid_api_key", "invalid_organization", "account_deactivated", "access_terminated", "missing_api_key"})
_MODEL_CODES = frozenset({"model_not_found", "model_load_error", "invalid_model"})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
#: The server has all the sessions that it can have (realtime-protocol 7.4).
_BUSY_CODES = frozenset({"session_limit_reached"})
_EXPIRED_CODES = frozenset({"session_expired"})
#: As the reason of a close, or as the message of an error (realtime-protocol 1.5).
_EXPIRED_WORDS: Final = "maximum duration"
#: Our own verdicts on what the server sent: protocol error, message too big.
_PROTOCOL_CLOSES: Final = frozenset({1002, 1009})
_SHAPE_CODES = frozenset({"beta_api_shape_disabled"})


def _key_refused(where: str, said: str) -> KeyRefused:
    return KeyRefused(f"{where} refused the API key ({said}); check the key that realtime.api_key_file, _env or _command names")


def _model_refused(where: str, model: str, said: str) -> ModelRefused:
    return ModelRefused(f"{where} refused the model {model!r} ({said}); set realtime.model to one that your account may use")


def _quota_exhausted(where: str, said: str) -> QuotaExhausted:
    way_out = 'add some there, or set realtime.provider = "embedded"; then run: voicectl reload'
    return QuotaExhausted(f"the account at {where} has no credit left ({said}); {way_out}")


def from_status(where: str, model: str, status: int, said: str) -> VoicedError:
    """The error for an upgrade that was answered with an HTTP status; `said` is the code or text of the answer's body."""
    said = _brief(said)
    told = f"HTTP {status}" + (f": {said}" if said else "")
    lower = said.lower()
    if any(code in lower for code in _QUOTA_CODES):
        return _quota_exhausted(where, told)
    if status in (401, 403):
        return _key_refused(where, told)
    if any(code in lower for code in _MODEL_CODES) or ("model" in lower and status in (400, 404)):
        return _model_refused(where, model, told)
    if status == 429 or status >= 500 or status == 408:
        return ServerUnreachable(f"{where} is not available ({told})")
    return UrlInvalid(f"{where} is no Realtime server ({told}); check realtime.url")


def from_code(where: str, model: str, code: str, said: str) -> VoicedError | None:
    """The error behind an `error` event's code or a close reason, where it is one that trying again can't mend."""
    said = _brief(said) or code
    names = _names(code)
    if names & _QUOTA_CODES:
        return _quota_exhausted(where, said)
    if names & _KEY_CODES:
        return _key_refused(where, said)
    if names & _MODEL_CODES:
        return _model_refused(where, model, said)
    if names & _SHAPE_CODES:
        return SessionRefused(f"{where} speaks another version of the Realtime protocol ({said}); update voiced")
    return None


def from_close(where: str, model: str, code: int, reason: str) -> VoicedError | None:
    """The error behind a close frame, where it is one that trying again can't mend (realtime-protocol 1.6)."""
    if code == 3000 and not reason:
        return _key_refused(where, "close code 3000")
    return from_code(where, model, reason.strip(), f"close code {code}: {reason}" if reason else f"close code {code}")


def expired(code: int, reason: str) -> bool:
    """Whether a close, or an error's code with `code` 0, says that the session came to the age where servers end it: another
    is to be had at once."""
    return code == GOING_AWAY or bool(_names(reason) & _EXPIRED_CODES) or _EXPIRED_WORDS in reason


def broken(code: int, reason: str) -> VoicedError:
    """The error behind a connection that ended, where another may work."""
    if _names(reason) & _BUSY_CODES:
        return ServerUnreachable(f"the server has no session free ({_brief(reason)})")
    return ProtocolViolated(reason) if code in _PROTOCOL_CLOSES else ServerUnreachable(reason)


def _names(text: str) -> set[str]:
    """The codes in an error's code or a close's reason, as in "invalid_request_error.invalid_api_key"."""
    return set(re.findall(r"\w+", text))


def _brief(text: str) -> str:
    return " ".join(text.split())[:200]
