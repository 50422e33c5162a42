"""`voicectl`: one command to the running daemon, and its answer for people or, with --json, for programs.

The commands are those of voiced.control. What needs no help and no option, `voicectl [--json] COMMAND [WORD...]`, is
understood right here; anything else goes to click, whose import alone would cost as much as all the rest (50 ms).
"""

import sys

from voicectl.commands import TIMEOUT_S, WrongUsage, run, understand

_BUG = 70  # EX_SOFTWARE
_INTERRUPTED = 130  # as a shell reports SIGINT


def main() -> int:
    """The program; returns its exit status."""
    words = [word for word in sys.argv[1:] if word != "--json"]
    try:
        if any(word.startswith("-") for word in words):
            return _with_options()
        try:
            name, args = understand(words)
        except WrongUsage:
            return _with_options()
        return run(name, args, as_json=len(words) < len(sys.argv) - 1, timeout_s=TIMEOUT_S)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # the last fence
        print(f"voicectl: a bug in voicectl: {type(error).__name__}: {error}; please report it", file=sys.stderr)
        return _BUG


def _with_options() -> int:
    from voicectl import options

    return options.main()


if __name__ == "__main__":
    sys.exit(main())
