"""`voicectl`: one command to the running daemon, and its answer for people or, with --json, for programs.

The commands are those of voiced.control. What needs no help and no option but one, `voicectl [--json] COMMAND [WORD...] [--json]`,
is understood right here; anything else goes to click, whose import alone would cost as much as all the rest (50 ms).
"""

import sys

from voicectl.commands import HELP, TIMEOUT_S, WrongUsage, complain, run, understand, unwritten, without_json

_BUG = 70  # EX_SOFTWARE
_INTERRUPTED = 130  # as a shell reports SIGINT


def main() -> int:
    """The program; returns its exit status."""
    try:
        return _obey(sys.argv[1:])
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:
        return unwritten(error)
    except Exception as error:  # the last fence
        complain(f"a bug in voicectl: {type(error).__name__}: {error}; please report it")
        return _BUG


def _obey(words: list[str]) -> int:
    json_first = words[:1] == ["--json"]
    words, json_last = without_json(words[1:] if json_first else words)
    if not words or words[0].startswith("-") or words[1:] in HELP:
        return _with_options()
    try:
        name, args = understand(words)
    except WrongUsage:
        return _with_options()
    return run(name, args, as_json=json_first or json_last, timeout_s=TIMEOUT_S)


def _with_options() -> int:
    from voicectl import options

    return options.main()


if __name__ == "__main__":
    sys.exit(main())
