"""`voicectl hosts`: the daemons on other machines that are known here."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from voicectl.commands import complain, status_of
from voicectl.places import own_secret
from voiced.bus import public_key
from voiced.errors import VoicedError
from voiced.keyring import Hosts, config_dir, key_of, own_name

if TYPE_CHECKING:
    from collections.abc import Callable

_HELP = """List the machines whose daemon `voicectl --host NAME` drives, or change the list.

\b
Let this machine, the desk, drive the one in the kitchen:
  kitchen$ voiced keys                              prints the next line, with address and key
  desk$    voicectl hosts add kitchen 192.168.1.20:7770 KEY
                                                    prints the next line
  kitchen$ voiced keys allow desk KEY
  desk$    voicectl --host kitchen status
"""


@click.group("hosts", help=_HELP, short_help="Know daemons on other machines, for --host.", invoke_without_command=True)
@click.pass_context
def hosts(context: click.Context) -> None:
    as_json, _, host = context.obj
    if host is not None:
        raise click.UsageError("`voicectl hosts` looks at the machine that it runs on: run it there")
    if context.invoked_subcommand is None:
        _carry_out(lambda: _list(as_json=as_json))


@hosts.command("add", short_help="Make a daemon known.")
@click.argument("name")
@click.argument("address")
@click.argument("key")
def add(name: str, address: str, key: str) -> None:
    """Make the daemon at ADDRESS (HOST:PORT) known as NAME. KEY is that machine's, as `voiced keys` there prints it."""

    def carry_out() -> None:
        Hosts(config_dir()).add(name, address, key_of(key))
        print(f"{name} is known here. It lets this machine in when you run there:")
        print(f"  voiced keys allow {own_name()} {public_key(own_secret()).hex()}")
        print(f"Then: voicectl --host {name} status")

    _carry_out(carry_out)


@hosts.command("remove", short_help="Forget a daemon.")
@click.argument("name")
def remove(name: str) -> None:
    """Forget the daemon known as NAME. To keep this machine out, run `voiced keys refuse` there."""
    _carry_out(lambda: Hosts(config_dir()).remove(name))


def _list(*, as_json: bool) -> None:
    known = Hosts(config_dir()).all().values()
    if as_json:
        print(json.dumps({"hosts": [host._asdict() | {"key": host.key.hex()} for host in known]}))
        return
    for host in known:
        print(f"{host.name:<16}{host.address:<28}{host.key.hex()}")
    if not known:
        print("no daemon of another machine is known here; `voicectl hosts --help` shows how one is made known")


def _carry_out(action: Callable[[], None]) -> None:
    """Ends the program where it fails."""
    try:
        action()
    except VoicedError as error:
        complain(error.message)
        sys.exit(status_of(error))
