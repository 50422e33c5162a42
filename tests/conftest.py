"""Settings of the whole suite, and a daemon of the supervisor's test children for whoever asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.supervisor import running
from voiced.bus import Bus

# A machine with two busy cores makes an honest example slow; what a test takes is no finding here, the bench has that.
settings.register_profile("voiced", deadline=None)
settings.load_profile("voiced")


@pytest.fixture
def home() -> Iterator[Path]:
    with running.home() as path:
        yield path


@pytest.fixture
def bus(home: Path) -> Iterator[Bus]:
    made = Bus(home)
    yield made
    made.close()


@pytest.fixture(scope="module")
def ready_daemon() -> Iterator[running.Daemon]:
    """One daemon for the tests that do it no harm."""
    with running.home() as path, running.daemon(path) as daemon:
        yield daemon.wait_until_ready()
