"""Settings of the whole suite, and a daemon of the supervisor's test children for whoever asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.supervisor import running

_TESTS = Path(__file__).parent
#: Here are sound servers, which can't keep time beside each other: one process of the suite has all of these.
_SOUND = {"system", "demo", "hostile"}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who shares a process where the suite runs in several: what has sound, and each of the other files by itself."""
    for item in items:
        where = item.path.relative_to(_TESTS).parts[0]
        item.add_marker(pytest.mark.xdist_group("sound" if where in _SOUND else str(item.path)))


# A machine with two busy cores makes an honest example slow; what a test takes is no finding here, the bench has that.
settings.register_profile("voiced", deadline=None)
settings.load_profile("voiced")


@pytest.fixture
def home() -> Iterator[Path]:
    with running.home() as path:
        yield path


@pytest.fixture(scope="module")
def ready_daemon() -> Iterator[running.Daemon]:
    """One daemon for the tests that do it no harm."""
    with running.home() as path, running.daemon(path) as daemon:
        yield daemon.wait_until_ready()
