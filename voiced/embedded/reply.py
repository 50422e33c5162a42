"""One response from `response.created` to `response.done`: its item, its deltas, its end, however it ends. Pure.

Text comes in from the brain, is cut into sentences, goes out to be spoken and comes back as sound. `next_delta` hands
out one delta at a time, so that whoever sends them can look up between two and obey an interruption at once. Calls of tools
follow the last delta, whole; a response that is cut short calls nothing.
"""

from dataclasses import dataclass

from voiced.embedded.conversation import Conversation, Entry, Passage, without_sound
from voiced.embedded.sentences import Sentences
from voiced.embedded.settings import Settings, VoiceId
from voiced.embedded.usage import longest_text, usage
from voiced.embedded.work import Request, Speak
from voiced.messages import BYTES_PER_MS
from voiced.network import events as wire

#: The first delta is short, so that it leaves (and is heard) early; the others are as long as recorded ones, 250 ms
#: (realtime-protocol 5.3).
_FIRST_DELTA_BYTES = 60 * BYTES_PER_MS
_DELTA_BYTES = 250 * BYTES_PER_MS
_AUDIO_TOKEN_BYTES = 50 * BYTES_PER_MS

#: More at once is no plan but a model that has lost its way.
_MOST_CALLS = 16

Outputs = list[wire.ServerEvent | Request]


@dataclass
class _Sentence:
    """What is being handed out: the words and the sound of one sentence, and how much of them is gone."""

    words: list[str]
    pcm: bytes
    words_sent: int = 0
    bytes_sent: int = 0


class Reply:
    """`conversation` is None for an out-of-band response, whose item enters no history."""

    def __init__(
        self, response_id: str, item_id: str, settings: Settings, conversation: Conversation | None, metadata: dict[str, str] | None
    ) -> None:
        self.id = response_id
        self.settings = settings
        self.context: list[Entry] = []
        self.entry = Entry(wire.Item(type="message", id=item_id, status="in_progress", role="assistant", content=[]))
        self._conversation = conversation
        self._metadata = metadata
        self._opened = False
        self._thought_all = False
        self._cutter = Sentences()
        self._texts: list[str] = []  # every sentence so far
        self._sounds: dict[int, bytes] = {}  # spoken, waiting for their turn
        self._current: _Sentence | None = None
        self._started = 0  # sentences that were begun to be handed out
        self._transcript = ""
        self._calls: list[Entry] = []  # to be made at the end
        self._called: list[Entry] = []
        self._done: wire.Response | None = None

    # what comes in -----------------------------------------------------------------------------------------------

    def created(self) -> Outputs:
        return [wire.ResponseCreated(response=self._response("in_progress"))]

    def thought(self, text: str, last: bool) -> Outputs:
        """More text from the brain."""
        self._thought_all = last
        if not self.settings.speaks:
            return self._text_delta(text) if text or not self._calls else []
        sentences = self._cutter.feed(text) + (self._cutter.end() if last else [])
        first = len(self._texts)
        self._texts += sentences
        voice = self.settings.audio.output.voice
        name = voice.id if isinstance(voice, VoiceId) else voice
        speed = self.settings.audio.output.speed
        return [Speak(self.id, first + n, sentence, name, speed) for n, sentence in enumerate(sentences)]

    def call(self, entry: Entry) -> None:
        """A tool to be called: a function_call item, arguments and all."""
        if self.settings.tool_choice != "none" and len(self._calls) < _MOST_CALLS:
            self._calls.append(entry)

    def spoken(self, number: int, pcm: bytes) -> None:
        """The sound of one sentence."""
        self._sounds[number] = pcm

    # what goes out -----------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        return self._done is not None

    @property
    def has_delta(self) -> bool:
        return self._current is not None or self._started in self._sounds

    @property
    def complete(self) -> bool:
        """All is thought, spoken and handed out."""
        return self._thought_all and not self.has_delta and self._started == (len(self._texts) if self.settings.speaks else 0)

    def next_delta(self) -> Outputs:
        """The next piece of sound, its words before it."""
        outputs = self._open()
        if self._current is None:
            self._current = self._begin_sentence()
        sentence = self._current
        longest = _DELTA_BYTES if self.entry.sound_bytes else _FIRST_DELTA_BYTES
        piece = sentence.pcm[sentence.bytes_sent : sentence.bytes_sent + min(longest, self._budget())]
        sentence.bytes_sent += len(piece)
        if words := self._words_for(sentence):
            self._transcript += words
            outputs.append(wire.OutputTranscriptDelta(response_id=self.id, item_id=self.entry.id, delta=words))
        if piece:
            self.entry.add_sound(piece)
            outputs.append(wire.OutputAudioDelta(response_id=self.id, item_id=self.entry.id, delta=piece))
        if sentence.bytes_sent >= len(sentence.pcm):
            self._current = None
        elif not self._budget():
            outputs += self.finish("incomplete", "max_output_tokens")
        return outputs

    def finish(self, status: str, reason: str | None = None, error: wire.ErrorDetail | None = None) -> Outputs:
        """The end: every open part and item gets its `done`, and the response too."""
        if self._done:
            return []
        self._thought_all = True
        outputs: Outputs = []
        if self._opened:
            self._settle()
            item_status = "completed" if status == "completed" else "incomplete"
            outputs += self._close(item_status)
        if status == "completed":
            for entry in self._calls:
                outputs += self._call(entry)
        details = None if status == "completed" else wire.StatusDetails(type=status, reason=reason, error=error)
        self._done = self._response(status, details)
        return [*outputs, wire.ResponseDone(response=self._done)]

    # inside ------------------------------------------------------------------------------------------------------

    def _budget(self) -> int:
        """Bytes of sound that `max_output_tokens` still allows."""
        most = self.settings.max_output_tokens
        return _DELTA_BYTES if most == "inf" else max(0, most * _AUDIO_TOKEN_BYTES - self.entry.sound_bytes)

    def _begin_sentence(self) -> _Sentence:
        text, pcm = self._texts[self._started], self._sounds.pop(self._started)
        self._started += 1
        self.entry.passages.append(Passage(text, self.entry.sound_bytes + len(pcm)))
        return _Sentence(text.split(), pcm)

    def _words_for(self, sentence: _Sentence) -> str:
        """The words that belong to the sound sent so far, rounded up: the transcript runs a little ahead."""
        share = sentence.bytes_sent / len(sentence.pcm) if sentence.pcm else 1.0
        count = min(len(sentence.words), -(-int(share * len(sentence.words) * 1000) // 1000))
        words = " ".join(sentence.words[sentence.words_sent : count])
        sentence.words_sent = count
        return f" {words}" if words and self._transcript else words

    def _text_delta(self, text: str) -> Outputs:
        outputs = self._open()
        most = self.settings.max_output_tokens
        piece = text if most == "inf" else text[: longest_text(most) - len(self._transcript)]
        self._transcript += piece
        if piece:
            outputs.append(wire.OutputTextDelta(response_id=self.id, item_id=self.entry.id, delta=piece))
        return outputs + (self.finish("incomplete", "max_output_tokens") if piece != text else [])

    def _open(self) -> Outputs:
        if self._opened:
            return []
        self._opened = True
        shown = without_sound(self.entry.item)
        outputs: Outputs = [wire.OutputItemAdded(response_id=self.id, item=shown)]
        if self._conversation:
            previous = self._conversation.insert(self.entry)
            outputs.append(wire.ItemAdded(item=shown, previous_item_id=previous))
        self.entry.item.content = [wire.Content(type="output_audio" if self.settings.speaks else "output_text")]
        return [*outputs, wire.ContentPartAdded(response_id=self.id, item_id=self.entry.id, part=self._part(""))]

    def _settle(self) -> None:
        """Notes what was said and what was not."""
        unsent = [" ".join(self._current.words[self._current.words_sent :])] if self._current else []
        unsent += self._texts[self._started :]
        if self._current:
            cut = self.entry.passages[-1]
            cut.text = " ".join(self._current.words[: self._current.words_sent])
            cut.end = self.entry.sound_bytes
        if self.entry.heard_text is None:  # else it was truncated while it ran, and that is the better knowledge
            self.entry.heard_text = self._transcript
        self.entry.unheard = " ".join(part for part in (self.entry.unheard, *unsent) if part)
        self._current = None

    def _close(self, item_status: str) -> Outputs:
        part = self.entry.item.content[0]  # type: ignore[index]  # _open has set it
        outputs: Outputs
        if self.settings.speaks:
            part.transcript = self._transcript
            outputs = [
                wire.OutputAudioDone(response_id=self.id, item_id=self.entry.id),
                wire.OutputTranscriptDone(response_id=self.id, item_id=self.entry.id, transcript=self._transcript),
            ]
        else:
            part.text = self._transcript
            outputs = [wire.OutputTextDone(response_id=self.id, item_id=self.entry.id, text=self._transcript)]
        self.entry.item.status = item_status
        shown = without_sound(self.entry.item)
        outputs.append(wire.ContentPartDone(response_id=self.id, item_id=self.entry.id, part=self._part(self._transcript)))
        if self._conversation:
            outputs.append(wire.ItemDone(item=shown, previous_item_id=self._conversation.previous_of(self.entry)))
        return [*outputs, wire.OutputItemDone(response_id=self.id, item=shown)]

    def _call(self, entry: Entry) -> Outputs:
        item, place = entry.item, len(self._called) + self._opened
        arguments, item.arguments = item.arguments or "{}", ""
        item.status = "in_progress"
        outputs: Outputs = [wire.OutputItemAdded(response_id=self.id, item=without_sound(item), output_index=place)]
        if self._conversation:
            previous = self._conversation.insert(entry)
            outputs.append(wire.ItemAdded(item=without_sound(item), previous_item_id=previous))
        call_id, name = item.call_id or "", item.name or ""
        outputs += [
            wire.FunctionArgumentsDelta(response_id=self.id, item_id=entry.id, call_id=call_id, output_index=place, delta=arguments),
            wire.FunctionArgumentsDone(
                response_id=self.id, item_id=entry.id, call_id=call_id, output_index=place, arguments=arguments, name=name
            ),
        ]
        item.arguments, item.status = arguments, "completed"
        if self._conversation:
            outputs.append(wire.ItemDone(item=without_sound(item), previous_item_id=self._conversation.previous_of(entry)))
        self._called.append(entry)
        return [*outputs, wire.OutputItemDone(response_id=self.id, item=without_sound(item), output_index=place)]

    def _part(self, text: str) -> wire.Part:
        return wire.Part(type="audio", transcript=text) if self.settings.speaks else wire.Part(type="text", text=text)

    def _response(self, status: str, details: wire.StatusDetails | None = None) -> wire.Response:
        output = self.settings.audio.output
        voice = output.voice.id if isinstance(output.voice, VoiceId) else output.voice
        ended = status != "in_progress"
        return wire.Response(
            id=self.id,
            status=status,
            status_details=details,
            output=[without_sound(entry.item) for entry in self._output] if ended else [],
            conversation_id=self._conversation.id if self._conversation else None,
            output_modalities=list(self.settings.output_modalities),
            max_output_tokens=self.settings.max_output_tokens,
            audio={"output": {"format": self.settings.as_sent()["audio"]["output"]["format"], "voice": voice}},
            usage=self._usage() if ended else None,
            metadata=self._metadata,
        )

    def _usage(self) -> dict[str, object]:
        heard = self.context if self._output else []
        instructions = self.settings.instructions if self._output else ""
        said = "".join((self._transcript, *(entry.item.arguments or "" for entry in self._called)))
        return usage(instructions, heard, said, self.entry.sound_bytes // BYTES_PER_MS)

    @property
    def _output(self) -> list[Entry]:
        return [*([self.entry] if self._opened else []), *self._called]
