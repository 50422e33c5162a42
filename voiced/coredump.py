"""What keeps keys, and what was said, out of core dumps."""

import resource

#: In bytes. Not 0: under a limit of 0 the kernel writes no file but still calls a program that is there for crashes
#: (core_pattern `|...`), and not each of those asks for the limit. No file is as small as a byte, and for such a program 1
#: is the sign of its own crash, so it is not called at all: "RLIMIT_CORE is set to 1, aborting core" (seen on Linux 6.18).
_LIMIT = 1


def forbid() -> None:
    """No core dump of this process from now on, nor of those that it starts, nor a way back.

    PR_SET_DUMPABLE would cost each of them 3 ms and 0.4 MiB for ctypes, would not be inherited through exec, and would hide
    /proc/PID/smaps_rollup from the user.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    limit = _LIMIT if most != 0 else 0  # what is forbidden already can't be raised
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
