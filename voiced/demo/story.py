"""The conversation as it is carried out: speaks, waits for events and sounds, shows them, and gathers the outcome."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import voicectl
from voiced.demo.conversation import GREETING, INTERRUPT_AFTER_MS, INTERRUPTION, QUESTION, Line, Outcome
from voiced.demo.recorder import RATE_HZ, Recorder
from voiced.demo.show import Show, quote
from voiced.demo.soundserver import SoundServer, Speech

#: The embedded server loads its models when it is asked first: 2 s, or many from a slow disk.
_EVENT_WITHIN_S = 60.0
_SOUND_WITHIN_S = 60.0
_END_WITHIN_S = 60.0
#: Longer than the pauses between sentences, shorter than a turn.
_QUIET_MS = 1000
_EVENT_ON_ITS_WAY_MS = 10
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


class StoryFailed(RuntimeError):
    """Something that had to happen did not; the message says what."""


class _Spoken(NamedTuple):
    speech: Speech
    first_sample: int  # in the microphone's recording


class Story:
    """One conversation. `heard` records the speaker, `said` the microphone; both run."""

    def __init__(
        self,
        client: voicectl.Client,
        events: voicectl.Events,
        server: SoundServer,
        heard: Recorder,
        said: Recorder,
        show: Show,
        directory: Path,
    ) -> None:
        self._client = client
        self._events = events
        self._server = server
        self._heard = heard
        self._said = said
        self._show = show
        self._directory = directory

    def tell(self) -> Outcome:
        greeted = self._greeting()
        asked = self._say(QUESTION)
        question = self._understood()
        asked.speech.wait()
        first = self._answer_begins(asked, since=greeted)
        self._heard.wait_for_samples(first + INTERRUPT_AFTER_MS * RATE_HZ // 1000, _SOUND_WITHIN_S)
        self._show.happened("listening", f"to {quote(self._answer_so_far())}")

        cut_in = self._say(INTERRUPTION, "in the middle of it")
        started_ns = _mono_ns(self._event("speech.started"))
        flush = self._event("flush").data
        last = self._heard.wait_for_silence(100, _SOUND_WITHIN_S)
        silent_ns = self._heard.time_ns(last)
        to_silence_ms = (silent_ns - self._said.time_ns(cut_in.first_sample)) / _NS_PER_MS
        order_to_silence_ms = (silent_ns - started_ns) / _NS_PER_MS
        recorded_ms = _ms(last + 1 - first)
        turn_played_ms = self._turn_played_ms(flush["item_id"])
        underruns: int = self._client.status()["audio"]["playback"]["underruns"]
        self._show_interruption(flush, to_silence_ms, order_to_silence_ms, recorded_ms, underruns)

        interruption = self._understood()
        cut_in.speech.wait()
        second = self._answer_begins(cut_in, since=last + 1)
        answer = self._event("transcript.assistant", lambda data: data["final"] and data["item_id"] != flush["item_id"]).data["text"]
        end = self._heard.wait_for_silence(_QUIET_MS, _END_WITHIN_S)
        self._show.happened("answer", f"{quote(answer)} heard to the end, {_ms(end + 1 - second) / 1000:.1f} s")
        return Outcome(
            question=question,
            interruption=interruption,
            answer=answer,
            played_ms=flush["played_ms"],
            dropped_ms=flush["dropped_ms"],
            turn_played_ms=turn_played_ms,
            recorded_ms=recorded_ms,
            underruns=underruns,
            to_silence_ms=to_silence_ms,
            order_to_silence_ms=order_to_silence_ms,
            answer_recorded_ms=_ms(end + 1 - second),
        )

    def _greeting(self) -> int:
        """Lets the assistant speak first, while the embedded server still loads its models; returns the sample after it."""
        self._client.say(GREETING)
        since = self._heard.wait_for_sound(0, _SOUND_WITHIN_S)
        end = self._heard.wait_for_silence(_QUIET_MS, _SOUND_WITHIN_S, since) + 1
        self._show.happened("greets", quote(GREETING) + " (voicectl say)")
        return end

    def _say(self, line: Line, when: str = "") -> _Spoken:
        sound = self._directory / "line.wav"
        try:
            subprocess.run(["flite", "-voice", "slt", "-t", line.words, "-o", str(sound)], check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise StoryFailed("flite, which speaks your part, is missing: install it") from error
        except subprocess.CalledProcessError as error:
            raise StoryFailed(f"flite could not speak your part: {error.stderr.strip()}") from error
        since = self._said.samples
        speech = self._server.play(sound)
        sound.unlink()
        self._show.happened("you say", quote(line.words) + (f", {when}" if when else ""))
        return _Spoken(speech, self._said.wait_for_sound(since, _SOUND_WITHIN_S))

    def _understood(self) -> str:
        text: str = self._event("transcript.user", lambda data: data["final"]).data["text"]
        self._show.happened("understood", quote(text))
        return text

    def _answer_begins(self, spoken: _Spoken, since: int) -> int:
        first = self._heard.wait_for_sound(since, _SOUND_WITHIN_S)
        fell_silent = self._said.last_sound()
        assert fell_silent is not None, "the question was heard to begin"
        thought_ms = (self._heard.time_ns(first) - self._said.time_ns(fell_silent)) / _NS_PER_MS
        self._show.happened("answers", f"first sound at the speaker, {thought_ms / 1000:.2f} s after your last")
        return first

    def _show_interruption(
        self, flush: dict[str, Any], to_silence_ms: float, order_to_silence_ms: float, recorded_ms: float, underruns: int
    ) -> None:
        self._show.happened(
            "silence", f"at the speaker, {to_silence_ms:.0f} ms after your first sound: {_shares(to_silence_ms, order_to_silence_ms)}"
        )
        self._show.happened(
            "flush", f"device aborted {flush['latency_ms']:.1f} ms after the order; {flush['dropped_ms'] / 1000:.1f} s of speech dropped"
        )
        gaps = f", with {underruns} gaps because this machine is too busy" if underruns else ""
        self._show.happened(
            "truncated",
            f"the answer at {flush['played_ms']} ms, as far as it was heard; the speaker's recording holds {recorded_ms:.0f} ms{gaps}",
        )

    def _turn_played_ms(self, item_id: str) -> int | None:
        turns = self._client.transcript(limit=10)
        return next((turn.get("played_ms") for turn in turns if turn["item_id"] == item_id and turn["interrupted"]), None)

    def _answer_so_far(self) -> str:
        turns = self._client.transcript(limit=1)
        return turns[-1]["text"] if turns else ""

    def _event(self, topic: str, wanted: Callable[[dict[str, Any]], Any] = bool) -> voicectl.Event:
        """The next event of this topic that is wanted; those before it are passed over. Raises StoryFailed."""
        deadline = time.monotonic() + _EVENT_WITHIN_S
        while (event := self._events.next(deadline - time.monotonic())) is not None:
            if event.topic == "error":
                raise StoryFailed(event.data["message"])
            if event.topic == topic and wanted(event.data):
                return event
        raise StoryFailed(f"no {topic} within {_EVENT_WITHIN_S:g} s")


def _ms(samples: int) -> float:
    return samples * 1000 / RATE_HZ


def _shares(to_silence_ms: float, order_to_silence_ms: float) -> str:
    """Who took how long of it."""
    if order_to_silence_ms < -_EVENT_ON_ITS_WAY_MS:
        return "it fell into a gap"
    # The order is quicker than the event, which two processes pass on: silence may come first.
    rest = f"{order_to_silence_ms:.0f} ms" if order_to_silence_ms >= 1 else "less than 1 ms"
    return f"{to_silence_ms - order_to_silence_ms:.0f} ms until it was noticed, {rest} from there"


def _mono_ns(event: voicectl.Event) -> int:
    """When it was published, on the monotonic clock; nobody sets the other one in a conversation's midst."""
    return time.monotonic_ns() - round((time.time() - event.time) * _NS_PER_S)
