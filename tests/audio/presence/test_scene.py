"""What a change among the sound server's devices means, as a table; and who cancels echoes."""

from collections.abc import Mapping

import pytest

from voiced.audio.presence.scene import Endpoint, Scene, echo_cancelled, matching, reason_to_reopen


def endpoint(name: str, description: str = "", driver: str = "module-alsa-card.c", **properties: str) -> Endpoint:
    named: Mapping[str, str] = {key.replace("__", "-").replace("_", "."): value for key, value in properties.items()}
    return Endpoint(name, description or name, 48_000, 2, driver, named)


INTERNAL, HEADSET = endpoint("internal", "Built-in Audio"), endpoint("headset", "USB Headset")
BOTH, ONE = (INTERNAL, HEADSET), (INTERNAL,)


def scene(ours: str | None, default: str = "internal", there: tuple[Endpoint, ...] = BOTH) -> Scene:
    return Scene(default, there, ours)


KEPT = {
    "nothing changed": ("", "", scene("internal"), scene("internal")),
    "the server moved us along with the default": ("", "", scene("internal"), scene("headset", "headset")),
    "PipeWire leaves a silent stream unconnected": ("", "", scene("internal"), scene("", "headset")),
    "moved by hand": ("", "", scene("internal"), scene("headset")),
    "moved by hand, off what is named": ("headset", "headset", scene("headset"), scene("internal")),
    "another default does not concern one that is named": ("headset", "headset", scene("headset"), scene("headset", "headset")),
    "ours is unplugged and the server moved us to the default": ("", "", scene("headset", "headset"), scene("internal", "internal", ONE)),
    "something else is unplugged": ("", "", scene("internal"), scene("internal", "internal", ONE)),
    "our stream shows": ("", "", scene(None), scene("internal")),
    "ALSA's default leads past the server": ("", "", scene(None), scene(None, "headset")),
    "an ALSA device by name": ("hw:0", "", scene(None), scene(None, "headset")),
    "no sound server, as before": ("", "", None, None),
    "it goes, and we had nothing there": ("hw:0", "", scene(None), None),
    "it comes, and we have asked for an ALSA device": ("hw:0", "", None, scene(None)),
}
REOPENED = {
    "the server went away": ("", "", scene("internal"), None, "went away"),
    "the server is back": ("", "", None, scene(None), "is back"),
    "the server is back, with what is named": ("headset", "", None, scene(None), "is back"),
    "the default changed and we were not moved": ("", "", scene("internal"), scene("internal", "headset"), "USB Headset is the default"),
    "our stream was taken away": ("", "", scene("internal"), scene(None), "Built-in Audio is gone"),
    "what is named is unplugged": ("headset", "headset", scene("headset"), scene("internal", "internal", ONE), "USB Headset is gone"),
    "what is named is plugged in": ("USB", "", scene("internal", there=ONE), scene("internal"), "USB Headset is there"),
    "and the server moved us there already": ("USB", "", scene("internal", there=ONE), scene("headset", "headset"), "USB Headset is there"),
    "the server follows the default with one that is named": (
        "usb",
        "headset",
        scene("headset", "headset"),
        scene("internal"),
        "default now",
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_device_is_kept(case: str) -> None:
    assert reason_to_reopen(*KEPT[case]) is None


@pytest.mark.parametrize("case", REOPENED)
def test_a_device_is_opened_anew(case: str) -> None:
    *given, words = REOPENED[case]
    reason = reason_to_reopen(*given)  # type: ignore[arg-type]  # a row of the table
    assert reason is not None
    assert words in str(reason)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("headset", "headset"),
        ("USB Headset", "headset"),
        ("usb", "headset"),
        ("", None),
        ("moon", None),
        ("mon", None),
        ("mon.monitor", "mon.monitor"),
    ],
)
def test_a_device_is_found_by_what_people_call_it(wanted: str, found: str | None) -> None:
    monitor = endpoint("mon.monitor", "Monitor of something", device_class="monitor")
    match = matching(wanted, (monitor, *BOTH))
    assert (match.name if match else None) == found


def test_a_whole_name_comes_before_a_part_of_another() -> None:
    match = matching("Headset", (endpoint("a", "Headset Pro"), endpoint("b", "Headset")))
    assert match is not None
    assert match.name == "b"


CANCELLER = endpoint("quiet", driver="/build/modules/echo-cancel/module-echo-cancel.c")
SOURCES = (
    INTERNAL,
    CANCELLER,
    endpoint("pipewire's", driver="PipeWire", node_link__group="echo-cancel-4711-13"),
    endpoint("echo-cancel-source", driver="PipeWire"),
    endpoint("quiet_sink.monitor", driver="module-echo-cancel.c", device_class="monitor"),
    Endpoint("remapped", "", 48_000, 1, "module-remap-source.c", {"device.master_device": "quiet"}),
    Endpoint("plain remapped", "", 48_000, 1, "module-remap-source.c", {"device.master_device": "internal"}),
    Endpoint("a ring", "", 48_000, 1, "", {"device.master_device": "a ring"}),
)


@pytest.mark.parametrize(
    ("name", "cancelled"),
    [
        ("internal", False),
        ("quiet", True),
        ("pipewire's", True),
        ("echo-cancel-source", True),
        ("quiet_sink.monitor", False),
        ("remapped", True),
        ("plain remapped", False),
        ("a ring", False),
        ("unknown", False),
        (None, False),
    ],
)
def test_a_canceller_of_the_systems_is_recognised(name: str | None, cancelled: bool) -> None:
    assert echo_cancelled(name, SOURCES) is cancelled
