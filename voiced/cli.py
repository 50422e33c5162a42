"""`voiced`: the daemon in the foreground. Without options, as a service runs it, click is not even imported (50 ms)."""

import contextlib
import errno
import io
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from voiced.errors import InternalError, VoicedError
from voiced.shown import harmless

if TYPE_CHECKING:
    from voiced.supervisor.processes import Row
    from voiced.supervisor.provider import Provider

_STARTED_S = time.monotonic()
_UNWRITTEN = 74  # EX_IOERR

_NO_KEY_NAMED = "realtime.api_key_env, api_key_file or api_key_command would name one"

_HELP = """The voice daemon: talk to your machine, interrupt it, script it.

Runs in the foreground until Ctrl-C, SIGTERM or `voicectl shutdown`, and logs to stderr. Without any key it answers
by itself, offline and free; with one, OpenAI's Realtime models do.

\b
Examples:
  voiced                                    talk to it; speak again to interrupt it
  OPENAI_API_KEY=sk-... voiced              the same with OpenAI's voice
  VOICED_AUDIO__CAPTURE__DEVICE=Jabra voiced
                                            any setting, for one run
  voiced --check                            are the settings right? who would answer?
  voiced keys                               let another machine drive it
  voicectl status                           what it is doing, from another terminal

\b
Files:
  ~/.config/voiced/config.toml              the settings, all optional
  $XDG_RUNTIME_DIR/voiced/                  its sockets

\b
Environment:
  VOICED_CONFIG                             another settings file
  VOICED_SECTION__KEY                       one setting, as VOICED_REALTIME__VOICE=cedar
  VOICED_RUNTIME_DIR                        another directory for the sockets
  OPENAI_API_KEY, AZURE_OPENAI_API_KEY      the key
  https_proxy, all_proxy, no_proxy          the way to the server

\b
Exit status: 0 stopped in order, 2 wrong usage, else by sysexits(3):
  69 server out of reach or refuses         73 runtime directory unusable
  70 a bug in voiced                        75 already running
  71 sound device                           77 key refused
  78 settings
"""


def main() -> int:
    """The program; returns its exit status."""
    if len(sys.argv) == 1:
        return guarded(lambda: serve(None, verbose=False))
    try:
        _with_options()
    except OSError as error:  # of the output: actions are guarded
        return _unwritten(error)


def _told(action: Callable[[], int]) -> int:
    """As `guarded`, for an action that only tells something: an output that refuses raises OSError here, and is no bug."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        status = guarded(action)
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    print(told.getvalue(), end="", flush=True)
    return status


def _unwritten(error: OSError) -> int:
    """The exit status where standard output refused."""
    if sys.stdout is not None:  # or Python would complain of it again when it flushes at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return 0  # whoever read has enough (`| head`)
    print(f"voiced: can't write to the standard output: {error.strerror}", file=sys.stderr)
    return _UNWRITTEN


def guarded(action: Callable[[], int]) -> int:
    """The exit status of `action`; what went wrong is a line on stderr, never a traceback."""
    try:
        return action()
    except VoicedError as error:
        for line in error.message.splitlines():
            print(f"voiced: {harmless(line)}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # the last fence
        if os.environ.get("VOICED_LOG__LEVEL") == "debug":
            raise
        from voiced.child import shortage

        if (short := shortage(error)) is not None:
            print(f"voiced: {short.message}", file=sys.stderr)
            return short.exit_status
        what = harmless(f"{type(error).__name__}: {error}")
        print(
            f"voiced: a bug in voiced: {what}; please report it with what VOICED_LOG__LEVEL=debug shows",
            file=sys.stderr,
        )
        return InternalError.exit_status


def serve(config_file: Path | None, *, verbose: bool, table: "Callable[[Provider], Iterable[Row]] | None" = None) -> int:
    """Runs the daemon, with the processes of `table` or the real ones, until it is told to stop."""
    from voiced import coredump
    from voiced.bus import runtime_dir
    from voiced.supervisor import log, processes
    from voiced.supervisor.books import Books
    from voiced.supervisor.runtime import RuntimeDirectory
    from voiced.supervisor.settings import Settings
    from voiced.supervisor.state import state_dir
    from voiced.supervisor.supervisor import Supervisor

    os.umask(0o077)
    coredump.forbid()
    settings = Settings(config_file, verbose=verbose)
    say = log.to_journal_or_stderr(settings.level, os.environ, settings.now.secrets)

    def complain(text: str | None) -> None:
        if text:
            say(log.WARNING, "voiced", text)

    with RuntimeDirectory(Path(runtime_dir()), ours="VOICED_RUNTIME_DIR" not in os.environ) as directory:
        kept, complaint = state_dir(os.environ)
        complain(complaint)
        books = Books(settings.now.config, kept, time.time(), complain)
        Supervisor(settings, table or processes.table, directory, books, say, os.environ, _STARTED_S).run()
    return 0


def check(config_file: Path | None) -> int:
    """Says what the settings lead to, without starting anything."""
    from voiced import coredump
    from voiced.bus import runtime_dir
    from voiced.keyring import Keyring, keys_dir
    from voiced.secret import find_api_key
    from voiced.shown import public
    from voiced.supervisor import tools
    from voiced.supervisor.settings import Settings

    coredump.forbid()
    settings = Settings(config_file)
    config, profile, chosen = settings.now.config, settings.now.profile, settings.now.provider
    if chosen.name == "embedded":
        key = "a new one in each run, of the embedded server"
    elif config["realtime.auth"] == "none":
        key = "not sent, as realtime.auth says"
    else:
        missing = "realtime.api_key_env names a variable that is not set" if config["realtime.api_key_env"] else _NO_KEY_NAMED
        found = find_api_key(config)
        key = found.source if found else f"no key; {missing}"
    others = [name for name in settings.profiles if name != profile]
    print(f"settings: {config.source}, no problems")
    print(f"profile: {profile or 'none'}" + (f" (and there are {', '.join(others)})" if others else ""))
    print(chosen.describe())
    print(f"provider: {chosen.name}" + (f", {public(chosen.url)}" if chosen.url else ""))
    print(f"key: {key}")
    print(f"proxy: {public(chosen.proxy) or 'none'}")
    if chosen.name == "azure" and not chosen.transcription_model:
        print("transcripts: none of what you say, until realtime.transcription_model names a deployment that writes it down")
    for warning in tools.warnings(config):
        print(f"tools: {warning}")
    if config["remote.listen"]:
        allowed = Keyring(keys_dir()).allowed()
        print(f"other machines: at {config['remote.listen']}, {', '.join(allowed) or 'none'} let in (`voiced keys`)")
    print(f"sockets: {runtime_dir()}")
    return 0


def _with_options() -> NoReturn:
    import click

    from voiced import __version__, keysmith

    @click.group(
        invoke_without_command=True,
        subcommand_metavar="[keys ...]",
        help=_HELP,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    @click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Read the settings from FILE.")
    @click.option("--check", "only_check", is_flag=True, help="Check the settings, say who would answer, and leave.")
    @click.option("--demo", is_flag=True, help="Show a conversation with an interruption, without a sound card.")
    @click.option("--verbose", "-v", is_flag=True, help="Log everything (as VOICED_LOG__LEVEL=debug).")
    @click.version_option(__version__, message="voiced %(version)s")
    @click.pass_context
    def voiced(context: click.Context, config_file: Path | None, only_check: bool, demo: bool, verbose: bool) -> None:
        if context.invoked_subcommand is not None:
            if only_check or demo:
                raise click.UsageError(f"--check and --demo stand alone, without `{context.invoked_subcommand}`")
            return
        if demo:
            sys.exit(guarded(_demo))
        if only_check:
            sys.exit(_told(lambda: check(config_file)))
        sys.exit(guarded(lambda: serve(config_file, verbose=verbose)))

    voiced.add_command(keysmith.group(lambda: click.get_current_context().find_root().params["config_file"], _told))
    voiced.main(prog_name="voiced")
    raise AssertionError("click ends the program")


def _demo() -> int:
    from voiced import demo

    return demo.run()
