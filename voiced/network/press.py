"""One press of push-to-talk: what of it is worth sending. Silence before the first word and after the last is not. Pure."""

from voiced.messages import MonoNs
from voiced.network.ear import ONSET_NS


class Press:
    """`trusting`: a voice detector is there to say when speech starts; without one all counts as speech."""

    def __init__(self, began_ns: int, *, trusting: bool) -> None:
        self.spoken = not trusting
        self.first_ns = began_ns  # from where on it is worth sending
        self.stopped_ns: int | None = None  # where the last word ended, a little later
        self._sent_ns = began_ns  # up to here it was sent

    @property
    def sending(self) -> bool:
        return self.spoken and self.stopped_ns is None

    def sent(self, captured_ns: int) -> None:
        self._sent_ns = captured_ns

    def started(self, captured_ns: MonoNs) -> int | None:
        """Somebody speaks: from where on to send what was held back, or None where nothing was."""
        if self.sending:
            return None
        if not self.spoken:
            self.spoken = True
            self.first_ns = self._sent_ns = max(self._sent_ns, captured_ns - ONSET_NS)
        self.stopped_ns = None
        return self._sent_ns

    def stopped(self, captured_ns: MonoNs) -> None:
        if self.spoken:
            self.stopped_ns = captured_ns

    def undetected(self) -> int | None:
        """The detector is gone: nothing is held back any more. As `started`."""
        if self.sending:
            return None
        self.spoken, self.stopped_ns = True, None
        return self._sent_ns
