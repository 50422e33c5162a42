"""`voiced` as a shell runs it: what it says, and its exit status."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supervisor import running
from tests.until import until
from voiced import __version__, cli
from voiced.errors import DeviceUnknown
from voiced.supervisor.spawn import Spawned, child_environment

pytestmark = pytest.mark.system


def voiced(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    ambient = ("VOICED_", "OPENAI_", "AZURE_", "CREDENTIALS_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ambient) and not name.lower().endswith("_proxy")}
    own = {"VOICED_RUNTIME_DIR": str(home / "r"), "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(running.ROOT)}
    program = [sys.executable, "-m", "voiced", *words]
    return subprocess.run(program, env=clean | own | env, capture_output=True, text=True, timeout=30, cwd=home)


def test_help_teaches(home: Path) -> None:
    done = voiced(home, "--help")
    assert done.returncode == 0
    taught = ("Examples:", "Files:", "Environment:", "OPENAI_API_KEY", "voicectl status", "--config FILE", "--check", "--demo")
    assert [word for word in taught if word not in done.stdout] == []
    assert max(len(line) for line in done.stdout.splitlines()) <= 100


def test_version(home: Path) -> None:
    assert voiced(home, "--version").stdout == f"voiced {__version__}\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--version", "--help", "--check", "keys", "keys --help"])
def test_an_output_that_refuses_is_told_of_in_one_line(home: Path, words: str, unbuffered: str) -> None:
    program = f"{sys.executable} -m voiced {words}"
    env = os.environ | {"XDG_CONFIG_HOME": str(home), "VOICED_RUNTIME_DIR": str(home / "r"), "PYTHONUNBUFFERED": unbuffered}

    def complaint(output: str) -> str:
        done = subprocess.run(f"{program} {output}", shell=True, env=env, cwd=running.ROOT, stderr=subprocess.PIPE, text=True)
        return f"{done.returncode} {done.stderr}"

    assert complaint(">/dev/full") == "74 voiced: can't write to the standard output: No space left on device\n"
    assert complaint("| true") == "0 "  # whoever read has enough
    if words in ("--check", "keys"):
        assert complaint(">&-") == "74 voiced: can't write to the standard output: Bad file descriptor\n"


def test_check_says_who_would_answer_and_starts_nothing(home: Path) -> None:
    done = voiced(home, "--check")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "settings: defaults, no problems"
    assert "embedded server" in done.stdout
    assert not (home / "r").exists()
    done = voiced(home, "--check", OPENAI_API_KEY="sk-never-seen")
    assert "gpt-realtime-2.1 at api.openai.com" in done.stdout
    assert "sk-never-seen" not in done.stdout + done.stderr


_WORK = """
[realtime]
profile = "work"
[profiles.work]
provider = "azure"
url = "https://mine.openai.azure.com"
model = "deployed"
api_key_command = ["cat", "hunter2"]
[profiles.home]
"""


def checked(home: Path, settings: str = "", **env: str) -> list[str]:
    (home / "settings.toml").write_text(settings)
    done = voiced(home, "--check", "--config", "settings.toml", **env)
    assert done.stderr == ""
    assert "hunter2" not in done.stdout
    return done.stdout.splitlines()[1:-1]


def test_check_names_profile_provider_key_and_proxy(home: Path) -> None:
    assert checked(home, _WORK, https_proxy="http://user:hunter2@proxy:3128") == [
        "profile: work (and there are home)",
        "answering: deployed at mine.openai.azure.com/openai/v1/realtime",
        "provider: azure, wss://mine.openai.azure.com/openai/v1/realtime",
        "key: the program 'cat', for each connection anew",
        "proxy: http://proxy:3128",
        "transcripts: none of what you say, until realtime.transcription_model names a deployment that writes it down",
    ]
    assert checked(home, VOICED_REALTIME__VOICE="cedar", OPENAI_API_KEY="sk-hunter2") == [
        "profile: none",
        "answering: gpt-realtime-2.1 at api.openai.com/v1/realtime, voice cedar",
        "provider: openai, wss://api.openai.com/v1/realtime",
        "key: the environment variable OPENAI_API_KEY",
        "proxy: none",
    ]
    local = '[realtime]\nprovider = "compatible"\nurl = "ws://localhost:8080/rt?k=hunter2"\n'
    assert checked(home, local, OPENAI_API_KEY="sk-hunter2")[2:] == [
        "provider: compatible, ws://localhost:8080/rt",
        "key: no key; realtime.api_key_env, api_key_file or api_key_command would name one",
        "proxy: none",
    ]
    no_key = checked(home, local + 'api_key_env = "hunter2_AT_HOME"\n')[3]
    assert no_key == "key: no key; realtime.api_key_env names a variable that is not set"
    assert checked(home, local + 'auth = "none"\n', OPENAI_API_KEY="sk-hunter2", http_proxy="http://p:1")[2:] == [
        "provider: compatible, ws://localhost:8080/rt",
        "key: not sent, as realtime.auth says",
        "proxy: none",
    ]


@pytest.mark.parametrize("words", [(), ("--check",), ("--verbose",)])
def test_each_mistake_in_the_settings_is_a_line(home: Path, words: tuple[str, ...]) -> None:
    (home / "voiced").mkdir()
    (home / "voiced/config.toml").write_text("turn.threshold = 2\naudio.frame_ms = 15\n")
    done = voiced(home, *words)
    assert done.returncode == 78
    assert done.stdout == ""
    assert [line.startswith(f"voiced: {home}/voiced/config.toml: ") for line in done.stderr.splitlines()] == [True, True]
    assert not (home / "r").exists()


_COMPATIBLE = {"VOICED_REALTIME__PROVIDER": "compatible"}


@pytest.mark.parametrize(
    ("words", "env", "status", "line"),
    [
        (("--config", "none.toml"), {}, 78, "voiced: no configuration file none.toml"),
        ((), {"VOICED_REALTIME__PROVIDER": "openai"}, 77, "voiced: realtime.provider is openai, but there is no key"),
        ((), _COMPATIBLE | {"VOICED_REALTIME__URL": "http://x"}, 78, "voiced: realtime.url http://x must begin"),
        ((), {"OPENAI_API_KEY": "sk-1", "ALL_PROXY": "socks4://p"}, 78, "voiced: ALL_PROXY names a socks4:// proxy"),
        ((), {"VOICED_RUNTIME_DIR": "/proc/no"}, 73, "voiced: can't make the runtime directory /proc/no"),
        ((), {"VOICED_RUNTIME_DIR": "/" + "x" * 110}, 73, "voiced: /xxx"),
        ((), {"VOICED_RUNTIME_DIR": "", "XDG_RUNTIME_DIR": "/no/such"}, 73, "voiced: no runtime directory"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(home: Path, words: tuple[str, ...], env: dict[str, str], status: int, line: str) -> None:
    done = voiced(home, *words, **env)
    assert done.returncode == status
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1


def test_wrong_usage_is_two(home: Path) -> None:
    done = voiced(home, "--nonsense")
    assert done.returncode == 2
    assert "Usage: voiced" in done.stderr


def test_a_module_in_the_working_directory_does_not_pose_as_ours(home: Path) -> None:
    """People start it anywhere; a file called random.py there is none of its business."""
    (home / "msgpack.py").write_text("raise SystemExit('taken in')")
    (home / "voiced.py").write_text("raise SystemExit('taken in')")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with contextlib.chdir(home):
        child = Spawned("tests.supervisor.children.echo", child_environment(env, home, ""))
    child.send_settings({"lines": ["loaded"], "status": 5})
    until(lambda: child.ended() is not None, "the end of the child")
    assert (child.ended(), child.printed()[0]) == (5, ["loaded"])
    child.reap()


def test_the_fence_lets_no_traceback_through(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(error: BaseException) -> int:
        raise error

    monkeypatch.delenv("VOICED_LOG__LEVEL", raising=False)
    assert cli.guarded(lambda: fails(DeviceUnknown("no such device"))) == 78
    assert cli.guarded(lambda: fails(ZeroDivisionError("by zero"))) == 70
    assert cli.guarded(lambda: fails(KeyboardInterrupt())) == 130
    known, bug = capsys.readouterr().err.splitlines()
    assert known == "voiced: no such device"
    assert bug.startswith("voiced: a bug in voiced: ZeroDivisionError: by zero; please report it")
    monkeypatch.setenv("VOICED_LOG__LEVEL", "debug")
    with pytest.raises(ZeroDivisionError):
        cli.guarded(lambda: fails(ZeroDivisionError("by zero")))


_DEAR = {"numpy", "pyaudio", "websocket", "websockets", "asyncio", "dataclasses", "click", "inspect", "hashlib", "msgspec", "tomllib"}
_ROOMS = ("voiced.capture", "voiced.playback", "voiced.network", "voiced.embedded", "voiced.audio")


def test_the_supervisor_loads_no_sound_websocket_or_numeric_code() -> None:
    loaded = running.loaded("-c", "import voiced.cli, voiced.supervisor.supervisor, voiced.supervisor.runtime")
    assert sorted((loaded - running.loaded("-c", "import zmq")) & _DEAR) == []  # with Python 3.13 pyzmq loads inspect
    assert not {name for name in loaded if name.startswith(_ROOMS)}
    assert not loaded & {"shlex", "difflib", "ctypes"}
    assert "zmq" in loaded


def core_limits(pid: int) -> tuple[str, str]:
    (line,) = [line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max core file size")]
    soft, hard = line.split()[4:6]
    return soft, hard


def test_the_daemon_and_its_children_leave_no_core(home: Path) -> None:
    with running.daemon(home, OPENAI_API_KEY="sk-test") as daemon:
        daemon.wait_until_ready()
        pids = [daemon.process.pid, *daemon.children().values()]
        limits = [core_limits(pid) for pid in pids]
    assert len(limits) == 4
    assert set(limits) <= {("1", "1"), ("0", "0")}
