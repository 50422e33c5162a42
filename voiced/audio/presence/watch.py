"""Looks after the device in use, for a poll loop: a connection to the sound server, the sound cards, and the clocks that
tell that the machine slept. Costs nothing while nothing changes.

    presence = Presence(SOURCES, wanted, say)
    child.watch(presence.fd)
    ...
    presence.look(now_ns())         # in each round; raises DeviceLost where the device has to be opened anew

What to do about a change is scene.py's to say.
"""

import contextlib
import os
import re
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from voiced.audio.device import Wanted
from voiced.audio.presence.scene import Endpoint, Scene, echo_cancelled, matching, reason_to_reopen
from voiced.audio.presence.wire import COOKIE_BYTES, Dialogue, Facility, Malformed
from voiced.errors import DeviceLost
from voiced.messages import MonoNs

Say = Callable[[int, str], None]
INFO, WARNING = 20, 30  # logging's numbers, without its import
_NS_PER_S = 1_000_000_000
#: A sound server tells of one change in several steps (a default, then a stream that follows it: within 20 ms), and is
#: then left to move our stream by itself.
_AT_REST_NS = 300_000_000
#: A connection that is refused costs 0.03 ms.
_CONNECT_EVERY_NS = 250_000_000
#: One that does not speak the protocol, or does not let us in, is asked again after this.
_REFUSED_FOR_NS = 10 * _NS_PER_S
#: Where the sound server can't tell, the cards are looked at so often: one stat.
_CARDS_EVERY_NS = _NS_PER_S // 2
#: Clocks that differ by more than this were apart for want of power.
_SLEPT_NS = _NS_PER_S
#: A stream that was started is listed within 20 ms, if the sound server has it at all.
_STREAM_WITHIN_S = 0.5
_LONGEST_WAIT_MS = 500.0
#: How long a sound server may take to tell what it has, before a name is looked for without it.
TELLS_WITHIN_S = 1.0
_SOUND_DEVICES = "/dev/snd"
#: Devices of ALSA's that stand for the sound server, or for what it makes its default.
_ALSA_NAMES = ("default", "pulse", "pipewire", "sysdefault", "jack")


class Rest(NamedTuple):
    """What there was when it was last at rest."""

    scene: Scene | None


class Presence:
    """`say` logs. Without a sound server there is less to look after; with `null` and `file:` devices nothing."""

    def __init__(self, facility: Facility, wanted: Wanted, say: Say, asleep_ns: Callable[[], int] | None = None) -> None:
        self._facility, self._say = facility, say
        self._needed = not wanted.is_clocked
        #: A name that the sound server may know; "" = its default.
        self._wanted = "" if wanted.device in _ALSA_NAMES or wanted.device.isdecimal() else wanted.device
        self._asleep_ns = asleep_ns or _asleep_ns
        self._slept_ns = self._asleep_ns()
        self._socket: socket.socket | None = None
        self._dialogue: Dialogue | None = None
        self._connect_ns = 0
        #: When the sound server was asked what it has.
        self._asked_ns = 0
        self._epoll = select.epoll()
        #: For a poll loop: something happened, `look` at it.
        self.fd = self._epoll.fileno()
        #: What there is now; None: no sound server answers.
        self.scene: Scene | None = None
        self._changed_ns: int | None = 0
        self._rest: Rest | None = None
        self._cards, self._cards_ns, self._cards_changed = _cards(), 0, False
        #: Counts what may have made a device possible that was not.
        self.changes = 0
        #: Another device than the wanted one is in use.
        self.fell_back = False
        self._opened = ""
        self._reckoned: bool | None = None
        #: Why `look` says that the device is lost: it is another matter with its echo than was reckoned with.
        self.canceller_changed = False
        self._open = False
        self._told: tuple[str, bool] | None = None

    # what is known ---------------------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> Endpoint | None:
        """What our stream is connected to; for one that PipeWire leaves unconnected since it is silent, what it will be."""
        scene = self.scene
        if scene is None or scene.ours is None:
            return None
        return scene.named(scene.ours) if scene.ours else self.chosen(scene) or scene.named(scene.default)

    @property
    def echo_cancelled(self) -> bool:
        """Whether what we record has been through a system-wide echo canceller."""
        return self.scene is not None and echo_cancelled(self.scene.ours, self.scene.endpoints)

    def facts(self) -> dict[str, Any]:
        """For the status: the sound server's device behind ours, and whether it stands in for the one that is wanted."""
        endpoint = self.endpoint
        return {"endpoint": endpoint.description if endpoint else None, "fallback": self.fell_back}

    def chosen(self, scene: Scene | None) -> Endpoint | None:
        """The endpoint that is wanted, where the sound server has it."""
        return matching(self._wanted, scene.endpoints) if scene is not None else None

    # told from outside -----------------------------------------------------------------------------------------------

    def opened(self, endpoint: str = "", *, fell_back: bool = False) -> None:
        """A stream of ours is there from now on, on that endpoint. `fell_back`: not on what is wanted."""
        self._opened, self.fell_back, self._open = endpoint, fell_back, True
        self._rest, self._changed_ns = None, time.monotonic_ns()

    def closed(self) -> None:
        """None is, by our own will: nothing can be lost."""
        self._open = False

    def await_scene(self, timeout_s: float, *, ours: bool = False) -> Scene | None:
        """What the sound server has, with our stream among it where `ours`; or what is known of that after that time."""
        until_ns = time.monotonic_ns() + round(timeout_s * _NS_PER_S)
        while (left_ns := until_ns - (now := time.monotonic_ns())) > 0:
            self._keep_connected(now)
            scene = self.scene
            if self._socket is None or (scene is not None and scene.endpoints and (scene.ours or not ours)):
                break
            self._epoll.poll(left_ns / _NS_PER_S)
        return self.scene

    def tells_soon(self, now: MonoNs) -> bool:
        """Whether a sound server was asked a moment ago, and has not told yet. For who looks in a loop, where nothing may wait."""
        return self._socket is not None and self.scene is None and now - self._asked_ns < TELLS_WITHIN_S * _NS_PER_S

    def reckon_with_canceller(self) -> bool:
        """Whether the system cancels the echo in what we record. From here on a change of that is one of the device."""
        self.await_scene(_STREAM_WITHIN_S, ours=True)
        self._reckoned = self.echo_cancelled
        return self._reckoned

    def look(self, now: MonoNs) -> None:
        """Takes in what happened. Raises DeviceLost where the device has to be opened anew."""
        if not self._needed:
            return
        self._look_at_clocks()
        self._keep_connected(now)
        self._look_at_cards(now)
        if self._changed_ns is None:
            return
        if (self.scene is None and self._socket is None) or now - self._changed_ns >= _AT_REST_NS:
            self._changed_ns = None
            self._judge()

    def wake_in_ms(self, now: MonoNs) -> float:
        """How long nothing has to be looked at unless `fd` says so."""
        if self._changed_ns is not None and self.scene is not None:
            return max(0.0, (self._changed_ns + _AT_REST_NS - now) / 1e6)
        return _CONNECT_EVERY_NS / 1e6 if self._needed and self._socket is None else _LONGEST_WAIT_MS

    def close(self) -> None:
        self._hang_up()
        self._epoll.close()

    # judging ---------------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        before, now = (self._rest or Rest(self.scene)).scene, self.scene
        self._rest = Rest(now)
        if not self._open:
            return
        reason = reason_to_reopen(self._wanted, self._opened, before, now)
        if reason is None and self._reckoned is not None and self.endpoint is not None and self.echo_cancelled != self._reckoned:
            self.canceller_changed = True
            reason = "the system's echo canceller " + ("is gone" if self._reckoned else "came in")
        if reason is not None:
            self._lose(reason)
        self._tell()

    def _tell(self) -> None:
        """To the log, what is in use, where that changed."""
        endpoint = self.endpoint
        if endpoint is None:
            return
        if self._opened:  # else the name is ALSA's, or we know that it is away
            self.fell_back = endpoint.name != self._opened  # moved by hand
        told = (endpoint.name, self.fell_back)
        if told != self._told:
            self._told = told
            away = f"{self._wanted} is not in use, but " if self.fell_back else "in use: "
            self._say(WARNING if self.fell_back else INFO, away + endpoint.description)

    def _lose(self, reason: str) -> None:
        self.changes += 1
        if self._open:
            raise DeviceLost(f"{reason}; opening the device anew")

    def _look_at_clocks(self) -> None:
        before, self._slept_ns = self._slept_ns, self._asleep_ns()
        if self._slept_ns - before > _SLEPT_NS:
            self._lose("the machine slept")

    def _look_at_cards(self, now: MonoNs) -> None:
        """Where the sound server can't tell whether what is wanted came. A card comes in several files; the last one counts."""
        if now - self._cards_ns < _CARDS_EVERY_NS or not (self.scene is None or self.fell_back):
            return
        before, self._cards, self._cards_ns = self._cards, _cards(), now
        changed_before, self._cards_changed = self._cards_changed, self._cards != before
        if changed_before and not self._cards_changed:
            self.changes += 1
            if self.fell_back:
                self._lose(f"sound cards came or went, and {self._wanted} may be among them")

    # the connection --------------------------------------------------------------------------------------------------

    def _keep_connected(self, now: int) -> None:
        if self._socket is None and now >= self._connect_ns and self._needed:
            self._connect_ns = now + _CONNECT_EVERY_NS
            self._connect(now)
        if self._socket is not None and self._dialogue is not None:
            self._talk(self._socket, self._dialogue, now)

    def _connect(self, now: int) -> None:
        for address in addresses(os.environ):
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                link.connect(address)
            except OSError:
                link.close()
                continue
            self._socket, self._asked_ns = link, now
            self._dialogue = Dialogue(self._facility, os.getpid(), _cookie(os.environ))
            self._epoll.register(link, select.EPOLLIN)
            return

    def _talk(self, link: socket.socket, dialogue: Dialogue, now: int) -> None:
        try:
            while True:
                while dialogue.outgoing:
                    dialogue.outgoing = dialogue.outgoing[link.send(dialogue.outgoing) :]
                if not self._epoll.poll(0):
                    return
                if not (data := link.recv(1 << 16)):
                    raise ConnectionResetError
                if dialogue.feed(data):
                    self._take(dialogue.scene, now)
        except BlockingIOError:  # told for nothing, or no room to send in
            return
        except (OSError, Malformed) as error:
            if isinstance(error, Malformed):
                self._connect_ns = now + _REFUSED_FOR_NS
            self._hang_up()
            self._take(None, now)

    def _take(self, scene: Scene | None, now: int) -> None:
        if scene != self.scene:
            if scene is None and self.scene is not None:  # it went all at once, at rest or not; a stream just opened may not be listed
                ours = self.scene.ours if self.scene.ours or self._rest else ""
                self._rest = Rest(self.scene._replace(ours=ours))
            self.scene, self._changed_ns = scene, now
            self.changes += 1
            if self._open and self._rest is None and scene is not None and scene.ours is not None and scene.endpoints:
                self._rest = Rest(scene)  # as it was opened: what changes from here on counts, at rest or not

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._epoll.unregister(self._socket)
            self._socket.close()
        self._socket = self._dialogue = None


def addresses(env: Mapping[str, str]) -> Iterator[str]:
    """Where a sound server may listen: PULSE_SERVER's local ones (`{machine}unix:PATH`, PATH), or the usual places."""
    if env.get("PULSE_SERVER"):
        for server in env["PULSE_SERVER"].split():
            path = re.sub(r"^(\{[^}]*\})?(unix:)?", "", server)
            if path.startswith("/"):
                yield path
        return
    if env.get("PULSE_RUNTIME_PATH"):
        yield f"{env['PULSE_RUNTIME_PATH']}/native"
    yield f"{env.get('XDG_RUNTIME_DIR') or f'/run/user/{os.getuid()}'}/pulse/native"
    yield "/run/pulse/native"


def _cookie(env: Mapping[str, str]) -> bytes:
    """What lets another user in, or root; our own user needs none."""
    home = env.get("HOME", "/")
    places = (env.get("PULSE_COOKIE"), f"{env.get('XDG_CONFIG_HOME') or f'{home}/.config'}/pulse/cookie", f"{home}/.pulse-cookie")
    for place in places:
        if place:
            with contextlib.suppress(OSError), open(place, "rb") as file:
                return file.read(COOKIE_BYTES)
    return b""


def _cards() -> int:
    """Changes whenever a sound card comes or goes."""
    try:
        return os.stat(_SOUND_DEVICES).st_mtime_ns
    except OSError:
        return 0


def _asleep_ns() -> int:
    """How long this machine has slept since it started."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
