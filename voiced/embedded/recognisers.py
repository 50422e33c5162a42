"""Speech recognition, by the package moonshine-voice."""

from collections.abc import Iterator

import numpy as np

from voiced.audio.resample import Resampler
from voiced.embedded.parts import NotHere, RecognitionFailed
from voiced.messages import BYTES_PER_MS, SAMPLE_RATE_HZ

_RATE_HZ = 16_000
#: Memory and time grow with the square: 30 s take 170 MB and 60 s 560 MB (measured).
_PIECE_BYTES = 30_000 * BYTES_PER_MS
#: Others wait meanwhile.
_LONGEST_BYTES = 10 * _PIECE_BYTES
#: A long turn is divided at the quietest of these in the last third of a piece: hardly in a word.
_QUIET_BYTES = 100 * BYTES_PER_MS


class Moonshine:
    """moonshine-voice 0.1.0, the last wheel with the tiny English model inside (signal-packages 5)."""

    name = "moonshine"

    def __init__(self) -> None:
        try:
            from moonshine_voice import ModelArch, get_model_path
            from moonshine_voice.transcriber import Transcriber
        except ImportError as error:
            raise NotHere("the package moonshine-voice is not installed") from error
        model = get_model_path("tiny-en")
        if not model.is_dir():
            raise NotHere("this moonshine-voice brings no model; install moonshine-voice==0.1.0")
        # Whole turns come in, cut by our own detector: without its one nothing is lost at the edges.
        self._transcriber = Transcriber(str(model), ModelArch.TINY, options={"vad_threshold": "0.0", "identify_speakers": "false"})
        self.recognise(bytes(SAMPLE_RATE_HZ))  # the first run is slower than the others

    def recognise(self, pcm: bytes) -> str:
        """Of a very long recording, what was said last."""
        return " ".join(filter(None, map(self._piece, pieces(pcm[-_LONGEST_BYTES:]))))

    def _piece(self, pcm: bytes) -> str:
        sound = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        resampled = Resampler(SAMPLE_RATE_HZ, _RATE_HZ).process(sound)
        try:
            transcript = self._transcriber.transcribe_without_streaming(resampled.tolist(), _RATE_HZ)
        except Exception as error:  # a third party's, on sound from anywhere
            raise RecognitionFailed(f"moonshine failed: {error}") from error
        return " ".join(line.text.strip() for line in transcript.lines if line.text).strip()


def pieces(pcm: bytes) -> Iterator[bytes]:
    """The sound in pieces that can be recognised one by one."""
    start = 0
    while len(pcm) - start > _PIECE_BYTES:
        end = start + _PIECE_BYTES
        late = np.frombuffer(pcm[end - _PIECE_BYTES // 3 : end], "<i2").astype(np.float32).reshape(-1, _QUIET_BYTES // 2)
        quietest = int(np.argmin((late * late).sum(axis=1)))
        end -= (len(late) - quietest) * _QUIET_BYTES - _QUIET_BYTES // 2
        yield pcm[start:end]
        start = end
    yield pcm[start:]
