"""Who and what is let in from abroad, and what the log is told of it. Pure."""

from collections.abc import Mapping

from voiced import control
from voiced.control import RequestRefused
from voiced.errors import NotNow
from voiced.rate import Rate

#: Requests of one machine: less than the daemon carries out, so that one that runs wild leaves some to who is at home.
_PER_S, _AT_ONCE = 25.0, 100.0
#: Of one kind of line in the log: strangers knock as often as they like.
_QUIET_S = 60.0
#: Machines, of which a line is remembered.
_REMEMBERED = 100


class Admission:
    """What may be passed on to the daemon. `admin`: also what administers it."""

    def __init__(self, *, admin: bool) -> None:
        self._admin = admin
        self._rates: dict[str, Rate] = {}

    def refusal(self, body: bytes, name: str, now_s: float) -> bytes | None:
        """The answer to a request that goes no further, None for one that does."""
        rate = self._rates.setdefault(name, Rate(_PER_S, _AT_ONCE))
        try:
            request = control.parse_request(body)
        except RequestRefused as refused:
            rate.allows(now_s)
            return control.pack_refusal(refused.id, refused.error)
        command = request.command.name
        if not rate.allows(now_s):
            return control.pack_refusal(
                request.id, NotNow(f"too many requests: {_PER_S:g} a second of a machine are carried out; try again")
            )
        if request.command.admin and not self._admin:
            error = NotNow(f"{command} is not for other machines, unless allow.remote_admin = true in the settings of voiced there")
            return control.pack_refusal(request.id, error)
        return None


class Visitors:
    """Names for keys, and lines for the log: one for each machine that comes in or is turned away, but not for each time."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}
        self._told_s: dict[str, float] = {}
        self._untold = 0

    def learn(self, allowed: Mapping[str, bytes]) -> bool:
        """Takes the keys that are allowed now; whether one of before is not among them."""
        names = {key: name for name, key in allowed.items()}
        lost = any(names.get(key) != name for key, name in self._names.items())
        self._names = names
        return lost

    @property
    def count(self) -> int:
        """How many are allowed."""
        return len(self._names)

    def name(self, key: bytes) -> str:
        return self._names.get(key, "")

    def line(self, key: bytes, address: str, now_s: float) -> str:
        """What the log should hear of this visit; "" for nothing. A public key is no secret."""
        name = self.name(key)
        who = f"{name} from {address}" if name else key.hex()
        if now_s - self._told_s.get(who, float("-inf")) < _QUIET_S or (not name and not self._room(now_s)):
            self._untold += not name
            return ""
        self._told_s[who] = now_s
        if name:
            return f"{name} came in from {address}"
        others = f"; {self._untold} others since the last such line" if self._untold else ""
        self._untold = 0
        return f"turned away an unknown key from {address}; `voiced keys allow NAME {key.hex()}` would let it in{others}"

    def _room(self, now_s: float) -> bool:
        """Of those that are told, so many are remembered: a stranger may have a new key each time."""
        self._told_s = {who: told_s for who, told_s in self._told_s.items() if now_s - told_s < _QUIET_S}
        return len(self._told_s) < _REMEMBERED // 10
