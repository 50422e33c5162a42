"""What the program makes of its options, of the daemon's word and of its own end."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from voiced.config import Config
from voiced.doctor import __main__ as program
from voiced.doctor.finding import Finding, Verdict

ROOT = Path(__file__).parents[2]
OPTIONS = program.Options(fix=False, yes=True, as_json=True, silent=False, offline=True, config_file=None, daemon=None, asked=False)


@pytest.mark.parametrize(("told", "volume", "silent"), [(0, 0, True), (40, 40, False), (None, 70, False)])
def test_it_plays_as_loud_as_the_daemon_does(told: int | None, volume: int, silent: bool) -> None:
    daemon = {"audio": {"playback": {"volume": told}}}
    wanted = program._wanted(Config({"audio.playback.volume": 70}, ""), OPTIONS._replace(daemon=daemon))
    assert (wanted["playback"]["volume"], wanted["silent"]) == (volume, silent)


def test_of_wrong_settings_nothing_is_recommended_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[audio.playback]\nbuffer_ms = 300\n[turn]\nmode = 3\n")
    dropped = Finding("dropouts", Verdict.WARNING, "It ran dry.", settings={"audio.playback.buffer_ms": 150})
    monkeypatch.setattr(program, "_sound", lambda config, options: iter([dropped]))
    options = OPTIONS._replace(fix=True, config_file=path)
    assert program.examine(options) == 1
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (report["settings"], report["written"]) == ({}, False)
    assert "by the defaults" in report["complaint"]
    assert [finding["settings"] for finding in report["findings"]] == [{}, {}]
    assert program.examine(options._replace(as_json=False)) == 1
    assert "Nothing is written" in capsys.readouterr().out
    assert "mode = 3" in path.read_text()


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("raise KeyboardInterrupt", 130),
        ("raise click.Abort", 130),
        ("raise BrokenPipeError(32, 'x')", 0),
        ("return 1", 1),
        *((f"signal.raise_signal({number:d})", 128 + number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)),
    ],
)
def test_its_exit_status_however_it_ends(end: str, status: int) -> None:
    script = f"""
import signal, sys, click
import voiced.doctor.__main__ as program
def examine(options):
    {end}
program.examine = examine
sys.exit(program.main())
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
