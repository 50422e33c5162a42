"""A child that prints what it is told to and ends; with `leave`, it leaves a process of its own behind."""

import subprocess
import sys

from voiced.child import read_settings

if __name__ == "__main__":
    settings = read_settings()
    if settings.get("leave"):
        left = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        print(left.pid, flush=True)
    for line in settings["lines"]:
        print(line, flush=True)
    sys.exit(settings["status"])
