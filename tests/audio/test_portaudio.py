"""The PortAudio adapter on devices that refuse: what ALSA's plugins can play the part of."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from voiced.audio import portaudio
from voiced.audio.device import DeviceInfo, Wanted
from voiced.errors import DeviceRateRefused, DeviceUnavailable

pytestmark = pytest.mark.system

#: A card that knows one rate and two channels, as bare hardware does; it plays into nothing.
ONE_RATE = """
pcm.!default {
    type share
    slave { pcm "null" rate 48000 channels 2 format S16_LE }
    bindings.0 0
    bindings.1 1
}
"""
CONF = '</usr/share/alsa/alsa.conf>\n@hooks.1 {{ func load files [ "{}" "{}" ] errors true }}\n'
CARD = DeviceInfo(0, "Card", "ALSA", 2, 48_000, True)


OPEN = """
from voiced.audio.device import Wanted
from voiced.audio.portaudio import PortAudio
print(PortAudio().open_output(Wanted("", 24_000, 1, 1440)).format)
"""


def test_a_device_that_refuses_our_rate_is_used_at_its_own(tmp_path: Path) -> None:
    (tmp_path / "asoundrc").write_text(ONE_RATE)
    (tmp_path / "alsa.conf").write_text(CONF.format(Path(portaudio.ALSA_DIR) / "lean.conf", tmp_path / "asoundrc"))
    env = os.environ | {"ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf"), "PULSE_SERVER": "unix:/nonexistent"}
    opened = subprocess.run([sys.executable, "-c", OPEN], env=env, capture_output=True, text=True, timeout=20)
    assert opened.stdout.strip() == "OpenFormat(rate=48000, channels=1)"


def test_a_device_that_refuses_every_rate_says_which_and_where_to_change_it() -> None:
    refused = portaudio._refusal(CARD, Wanted("", 24_000, 1, 480), portaudio.OUTPUT, OSError(-9997, "Invalid sample rate"))
    assert isinstance(refused, DeviceRateRefused)
    assert "Card" in refused.message
    assert "24000 Hz" in refused.message
    assert "audio.playback.rate" in refused.message


def test_a_device_that_is_busy_or_gone_says_so() -> None:
    busy = portaudio._unavailable(CARD, portaudio.INPUT, OSError(-9985, "Device unavailable"))
    gone = portaudio._unavailable(CARD, portaudio.INPUT, OSError(-9996, "Invalid device"))
    assert isinstance(busy, DeviceUnavailable)
    assert "another program" in busy.message
    assert "gone" in gone.message
    assert "audio.capture.device" in gone.message
