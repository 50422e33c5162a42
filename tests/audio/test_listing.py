"""The list of devices as it is shown."""

from voiced.audio.device import DeviceInfo
from voiced.audio.listing import rows
from voiced.audio.presence.scene import Endpoint, Scene

CARD = DeviceInfo(0, "HDA Intel (hw:0,0)", "ALSA", 2, 44_100, False)
DEFAULT = DeviceInfo(1, "default", "ALSA", 32, 44_100, True)
HEADSET = Endpoint("bluez", "Headset", 16_000, 1, "", {})
MONITOR = Endpoint("sink.monitor", "Monitor of Speakers", 48_000, 2, "", {"device.class": "monitor"})


def test_the_sound_servers_devices_come_first_and_one_of_them_is_the_default() -> None:
    listed = rows(Scene("bluez", (HEADSET, MONITOR)), [CARD, DEFAULT])
    assert [(row["name"], row["default"]) for row in listed] == [("Headset", True), ("HDA Intel (hw:0,0)", False), ("default", False)]
    assert (listed[0]["rate"], listed[0]["channels"]) == (16_000, 1)


def test_without_a_sound_server_portaudios_default_counts() -> None:
    assert rows(None, [CARD, DEFAULT]) == [CARD._asdict(), DEFAULT._asdict()]
