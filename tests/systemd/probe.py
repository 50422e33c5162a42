"""What a process in the unit's sandbox can do: prints a JSON map of attempt -> "" or the error's name."""

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

_CLONE_NEWUTS = 0x04000000


def attempt(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return ""


def write(path: Path | str) -> str:
    def make() -> None:
        file = Path(path) / "voiced-was-here"
        file.touch()
        file.unlink()

    return attempt(make)


def enter_a_namespace() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUTS):
        raise OSError(ctypes.get_errno(), "")


def main() -> None:
    home = Path.home()
    runtime = Path(os.environ["XDG_RUNTIME_DIR"])
    # Outside of the sandbox nearly all of this works, where root runs the tests: the user has root's files.
    found = {
        "write /usr": write("/usr"),
        "write /etc": write("/etc"),
        "write home": write(home),
        "write settings": write(home / ".config"),
        "write runtime": write(runtime),
        "write its sockets": write(runtime / "voiced"),
        "write its state": write(home / ".local/state/voiced"),
        "write /tmp": write("/tmp"),
        "write /dev/shm": write("/dev/shm"),
        "sysctl": attempt(lambda: Path("/proc/sys/kernel/hostname").write_text("x")),
        "netlink": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)),
        "packet": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)),
        "internet": attempt(lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM)),
        "write and execute": attempt(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)),
        "namespace": attempt(enter_a_namespace),
        "chroot": attempt(lambda: os.chroot("/")),
        "the highest priority": attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)),
        "set-user-id": attempt(lambda: os.chmod(runtime / "voiced", 0o4700)),
        "log of the kernel": attempt(lambda: os.close(os.open("/dev/kmsg", os.O_RDONLY))),
        "others' /tmp": "" if Path(sys.argv[1]).exists() else "ENOENT",
    }
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    found |= {name: status[name].strip() for name in ("CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")}
    found["umask"] = status["Umask"].strip()
    found["mode of its sockets"] = oct((runtime / "voiced").stat().st_mode & 0o777)
    found["devices"] = " ".join(sorted(os.listdir("/dev")))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
