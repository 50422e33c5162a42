"""The whole supervisor with real processes, killed by real signals."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import voicectl
from tests.supervisor.running import ROOT, daemon, is_alive
from tests.until import until
from voiced.errors import NotRunning, Unavailable

pytestmark = pytest.mark.system


def left_behind(home: Path) -> list[str]:
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.name != "log" and "state" not in path.relative_to(home).parts]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all_and_leaves_nothing(home: Path, number: int) -> None:
    with daemon(home) as running:
        children = running.wait_until_ready().children()
        assert set(children) == {"network", "capture", "playback", "embedded"}
        status, took_s = running.stop(number)
    assert status == 0
    assert took_s < 2
    assert not [name for name, pid in children.items() if is_alive(pid)]
    assert left_behind(home) == []


def test_shutdown_is_answered_and_ends_all(home: Path) -> None:
    with daemon(home) as running:
        with running.wait_until_ready().client() as client:
            client.shutdown()
        assert running.process.wait(2) == 0
    assert left_behind(home) == []


def test_it_stops_while_it_starts(home: Path) -> None:
    with daemon(home) as running:
        running.wait_for_log("started, pid", times=4)
        status, took_s = running.stop()
    assert status == 0
    assert took_s < 2
    assert left_behind(home) == []


def test_a_hung_child_does_not_delay_the_end(home: Path) -> None:
    with daemon(home) as running:
        pid = running.wait_until_ready().children()["capture"]
        os.kill(pid, signal.SIGSTOP)
        status, took_s = running.stop()
    assert status == 0
    assert took_s < 2
    assert not is_alive(pid)
    assert left_behind(home) == []


def test_asked_twice_it_kills_at_once(home: Path) -> None:
    with daemon(home) as running:
        pid = running.wait_until_ready().children()["capture"]
        os.kill(pid, signal.SIGSTOP)
        running.process.send_signal(signal.SIGINT)
        running.wait_for_log("stopping (SIGINT)")
        status, took_s = running.stop(signal.SIGINT)
    assert status == 0
    assert took_s < 1.0, "not the 1.2 s of the usual pressure"
    assert left_behind(home) == []


def test_a_killed_child_is_replaced(home: Path) -> None:
    with daemon(home) as running, running.wait_until_ready().client() as client, client.events("process") as events:
        before = running.children()
        os.kill(before["playback"], signal.SIGKILL)
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["state"] != "ready":
            event = events.next(10)
            assert event is not None
            seen.append(event.data)
        assert [(data["name"], data["state"]) for data in seen] == [("playback", state) for state in ("backoff", "starting", "ready")]
        assert seen[0]["reason"] == "killed by SIGKILL"
        after = running.children()
        assert after["playback"] != before["playback"]
        assert {name: pid for name, pid in after.items() if name != "playback"} == {n: p for n, p in before.items() if n != "playback"}
        assert running.row("playback")["restarts"] == 1


def test_a_hung_child_is_replaced(home: Path) -> None:
    with daemon(home) as running:
        pid = running.wait_until_ready().children()["capture"]
        os.kill(pid, signal.SIGSTOP)
        running.wait_for_log("hangs; killing it")
        until(lambda: running.row("capture")["restarts"] == 1 and running.row("capture")["state"] == "ready", "new capture process")
        assert running.children()["capture"] != pid
        assert not is_alive(pid)


def test_a_child_in_a_busy_loop_is_replaced(home: Path) -> None:
    with daemon(home) as running, running.wait_until_ready().client() as client:
        pid = running.children()["network"]
        with pytest.raises(Unavailable, match="died before it could answer"):
            client.say("spin")
        until(lambda: running.row("network")["state"] == "ready", "new network process")
        assert running.children()["network"] != pid
        assert "hangs; killing it" in running.log()


def test_mute_outlives_the_capture_process(home: Path) -> None:
    with daemon(home) as running, running.wait_until_ready().client() as client:
        assert client.mute()
        os.kill(running.children()["capture"], signal.SIGKILL)
        until(lambda: running.row("capture")["restarts"] == 1 and running.row("capture")["state"] == "ready", "new capture process")
        assert client.status()["muted"]
        assert not client.toggle_mute(), "the new process knew that it was muted"


def test_a_child_that_dies_again_and_again_is_given_up(home: Path) -> None:
    """And says so loudly: in the log, by an event (which an earcon is bound to), in status, with the reason and the way out."""
    way_out = "given up after 3 restarts: killed by SIGKILL; mend it, then `voicectl restart playback`"
    with daemon(home) as running, running.wait_until_ready().client() as client, client.events("process", "state", "error") as events:
        for _ in range(4):
            os.kill(running.children()["playback"], signal.SIGKILL)
            until(lambda: running.row("playback")["state"] in ("ready", "given_up"), "playback ready or given up")
            while (event := events.next(5)) is not None and event.data.get("state") not in ("ready", "given_up"):
                pass
        assert running.row("playback")["state"] == "given_up"
        assert running.row("playback")["reason"] == "killed by SIGKILL"
        assert client.status()["state"] == "failed"
        assert way_out in running.log()
        while (event := events.next(5)) is not None and event.topic != "error":
            pass
        assert event is not None
        assert event.data == {"code": "child_died", "message": f"the playback process is {way_out}", "fatal": True}
        assert client.mute(), "the rest goes on"
        client.restart("playback")
        until(lambda: running.row("playback")["state"] == "ready", "a new life")
        assert client.status()["state"] == "muted"


def test_a_child_that_can_not_start_ends_the_daemon_with_its_line(home: Path) -> None:
    with daemon(home, {"capture": {"settings": {"fail": "no input device `x`; see `voicectl devices`"}}}) as running:
        assert running.process.wait(10) == 78
    assert running.log().splitlines()[-1] == "voiced: no input device `x`; see `voicectl devices`"
    assert "Traceback" not in running.log()
    assert left_behind(home) == []


def test_a_child_that_can_not_even_load_ends_the_daemon_in_one_line(home: Path) -> None:
    with daemon(home, {"capture": {"module": "tests.supervisor.children.missing"}}) as running:
        assert running.process.wait(10) == 70
    assert "voiced: the capture process died while starting: exit status 1, " in running.log().splitlines()[-1]
    assert "No module named" in running.log().splitlines()[-1]
    assert left_behind(home) == []


def test_a_child_that_never_speaks_is_not_waited_for_forever(home: Path) -> None:
    with daemon(home, {"capture": {"module": "tests.supervisor.children.silent", "limits": {"silent_start_s": 0.5}}}) as running:
        assert running.process.wait(10) == 70
    assert "hangs; killing it" in running.log()
    assert "voiced: the capture process died while starting: killed by SIGKILL" in running.log()


def test_a_bug_in_a_child_is_one_line_and_a_restart(home: Path) -> None:
    with daemon(home, VOICED_LOG__LEVEL="info") as running, running.wait_until_ready().client() as client:
        with pytest.raises(Unavailable, match="died before it could answer"):
            client.say("raise")
        running.wait_for_log("died: a bug in voiced's network process: RuntimeError: on purpose; starting it again")


def test_a_refusal_after_the_start_is_a_state_not_an_end(home: Path) -> None:
    with daemon(home) as running, running.wait_until_ready().client() as client, client.events("error") as events:
        client.say("refused")
        event = events.next(5)
        assert event is not None
        assert event.data == {"code": "key_refused", "message": "the server refused the key", "fatal": True}
        assert client.status()["state"] == "failed"
        assert client.status()["session"]["last_error"] == "the server refused the key"


def test_what_libraries_print_is_for_the_debug_log(home: Path) -> None:
    with daemon(home) as running, running.wait_until_ready().client() as client:
        client.say("print")
        running.wait_for_log("network    printed by a library")


def test_children_leave_when_the_supervisor_is_killed(home: Path) -> None:
    with daemon(home) as running:
        pids = running.wait_until_ready().children().values()
        running.process.kill()
        running.process.wait()
        until(lambda: not any(is_alive(pid) for pid in pids), "end of the children", within_s=4.0)


def test_what_a_killed_run_left_is_no_obstacle(home: Path) -> None:
    with daemon(home) as running:
        running.wait_until_ready()
        running.process.kill()
        running.process.wait()
        assert (running.runtime / "control").is_socket()
        with pytest.raises(NotRunning), voicectl.Client(running.runtime) as client:
            client.ping()
    with daemon(home) as again:
        again.wait_for_log("ready after", times=2)
        with again.client() as client:
            assert client.ping()["pid"] == again.process.pid


def test_a_second_daemon_is_refused_and_the_first_lives_on(home: Path) -> None:
    with daemon(home) as running:
        running.wait_until_ready()
        program = [sys.executable, "-m", "tests.supervisor.daemon"]
        second = subprocess.run(program, env=running.env, capture_output=True, text=True, timeout=10)
        assert second.returncode == 75
        assert second.stderr.startswith(f"voiced: voiced is already running (pid {running.process.pid});")
        assert len(second.stderr.splitlines()) == 1
        with running.client() as client:
            assert client.ping()["pid"] == running.process.pid


def test_sockets_are_ours_alone(home: Path) -> None:
    with daemon(home) as running:
        running.wait_until_ready()
        assert running.runtime.stat().st_mode & 0o777 == 0o700
        assert {path.name: path.stat().st_mode & 0o777 for path in running.runtime.iterdir()} == {
            "control": 0o600,
            "events": 0o600,
            "family": 0o600,
            "lock": 0o600,
        }


def test_the_key_is_nowhere_to_be_seen(home: Path) -> None:
    key = "sk-never-to-be-seen-1234567890"
    with daemon(home, OPENAI_API_KEY=key) as running, running.wait_until_ready().client() as client:
        assert client.status()["session"]["provider"] == "openai"
        assert key not in repr(client.status()) + running.log()
        for pid in running.children().values():
            process = Path(f"/proc/{pid}")
            assert key.encode() not in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()


def test_systemd_is_told(home: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(home / "notify"))
        systemd.settimeout(10)
        with daemon(home, NOTIFY_SOCKET=str(home / "notify"), WATCHDOG_USEC="200000") as running:
            told: list[str] = []
            while not any("READY=1" in message for message in told) or not any("WATCHDOG=1" in message for message in told[-2:]):
                told.append(systemd.recv(4096).decode())
            assert "STATUS=idle" in "\n".join(told)
            running.stop()
            while told[-1] != "STOPPING=1\nSTATUS=":
                told.append(systemd.recv(4096).decode())


def test_a_supervisor_that_was_stopped_itself_does_not_blame_its_children(home: Path) -> None:
    with daemon(home) as running:
        before = running.wait_until_ready().children()
        running.process.send_signal(signal.SIGSTOP)
        stopped_s = time.monotonic()
        until(lambda: time.monotonic() - stopped_s > 2.0, "longer than the children's limit")
        running.process.send_signal(signal.SIGCONT)
        assert running.children() == before
        assert "hangs" not in running.log()


def test_a_log_that_nobody_reads_any_more_does_no_harm(home: Path) -> None:
    env = dict(os.environ) | {"VOICED_RUNTIME_DIR": str(home / "r"), "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(home)}
    with subprocess.Popen([sys.executable, "-m", "tests.supervisor.daemon"], env=env, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while b"ready after" not in process.stderr.readline():
            assert process.poll() is None
        process.stderr.close()
        with voicectl.Client(home / "r") as client:
            client.interrupt()  # is logged
            assert client.ping()["pid"] == process.pid
            client.shutdown()
        assert process.wait(5) == 0
