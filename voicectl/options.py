"""The command line in full: options, help and complaints, by click, from the table of commands."""

import errno
import os
import sys
from typing import Any

import click

from voicectl import commands, doctor, logs
from voicectl.hosts import hosts
from voiced import __version__, control

_HELP = """Control the running voice daemon.

\b
Examples:
  voicectl status                     what it is doing
  voicectl toggle-mute                for a key of your desktop
  voicectl ask what time is it        a turn of yours, answered aloud
  voicectl interrupt                  silence, at once
  voicectl talk press                 with `talk release`, for a key that you hold
  voicectl profile work               other settings; `profile none` leaves them
  voicectl events transcript          follow what is said
  voicectl doctor                     what is wrong, and what to change
  voicectl logs --since 10min         what happened
  voicectl --json status | jq .state  for programs; `events` gives one JSON map a line
  voicectl --host kitchen status      the daemon on another machine, see `voicectl hosts --help`

\b
Environment:
  VOICED_RUNTIME_DIR                  where the daemon's sockets are, if not in $XDG_RUNTIME_DIR/voiced

\b
Files:
  ~/.config/voiced/hosts              the machines that --host knows
  ~/.config/voiced/keys/own           this machine's secret key, which proves who asks

\b
Exit status: 0 done, 1 the daemon refused, 2 wrong usage, 3 no daemon there, 4 no answer in time.
"""


class _Seconds(click.FloatRange):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if seconds != seconds:  # NaN is in every range
            self.fail(f"{value!r} is no time.", param, ctx)
        return seconds


class _Words(click.Command):
    """A command whose words are ours to understand: click would take those of a text for options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args in commands.HELP else ["--", *args])


def main() -> int:
    """Click ends the program by itself: for help and wrong usage, and with the command's own exit status."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))  # click would print to nowhere and call it done
    _group().main(prog_name="voicectl")
    return 0


def _group() -> click.Group:
    @click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option(
        "--timeout",
        "timeout_s",
        type=_Seconds(min=0, min_open=True, max=3600),
        default=commands.TIMEOUT_S,
        metavar="S",
        help="Wait at most S seconds for an answer; 5.",
    )
    @click.option("--host", metavar="NAME", help="Talk to the daemon on the machine that `voicectl hosts add` called NAME.")
    @click.version_option(__version__, message="voicectl %(version)s")
    @click.pass_context
    def voicectl(context: click.Context, as_json: bool, timeout_s: float, host: str | None) -> None:
        context.obj = (as_json, timeout_s, host)

    for command in control.COMMANDS.values():
        metavar = " ".join(arg.shown if arg.required else f"[{arg.shown}]" for arg in command.args)
        voicectl.add_command(_command(command.name.replace("_", "-"), _described(command), metavar))
    topics = "\n".join(f"  {topic.name:<22}{topic.doc}" for topic in control.EVENTS.values())
    help = f"Follow what happens, until Ctrl-C or the daemon's end. TOPIC is the beginning of a name; none is all.\n\n\b\nTopics:\n{topics}"
    voicectl.add_command(_command(commands.EVENTS, help, "[TOPIC]..."))
    voicectl.add_command(_doctor())
    voicectl.add_command(hosts)
    voicectl.add_command(_logs())
    return voicectl


def _doctor() -> click.Command:
    """Its options are for the program that it runs, `--help` too."""
    passed_on = {"ignore_unknown_options": True, "help_option_names": []}

    @click.command(doctor.NAME, help=doctor.HELP, context_settings=passed_on)
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    @click.pass_context
    def command(context: click.Context, words: tuple[str, ...]) -> None:
        as_json, timeout_s, _ = _of_this_machine(context)
        sys.exit(doctor.run([*words, *(["--json"] if as_json else [])], timeout_s))

    return command


def _of_this_machine(context: click.Context) -> tuple[bool, float, None]:
    """The options of all commands, for one that --host can't lead elsewhere."""
    as_json, timeout_s, host = context.obj
    if host is not None:
        raise click.UsageError(f"`voicectl {context.info_name}` looks at the machine that it runs on: run it there")
    return as_json, timeout_s, None


def _logs() -> click.Command:
    @click.command(logs.NAME, help=logs.HELP)
    @click.option("--follow", "-f", is_flag=True, help="Go on with what happens from now on.")
    @click.option("--since", metavar="TIME", help="From then on: 10min, 2h, today, 'YYYY-MM-DD HH:MM'. Default: the last 200 lines.")
    @click.option("--level", type=click.Choice(list(logs.LEVELS)), help="What is at least as grave.")
    @click.option("--process", metavar="NAME", help="Only of that process, as `voicectl status` names it.")
    @click.pass_context
    def command(context: click.Context, follow: bool, since: str | None, level: str | None, process: str | None) -> None:
        as_json, _, _ = _of_this_machine(context)
        words = logs.arguments(follow=follow, since=since, level=level, process=process, as_json=as_json)
        sys.exit(logs.run(words, follow=follow))

    return command


def _described(command: control.Command) -> str:
    args = "".join(f"\n\n{arg.shown}: {arg.doc}." for arg in command.args)
    return f"{command.doc}{args}\n\nThe result: {command.result}."


def _command(name: str, help: str, metavar: str) -> click.Command:
    @click.command(
        name, cls=_Words, help=help, short_help=help.splitlines()[0], options_metavar="", epilog="--json as the last word prints JSON."
    )
    @click.argument("words", nargs=-1, metavar=metavar)
    @click.pass_context
    def command(context: click.Context, words: tuple[str, ...]) -> None:
        json_first, timeout_s, host = context.obj
        given, json_last = commands.without_json([name, *words])
        try:
            understood = commands.understand(given)
        except commands.WrongUsage as error:
            raise click.UsageError(str(error)) from error
        sys.exit(commands.run(*understood, as_json=json_first or json_last, timeout_s=timeout_s, host=host))

    return command
