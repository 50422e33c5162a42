"""The private sound server of a test: PulseAudio, or each of both in turn where the test is marked `any_sound`."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.system.family import Family
from voiced.demo.recorder import Recorder
from voiced.demo.soundserver import PipeWireServer, PulseServer, SoundServer


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sound" in metafunc.fixturenames and metafunc.definition.get_closest_marker("any_sound"):
        metafunc.parametrize("sound", [PulseServer, PipeWireServer], ids=lambda kind: str(kind.name), indirect=True)


@pytest.fixture
def pulseaudio() -> None:
    """Skips where PipeWire has taken PulseAudio's place (most desktops: to install one removes the other), never in CI."""
    if shutil.which("pulseaudio") is None and shutil.which("pipewire-pulse") is not None and "CI" not in os.environ:
        pytest.skip("needs pulseaudio, which would push out this machine's PipeWire")


@pytest.fixture
def sound(request: pytest.FixtureRequest) -> Iterator[SoundServer]:
    kind: type[SoundServer] = getattr(request, "param", PulseServer)
    if kind is PulseServer:
        request.getfixturevalue("pulseaudio")
    with kind() as running:
        yield running


@pytest.fixture
def speaker(sound: SoundServer) -> Iterator[Recorder]:
    """Hears what a user would hear."""
    with sound.recorder() as recorder:
        yield recorder


@pytest.fixture
def family(sound: SoundServer) -> Iterator[Family]:
    with Family(sound.env) as made:
        yield made
