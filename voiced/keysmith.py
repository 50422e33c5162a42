"""`voiced keys`: who may drive the daemon here from another machine."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import click

from voiced.checks import is_loopback
from voiced.errors import ConfigInvalid
from voiced.keyring import Keyring, key_of, keys_dir, own_name, split_address

_HELP = """Show this machine's key and whom it lets in, or change that.

Over the network voiced is driven only by machines whose key it was told, and only where remote.listen is set; what goes over
the wire is encrypted. They may do what `voicectl` does here, but for reload, restart, record, approve and shutdown (those with
allow.remote_admin = true).

\b
Let the desk drive voiced in the kitchen:
  kitchen$ voiced keys                              prints the next line, with address and key
  desk$    voicectl hosts add kitchen 192.168.1.20:7770 KEY
                                                    prints the next line
  kitchen$ voiced keys allow desk KEY
  desk$    voicectl --host kitchen status

\b
Files:
  ~/.config/voiced/keys/own                         this machine's secret key: never copy it
  ~/.config/voiced/keys/allowed                     the keys that are let in
"""
_PORT = 7770


def group(config_file: Callable[[], Path | None], guarded: Callable[[Callable[[], int]], int]) -> click.Group:
    @click.group("keys", help=_HELP, short_help="Let other machines drive voiced here.", invoke_without_command=True)
    @click.pass_context
    def keys(context: click.Context) -> None:
        if context.invoked_subcommand is None:
            sys.exit(guarded(lambda: _show(config_file())))

    @keys.command("allow", short_help="Let a machine in.")
    @click.argument("name")
    @click.argument("key")
    def allow(name: str, key: str) -> None:
        """Let the machine with KEY in, under NAME; at once, also where voiced runs. `voicectl hosts add` there prints this line."""
        sys.exit(guarded(lambda: _allow(name, key)))

    @keys.command("refuse", short_help="Let a machine in no more.")
    @click.argument("name")
    def refuse(name: str) -> None:
        """Let the machine NAME in no more. If it is in, it is out within a second."""
        sys.exit(guarded(lambda: _refuse(name)))

    return keys


def _allow(name: str, key: str) -> int:
    wanted = key_of(key)
    keyring = Keyring(keys_dir())
    if wanted == _public(keyring):
        raise ConfigInvalid("that is the key of this machine itself; the line to run here is printed by `voicectl hosts add` there")
    before = keyring.allowed().get(name, wanted)
    keyring.allow(name, wanted)
    if before == wanted:
        print(f"{name} is let in.")
    else:  # new machines are often called the same
        print(f"{name} is let in, in place of the {name} of before; if that is another machine, allow it by another name:")
        print(f"  voiced keys allow {name[:62]}-2 {before.hex()}")
    return 0


def _refuse(name: str) -> int:
    Keyring(keys_dir()).refuse(name)
    print(f"{name} is let in no more.")
    return 0


def _show(config_file: Path | None) -> int:
    from voiced.config import default_path, load

    keyring = Keyring(keys_dir())
    public, allowed = _public(keyring), keyring.allowed()
    config = load(config_file)
    listen = config["remote.listen"]
    print("On the machine that is to drive voiced here, run:")
    print(f"  voicectl hosts add {own_name()} {_reached_at(listen)} {public.hex()}")
    print("It prints the line to run here then." if not allowed else "These are let in:")
    for name, key in allowed.items():
        print(f"  {name:<16}{key.hex()}")
    if not listen:
        file = default_path(os.environ) if config.source == "defaults" else config.source
        print(f'But voiced does not listen: put listen = "0.0.0.0:{_PORT}" below [remote] into {file}, then `voicectl reload`.')
    elif is_loopback((where := split_address(listen))[0].strip("[]")):
        print(f"But {where[0]} is reached from this machine alone: for others, listen at 0.0.0.0:{where[1]}.")
    return 0


def _public(keyring: Keyring) -> bytes:
    from voiced.bus import new_secret, public_key

    return public_key(keyring.own(new_secret))


def _reached_at(listen: str) -> str:
    host, port = split_address(listen) if listen else ("*", _PORT)
    return f"{_own_address() if host in ('*', '0.0.0.0', '[::]') else host}:{port}"


def _own_address() -> str:
    """Where others of the network find us, by the way out of here; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737)
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
