"""Cuts text that arrives piece by piece into sentences, so that the first can be spoken while the last is thought."""

import re

#: A full stop ends a sentence only before a space, and not after an initial or a common abbreviation.
_END = re.compile(r"[.!?…][\"”’)\]]*(?=\s)|\n+")
_NO_END = re.compile(r"(?:^|\s)(?:[A-Z]|Mr|Mrs|Ms|Dr|St|e\.g|i\.e|etc|vs|No)\.$")
#: The first words are worth having early: they end at a comma, where the sentence does not end first.
_FIRST_CLAUSE = re.compile(r"^.{30,}?[,;:](?=\s)")
#: No voice can say an endless sentence at once; cut it at a comma or a space.
_LONGEST = 300
#: More than the longest of _NO_END, so that looking for one takes no longer in a long text.
_NO_END_REACH = 8


class Sentences:
    def __init__(self) -> None:
        self._rest = ""
        self._begun = False

    def feed(self, text: str) -> list[str]:
        """The sentences that are complete by now."""
        self._rest += text
        done = []
        start = 0
        while (cut := _first_cut(self._rest[start : start + _LONGEST + 1], begun=self._begun)) is not None:
            done.append(self._rest[start : start + cut].strip())
            start += cut
            self._begun = True
        self._rest = self._rest[start:]
        return [sentence for sentence in done if sentence]

    def end(self) -> list[str]:
        """What is left when no more text will come."""
        done = self.feed("\n")
        self._rest = ""
        return done


def _first_cut(text: str, *, begun: bool) -> int | None:
    """Where the first piece ends, as far as `text` (one letter more than the longest piece will do) tells."""
    for end in _END.finditer(text):
        if "\n" in end[0] or not _NO_END.search(text[max(0, end.end() - _NO_END_REACH) : end.end()]):
            return end.end()
    if not begun and (clause := _FIRST_CLAUSE.match(text)):
        return clause.end()
    if len(text) <= _LONGEST:
        return None
    return max(text.rfind(", ", 0, _LONGEST) + 1, 0) or max(text.rfind(" ", 0, _LONGEST), 0) or _LONGEST
