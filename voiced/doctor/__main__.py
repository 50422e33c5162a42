"""`python -m voiced.doctor`, which is what `voicectl doctor` runs: all checks in turn, the report, and the settings to change."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click

from voiced import __version__, coredump
from voiced.config import Config, default_path, load
from voiced.doctor import advice, connection, machine, show
from voiced.doctor.finding import Finding, Verdict, overall, recommended
from voiced.errors import VoicedError
from voiced.secret import find_api_key
from voiced.shown import harmless
from voiced.supervisor.settings import Settings

_FAILED, _BUG, _INTERRUPTED = 1, 70, 130
_BY_DEFAULTS = "What follows is by the defaults, so no setting is recommended and none is written until these are right."
#: The test itself takes 9 s, devices that have to be woken a few more.
_SOUND_S = 40.0
_WIDEST = 110

_HELP = """Check whether voiced can work well here, and say what to change.

Plays a few sweeps and a hiss of three seconds, at a moderate volume, and listens to what comes back: be quiet for ten seconds.
Opens a session with the server that the settings name, and closes it again; nothing is said, and nothing is paid for.

\b
Exit status: 0 nothing failed (warnings or not), 1 something failed, 2 wrong usage.
"""


class Options(NamedTuple):
    fix: bool
    yes: bool
    as_json: bool
    silent: bool
    offline: bool
    config_file: Path | None
    #: What the daemon told `voicectl`, None where none runs.
    daemon: dict[str, Any] | None
    #: Whether anybody looked for one.
    asked: bool


@click.command(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--fix", is_flag=True, help="Write the recommended settings into the configuration, after showing the change and asking.")
@click.option("--yes", "-y", is_flag=True, help="With --fix: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--silent", is_flag=True, help="Play nothing, and so leave out what the echo tells.")
@click.option("--offline", is_flag=True, help="Do not connect to the server.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="The settings, as of `voiced --config`.")
@click.option("--daemon", hidden=True, help="What `voicectl` knows of the daemon, as JSON.")
def _options(fix: bool, yes: bool, as_json: bool, silent: bool, offline: bool, config_file: Path | None, daemon: str | None) -> Options:
    told = json.loads(daemon) if daemon else None
    return Options(fix, yes, as_json, silent, offline, config_file, told, daemon is not None)


def main() -> int:
    """The program; returns its exit status."""
    coredump.forbid()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, _leave)
    try:
        # Only understood here and carried out outside of click, which has statuses of its own for Ctrl-C and closed pipes.
        understood = _options.main(prog_name="voicectl doctor", standalone_mode=False)
        return examine(understood) if isinstance(understood, Options) else int(understood)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except VoicedError as error:
        print(f"voicectl: {harmless(error.message)}", file=sys.stderr)
        return _FAILED
    except Exception as error:  # the last fence
        print(harmless(f"voicectl: a bug in voiced: {type(error).__name__}: {error}; please report it"), file=sys.stderr)
        return _BUG


def _leave(number: int, frame: object) -> NoReturn:
    """Unlike an end by the signal itself, takes the programs that we run with us."""
    raise SystemExit(128 + number)


def examine(options: Options) -> int:
    findings: list[Finding] = []
    for finding in _checks(options):
        findings.append(finding)
        if not options.as_json:
            _print(show.lines([finding], width=min(_WIDEST, shutil.get_terminal_size().columns), encoding=sys.stdout.encoding))
    settings, path = recommended(findings), _path(options)
    refusal = _BY_DEFAULTS if findings[0].verdict is Verdict.FAILED else None
    if options.as_json:
        report = {"version": __version__, "verdict": overall(findings).value, "findings": [finding.as_map() for finding in findings]}
        print(json.dumps(report | {"settings": settings, "file": str(path)} | _written(path, settings, options, refusal)))
    else:
        print(f"\n{show.summary(findings)}")
        if options.fix and refusal:
            print(f"\nNothing is written to {path}. {refusal}")
        elif settings:
            _recommend(path, settings, options)
    return _FAILED if overall(findings) is Verdict.FAILED else 0


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(line.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding), flush=True)


# the checks --------------------------------------------------------------------------------------------------------------


def _checks(options: Options) -> Iterator[Finding]:
    """The first is about the settings."""
    config, finding = _settings(options)
    yield finding
    if options.asked:
        yield machine.daemon(options.daemon)
    if finding.verdict is Verdict.FAILED:
        yield from (each._replace(settings={}) for each in _sound(config, options))
    else:
        yield from _sound(config, options)
        yield from _server(config, options)


def _settings(options: Options) -> tuple[Config, Finding]:
    """The settings, the defaults in the place of such as can't be used."""
    try:
        config = load(options.config_file)
    except VoicedError as error:
        problems = error.message.splitlines()
        return Config({}, "defaults"), Finding("settings", Verdict.FAILED, "; ".join(problems), len(problems), "wrong", _BY_DEFAULTS)
    where = "No settings file: all is as by default." if config.source == "defaults" else f"{config.source} has no problems."
    return config, Finding("settings", Verdict.OK, where)


def _path(options: Options) -> Path:
    named = options.config_file or (Path(os.environ["VOICED_CONFIG"]) if os.environ.get("VOICED_CONFIG") else None)
    return named or default_path(os.environ)


def _sound(config: Config, options: Options) -> Iterator[Finding]:
    wanted = None if advice.clocked(config) else _wanted(config, options)
    command = connection.module("voiced.doctor.sound")
    if wanted is not None and not wanted["silent"] and sys.stderr.isatty():
        print("Playing a test sound; please be quiet for ten seconds ...", file=sys.stderr)
    try:
        done = subprocess.run(command, input=json.dumps(wanted).encode(), capture_output=True, timeout=_SOUND_S)
        found = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        remedy = "Restart the sound server, as by `systemctl --user restart pipewire wireplumber pipewire-pulse`."
        yield Finding("sound", Verdict.FAILED, f"The sound system has not answered for {_SOUND_S:g} s.", remedy=remedy)
        return
    except (ValueError, IndexError):
        remedy = "Try other devices (audio.capture.device, audio.playback.device): what breaks is a library of the sound system."
        yield Finding("sound", Verdict.FAILED, f"Trying the devices ended with status {done.returncode}.", remedy=remedy)
        return
    yield machine.judged(machine.scheduling(found["urgency"], options.daemon))
    if "bug" in found:
        yield Finding("sound", Verdict.FAILED, f"A bug in voiced: {found['bug']}; please report it.")
    elif wanted is None:
        yield Finding("sound", Verdict.OK, "A device is `null` or a file, so there is no sound to try.")
    else:
        yield from advice.findings(found, config, volume=wanted["playback"]["volume"], daemon=options.daemon is not None)


def _wanted(config: Config, options: Options) -> dict[str, Any]:
    playback = config.section("audio.playback")
    running = options.daemon["audio"]["playback"]["volume"] if options.daemon is not None else None
    if running is not None:  # `voicectl volume` may have changed it
        playback["volume"] = running
    return {
        "capture": config.section("audio.capture"),
        "playback": playback,
        "frame_ms": config["audio.frame_ms"],
        "threshold": config["barge_in.threshold"],
        "silent": options.silent or not playback["volume"],
    }


def _server(config: Config, options: Options) -> Iterator[Finding]:
    try:
        provider = Settings(options.config_file).now.provider
        session = options.daemon["session"] if options.daemon else {}
        yield connection.answers(provider, find_api_key(config), session.get("provider"))
    except VoicedError as error:
        yield Finding("key", Verdict.FAILED, error.message, details={"code": error.code})
        return
    if options.offline:
        return
    if provider.name == "embedded" and session.get("connected") and session.get("provider") == "embedded":
        yield Finding("connection", Verdict.OK, "The running voiced has a session with its embedded server.")
        return
    yield connection.tried(provider, config, os.environ)


# what to change ----------------------------------------------------------------------------------------------------------


def _recommend(path: Path, settings: dict[str, Any], options: Options) -> None:
    if not options.fix:
        print(f"\nTo change in {path}, which `voicectl doctor --fix` does:\n")
        _print(f"  {line}" for line in show.as_toml(settings))
        return
    backup = _fixed(path, settings, options)
    if backup is None:
        print("Nothing is written.")
        return
    print(f"Written{f'; what was there is in {backup}' if backup else ''}.")
    for name in settings:
        if (variable := f"VOICED_{name.upper().replace('.', '__')}") in os.environ:
            print(f"But {variable} in the environment says otherwise, and counts.")
    if options.daemon is not None:
        print("For the running voiced: voicectl reload")


def _written(path: Path, settings: dict[str, Any], options: Options, refusal: str | None) -> dict[str, Any]:
    """For programs, what became of `--fix`."""
    complaint, backup = refusal if options.fix else None, None
    try:
        backup = _fixed(path, settings, options) if options.fix and settings else None
    except VoicedError as error:
        complaint = error.message
    return {"written": backup is not None, "backup": backup or None, "complaint": complaint}


def _fixed(path: Path, settings: dict[str, Any], options: Options) -> str | None:
    """Writes the settings, if that is wanted: the name of the copy, "" where there was no file, None where nothing was written."""
    from voiced.doctor import fixing  # tomlkit: 60 ms

    before = fixing.read(path)
    after = fixing.edited(before, settings)
    if not options.as_json:
        print()
        _print(iter(fixing.diff(before, after, path)))
        print()
    if not options.yes and (options.as_json or not sys.stdin.isatty() or not click.confirm(f"Write this to {path}?")):
        return None
    backup = fixing.write(path, before, after)
    return str(backup) if backup else ""


if __name__ == "__main__":
    sys.exit(main())
