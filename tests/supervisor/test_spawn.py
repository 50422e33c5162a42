import os
import select
import signal
import threading
from pathlib import Path

import pytest

from tests.supervisor.running import ROOT
from tests.until import until
from voiced.supervisor.spawn import Spawned, child_environment, ending, figures, without_proxies

pytestmark = pytest.mark.system
ENV = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


def wait_for_end(child: Spawned) -> int:
    assert select.select([child.pidfd], [], [], 10)[0]
    status = child.ended()
    assert status is not None
    return status


def test_settings_go_in_and_lines_come_out() -> None:
    child = Spawned("tests.supervisor.children.echo", ENV)
    assert child.ended() is None
    child.send_settings({"lines": ["one", "x" * 10_000, "", "three"], "status": 3})
    assert wait_for_end(child) == 3
    lines, more = child.printed()
    assert ([line[:5] for line in lines], more) == (["one", "xxxxx", "three"], False)
    assert max(len(line) for line in lines) == 4096
    child.reap()


def test_one_that_hangs_before_it_reads_its_settings_does_not_keep_us() -> None:
    child = Spawned("tests.supervisor.children.echo", ENV)
    child.signal(signal.SIGSTOP)
    handing = threading.Thread(target=child.send_settings, args=({"lines": ["x"], "status": 0, "memory": "x" * 600_000},))
    handing.start()
    handing.join(5)
    handed = not handing.is_alive()
    child.signal(signal.SIGCONT)
    assert wait_for_end(child) == 0
    handing.join()
    child.reap()
    assert handed


def test_one_that_can_not_be_watched_does_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def short(pid: int) -> int:
        started.append(pid)
        raise OSError("no descriptor left")

    monkeypatch.setattr(os, "pidfd_open", short)
    with pytest.raises(OSError, match="no descriptor"):
        Spawned("tests.supervisor.children.silent", ENV)
    assert not Path(f"/proc/{started[0]}").exists()


def test_what_a_child_started_goes_with_it() -> None:
    child = Spawned("tests.supervisor.children.echo", ENV)
    child.send_settings({"lines": [], "status": 0, "leave": True})
    assert wait_for_end(child) == 0
    lines, _ = child.printed()
    pid = int(lines[0])
    child.reap()
    until(lambda: not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(), "end of the grandchild")


def test_settings_for_a_dead_child_are_no_error() -> None:
    child = Spawned("tests.supervisor.children.echo", ENV)
    child.signal(signal.SIGKILL)
    assert wait_for_end(child) == -signal.SIGKILL
    child.send_settings({"lines": []})
    child.reap()
    child.signal(signal.SIGKILL)  # of nobody


def test_the_environment_has_no_secret_and_none_of_systemds() -> None:
    ours = {"MY_KEY": "sk", "NOTIFY_SOCKET": "/n", "CREDENTIALS_DIRECTORY": "/c", "LANG": "C", "PYTHONPATH": "/p"}
    ours |= {"VOICED_REALTIME__URL": "wss://h?key=sk", "VOICED_RUNTIME_DIR": "/y"}
    env = child_environment(ours, Path("/run/x"), {"MY_KEY", "ANOTHER"})
    assert env == {"LANG": "C", "VOICED_RUNTIME_DIR": "/run/x", "VOICED_CHILD": "1", "PYTHONPATH": f"{ROOT}:/p"}


def test_without_proxies_is_without_their_passwords() -> None:
    env = {"https_proxy": "http://u:p@h:1", "ALL_PROXY": "socks5://u:p@h:1", "no_proxy": "x", "PROXY_OF_MINE": "y"}
    assert without_proxies(env) == {"PROXY_OF_MINE": "y"}


def test_figures_are_those_of_the_process() -> None:
    resident_kib, cpu_s = figures(os.getpid())
    assert 5_000 < resident_kib < 2_000_000
    assert cpu_s > 0
    assert figures(2**22 + 1) == (0, 0.0)


@pytest.mark.parametrize(("status", "text"), [(3, "exit status 3"), (-9, "killed by SIGKILL"), (-63, "killed by signal 63")])
def test_an_ending_in_words(status: int, text: str) -> None:
    assert ending(status) == text
