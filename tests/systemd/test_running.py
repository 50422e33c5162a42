"""The unit, run by a real `systemd --user`: the real daemon, in the sandbox, against a server and a sound server."""

import fcntl
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scripted_server import Manner, ScriptedServer
from tests.systemd.manager import HOME, INSTALL, Manager, manager, python, seen_from_the_sandbox
from tests.until import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

KEY = "key-of-a-credential"
WANTS_THE_KEY = Manner(key=("authorization", f"Bearer {KEY}"))
NO_SOUND_CARD = '[audio.capture]\ndevice = "null"\n[audio.playback]\ndevice = "null"\n'
#: Shorter waits than a user's; the rest is the unit's own. The key is not in the home: systemd 257 starts nothing whose
#: LoadCredential= has a space in its path ("Failed to deserialize: Invalid argument").
DROP_IN = """[Service]
LoadCredential=the_key:%t/key
StandardOutput=append:%h/log
StandardError=inherit
WatchdogSec=4
RestartSec=100ms
Environment=OPENBLAS_NUM_THREADS=1
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(WANTS_THE_KEY) as made:
        yield made


@pytest.fixture(scope="module")
def user() -> Iterator[Manager]:
    with manager() as made:
        furnish(made)
        yield made


def furnish(made: Manager) -> None:
    """Program, unit and key."""
    voiced, _ = made.program("voiced", python("voiced")), made.program("voicectl", python("voicectl"))
    unit = subprocess.run([INSTALL, "--print-unit", voiced], check=True, capture_output=True, text=True).stdout
    made.unit("voiced.service", unit)
    made.unit("voiced.service.d/test.conf", DROP_IN + seen_from_the_sandbox())
    (made.runtime / "key").write_text(KEY)
    (made.runtime / "key").chmod(0o600)


@pytest.fixture
def configured(user: Manager, server: ScriptedServer) -> Manager:
    """Nothing runs."""
    configure(user, server, NO_SOUND_CARD)
    user.systemctl("daemon-reload")
    user.systemctl("stop", "voiced")
    user.systemctl("reset-failed")
    return user


@pytest.fixture
def running(user: Manager, server: ScriptedServer, request: pytest.FixtureRequest) -> Manager:
    """From the test before, where that has left it running."""
    if user.show("voiced", "ActiveState") != "active":
        request.getfixturevalue("configured")
        user.systemctl("start", "voiced")
    user.until("voiced", "StatusText", "listening · scripted")
    return user


def configure(user: Manager, server: ScriptedServer, more: str, model: str = "model-1") -> None:
    realtime = f'[realtime]\nprovider = "compatible"\nurl = "{server.url}"\nmodel = "{model}"\napi_key_env = "THE_KEY"\n'
    file = user.home / ".config" / "voiced" / "config.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(realtime + more)


def voicectl(user: Manager, *arguments: str) -> str:
    done = user.run(HOME / "my programs" / "voicectl", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(user: Manager) -> list[dict[str, Any]]:
    processes: list[dict[str, Any]] = json.loads(voicectl(user, "--json", "status"))["processes"]
    return processes


def pid_of(user: Manager, name: str) -> int:
    return next(row["pid"] for row in rows(user) if row["name"] == name) or 0


def test_it_starts_with_the_credential_and_shows_what_it_does(running: Manager, server: ScriptedServer) -> None:
    """The server refuses whoever has not the key, and no setting has it."""
    assert running.shown("voiced", "ActiveState", "SubState", "NRestarts") == ["active", "running", "0"]
    voicectl(running, "mute")
    running.until("voiced", "StatusText", "muted · scripted")
    voicectl(running, "unmute")
    running.until("voiced", "StatusText", "listening · scripted")
    assert KEY not in running.log


def test_a_reload_is_done_when_it_returns_and_fails_where_the_settings_are_wrong(running: Manager, server: ScriptedServer) -> None:
    configure(running, server, NO_SOUND_CARD, model="model-2")
    running.systemctl("reload", "voiced")
    assert "answering: model-2" in running.log
    configure(running, server, NO_SOUND_CARD + "nonsense = 1\n")
    assert running.run("systemctl", "--user", "reload", "voiced").returncode != 0
    assert running.show("voiced", "ActiveState") == "active"
    assert "nonsense" in running.log
    configure(running, server, NO_SOUND_CARD)


def test_a_frozen_capture_is_replaced_and_a_frozen_voiced_started_anew(running: Manager) -> None:
    main, capture = running.show("voiced", "MainPID"), pid_of(running, "capture")
    running.kill("STOP", capture)
    running.until("voiced", "StatusText", "connecting · scripted · waiting for the microphone")
    running.until("voiced", "StatusText", "listening · scripted")
    assert pid_of(running, "capture") != capture
    assert running.shown("voiced", "MainPID", "NRestarts") == [main, "0"]
    running.kill("STOP", main)
    running.until("voiced", "NRestarts", "1")
    running.until("voiced", "SubState", "running")
    assert running.show("voiced", "MainPID") != main
    running.until("voiced", "StatusText", "listening · scripted")


def test_a_runtime_directory_that_is_wiped_is_made_anew_from_within_the_sandbox(running: Manager) -> None:
    before = running.shown("voiced", "MainPID", "NRestarts")
    assert running.run("rm", "-rf", "/run/user/1000/voiced").returncode == 0
    until(lambda: (running.runtime / "voiced" / "control").exists(), "new sockets", within_s=5)
    voicectl(running, "ping")
    assert running.shown("voiced", "MainPID", "NRestarts") == before


def test_a_stop_takes_less_than_2_s_and_leaves_no_process(running: Manager) -> None:
    cgroup = running.show("voiced", "ControlGroup")
    began_s = time.monotonic()
    running.systemctl("stop", "voiced")
    assert time.monotonic() - began_s < 2.0
    assert running.shown("voiced", "Result", "ExecMainStatus") == ["success", "0"]
    assert not running.run("cat", f"/sys/fs/cgroup{cgroup}/cgroup.procs").stdout
    assert not list((running.runtime / "voiced").glob("*"))


def test_it_gives_up_after_five_failures_and_touches_nothing_of_another_voiced(configured: Manager) -> None:
    """The other one holds the runtime directory, which must outlive the failed starts."""
    directory = configured.runtime / "voiced"
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert configured.run("systemctl", "--user", "start", "voiced").returncode != 0
        configured.until("voiced", "ActiveState", "failed")
        assert configured.shown("voiced", "NRestarts", "ExecMainStatus") == ["5", "75"]
        assert (directory / "lock").exists()
    (directory / "lock").unlink()


def test_what_only_people_can_mend_is_tried_once(configured: Manager, server: ScriptedServer) -> None:
    configure(configured, server, "nonsense = 1\n")
    assert configured.run("systemctl", "--user", "start", "voiced").returncode != 0
    assert configured.shown("voiced", "ActiveState", "NRestarts", "ExecMainStatus") == ["failed", "0", "78"]
    configure(configured, server, NO_SOUND_CARD)
    server.manner = Manner(key=("authorization", "Bearer another"))
    assert configured.run("systemctl", "--user", "start", "voiced").returncode != 0
    server.manner = WANTS_THE_KEY
    assert configured.shown("voiced", "ActiveState", "NRestarts", "ExecMainStatus") == ["failed", "0", "77"]
    assert "failed · " in (told := configured.show("voiced", "StatusText"))
    assert "refused the API key (HTTP 401); check the key" in told


def test_the_sandbox_holds(configured: Manager, tmp_path: Path) -> None:
    """In the unit's own words, with a probe in voiced's place. Here the user has root's files: what is refused, the sandbox refused."""
    probe = configured.program("probe", python("tests.systemd.probe"))
    own = configured.home / ".config" / "systemd" / "user"
    shutil.copy(own / "voiced.service", own / "probe.service")
    configured.unit(
        "probe.service.d/test.conf",
        f'[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart="{probe}" {tmp_path}\nStandardOutput=append:%h/probed\n'
        + seen_from_the_sandbox(),
    )
    configured.systemctl("daemon-reload")
    configured.run("systemctl", "--user", "start", "probe")
    found = json.loads((configured.home / "probed").read_text())
    allowed = {name for name, error in found.items() if error == ""}
    assert allowed == {"write runtime", "write its sockets", "write its state", "write /tmp", "write /dev/shm", "internet"}
    assert {found[f"write {place}"] for place in ("/usr", "/etc", "home", "settings")} == {"EROFS"}
    assert (found["netlink"], found["others' /tmp"], found["mode of its sockets"]) == ("EAFNOSUPPORT", "ENOENT", "0o700")
    assert {found[name] for name in ("CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (found["NoNewPrivs"], found["Seccomp"], found["umask"]) == ("1", "2", "0077")
    assert not {"mem", "kmsg", "vda", "sda", "input", "dri", "video0"} & set(found["devices"].split())


def test_the_embedded_server_thinks_and_speaks_in_the_sandbox(configured: Manager) -> None:
    """Its libraries run models, and want memory and threads, not memory that is written and executed."""
    (configured.home / ".config" / "voiced" / "config.toml").write_text(NO_SOUND_CARD)
    configured.systemctl("start", "voiced")
    configured.until("voiced", "StatusText", "listening · embedded smollm2", within_s=60)
    voicectl(configured, "ask", "What is the capital of France?")
    until(lambda: "assistant" in voicectl(configured, "--json", "transcript"), "an answer", within_s=60)
    assert {row["restarts"] for row in rows(configured)} == {0}


PULSEAUDIO = """[Service]
Type=notify
ExecStart=/usr/bin/pulseaudio -n --daemonize=no --use-pid-file=no --exit-idle-time=-1 --disallow-exit \
 -L "module-native-protocol-unix" -L "module-null-sink sink_name=speaker" -L "module-null-sink sink_name=said" \
 -L "module-remap-source source_name=microphone master=said.monitor"
"""


def test_it_starts_without_a_sound_server_and_takes_the_sound_when_that_comes(configured: Manager, server: ScriptedServer) -> None:
    if shutil.which("pulseaudio") is None:
        pytest.skip("no pulseaudio here")
    configure(configured, server, "")
    (configured.home / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    configured.unit("loud.service", PULSEAUDIO)
    configured.systemctl("start", "--no-block", "voiced")
    configured.until("voiced", "StatusText", "connecting · scripted · no microphone · waiting for the loudspeaker")
    configured.systemctl("start", "loud")
    configured.until("voiced", "StatusText", "listening · scripted")
    assert configured.show("voiced", "SubState") == "running"
    records = configured.run("pactl", "list", "source-outputs").stdout
    assert f'application.process.id = "{pid_of(configured, "capture")}"' in records


def test_a_user_without_namespaces_needs_the_drop_in_and_runs_by_it(server: ScriptedServer) -> None:
    with manager(namespaces="none") as user:
        furnish(user)
        configure(user, server, NO_SOUND_CARD)
        user.systemctl("daemon-reload")
        assert user.run("systemctl", "--user", "start", "voiced").returncode != 0
        user.until("voiced", "ActiveState", "failed")
        assert user.show("voiced", "ExecMainStatus") == "217"
        user.unit("voiced.service.d/no-user-namespaces.conf", (INSTALL.parent / "no-user-namespaces.conf").read_text())
        user.systemctl("daemon-reload")
        user.systemctl("reset-failed")
        user.systemctl("start", "voiced")
        status = user.run("cat", f"/proc/{user.show('voiced', 'MainPID')}/status").stdout
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
