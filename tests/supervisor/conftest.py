from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor import running


@pytest.fixture
def home() -> Iterator[Path]:
    with running.home() as path:
        yield path


@pytest.fixture(scope="module")
def ready_daemon() -> Iterator[running.Daemon]:
    """One daemon for the tests that do it no harm."""
    with running.home() as path, running.daemon(path) as daemon:
        yield daemon.wait_until_ready()
