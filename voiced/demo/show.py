"""What the demonstration prints: plain lines with times, as things happen."""

import shutil
import textwrap
import time

_LABEL_WIDTH = 11
_WIDEST = 110
_LONGEST_QUOTE = 100


def line(seconds: float, label: str, text: str, width: int) -> str:
    """One entry: time, what it is, and the text, wrapped under itself."""
    lead = f"{seconds:6.2f} s  {label:<{_LABEL_WIDTH}} "
    return textwrap.fill(text, max(width, len(lead) + 20), initial_indent=lead, subsequent_indent=" " * len(lead))


def quote(text: str) -> str:
    """Speech, as it is shown; a long one is cut where the eye would stop."""
    return f'"{textwrap.shorten(text, _LONGEST_QUOTE, placeholder=" ...")}"'


class Show:
    def __init__(self) -> None:
        self._began = time.monotonic()
        self._width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)

    def happened(self, label: str, text: str) -> None:
        print(line(time.monotonic() - self._began, label, text, self._width), flush=True)

    def say(self, text: str = "") -> None:
        print(text, flush=True)
