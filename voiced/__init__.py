"""voiced, the voice daemon for Linux: four kinds of process, one conversation, and silence when you speak."""

__version__ = "0.1.0.dev0"
