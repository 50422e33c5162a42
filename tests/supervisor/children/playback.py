import sys

from tests.supervisor.children.steady import main

if __name__ == "__main__":
    sys.exit(main("playback"))
