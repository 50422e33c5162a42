"""What a sound server has in one direction, and what follows from it: whether the device has to be opened anew, which
one a name means, and whether another echo canceller has been at work already. Pure.

Sound servers move streams by themselves: PulseAudio since 14 and WirePlumber let one without a device of its own follow
the default, and carry one whose device vanished to it (seen with 16.1 and 0.3.65). Where they do, nothing is to be done.
"""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Endpoint(NamedTuple):
    """A sink or a source of the sound server."""

    name: str
    description: str
    rate: int
    channels: int
    driver: str
    properties: Mapping[str, str]


class Scene(NamedTuple):
    """One direction of a sound server at one moment."""

    default: str
    endpoints: tuple[Endpoint, ...]
    #: The name of the endpoint that this process' stream is connected to; "" = to none for now, None = it has no stream there.
    ours: str | None = None

    def named(self, name: str | None) -> Endpoint | None:
        return next((endpoint for endpoint in self.endpoints if endpoint.name == name), None)

    def described(self, name: str) -> str:
        found = self.named(name)
        return found.description if found else name


def matching(wanted: str, endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """The endpoint that a user means by a name, a description or a part of one; a monitor, which hears a loudspeaker, only by all of it."""
    exact = [each for each in endpoints if wanted in (each.name, each.description)]
    word = wanted.casefold()
    part = [each for each in endpoints if word in each.description.casefold() or word in each.name.casefold()]
    return next(iter(exact + [each for each in part if not is_monitor(each)]), None) if wanted else None


def is_monitor(endpoint: Endpoint) -> bool:
    return endpoint.properties.get("device.class") == "monitor" or endpoint.name.endswith(".monitor")


def reason_to_reopen(wanted: str, opened: str, before: Scene | None, now: Scene | None) -> str | None:
    """Why the device has to be opened anew, or None. `wanted`: a name, or "" for the default. `opened`: the endpoint that was
    asked for, "" = none in particular. Both scenes are at rest; None: no sound server answers.

    Goes by what changed: a choice of the user's elsewhere (a stream moved by hand in a mixer, an ALSA default that leads past
    the sound server) is left alone, and what has just been opened anew is not so again.
    """
    if now is None:
        return "the sound server went away" if before is not None and before.ours is not None else None
    chosen = matching(wanted, now.endpoints)
    if before is None:
        return "the sound server is back" if now.ours is None and (chosen or not wanted) else None
    if chosen is not None and chosen.name != opened:
        return f"{chosen.description} is there"
    if chosen is None and opened:  # what the server moved elsewhere would still ask for it, each time that it starts
        return f"{before.described(opened)} is gone"
    if now.ours is None:
        return f"{before.described(before.ours)} is gone" if before.ours else None
    if now.default == before.default or now.ours in ("", opened):
        return None
    # PulseAudio takes a stream that it has moved once for one that follows the default from then on.
    return f"{now.described(now.default)} is the default now" if opened or now.ours == before.ours != now.default else None


def echo_cancelled(name: str | None, endpoints: Sequence[Endpoint]) -> bool:
    """Whether the sound of this source has been through a system-wide echo canceller, itself or further up.

    PulseAudio's module-echo-cancel is told by its driver, PipeWire's (also where pipewire-pulse loads it) by the group of its
    nodes: a user may name the source at will. One that stands on such a source (a remap, a filter) names its master.
    """
    by_name = {endpoint.name: endpoint for endpoint in endpoints}
    seen = set[str | None]()
    while name in by_name and name not in seen:
        seen.add(name)
        endpoint = by_name[name]
        if is_monitor(endpoint):  # the canceller has a sink, too, whose monitor hears the loudspeaker
            return False
        groups = (endpoint.properties.get("node.link-group", ""), endpoint.properties.get("node.group", ""))
        made_by = (os.path.basename(endpoint.driver), *groups, name)
        if any("echo-cancel" in maker for maker in made_by):
            return True
        name = endpoint.properties.get("device.master_device")
    return False
