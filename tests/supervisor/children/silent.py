"""A child that takes its settings and never says a word."""

import signal

from voiced.child import read_settings

if __name__ == "__main__":
    read_settings()
    signal.pause()
