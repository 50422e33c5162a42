"""Speech recognition, by the package moonshine-voice."""

import numpy as np

from voiced.audio.resample import Resampler
from voiced.embedded.parts import NotHere, RecognitionFailed
from voiced.messages import BYTES_PER_MS, SAMPLE_RATE_HZ

_RATE_HZ = 16_000
#: The package takes a Python list, some 40 bytes a sample: more than a minute at once is too much memory.
_PIECE_BYTES = 60_000 * BYTES_PER_MS
#: Others wait meanwhile.
_LONGEST_BYTES = 5 * _PIECE_BYTES


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
        pcm = pcm[-_LONGEST_BYTES:]
        return " ".join(filter(None, (self._piece(pcm[at : at + _PIECE_BYTES]) for at in range(0, len(pcm), _PIECE_BYTES))))

    def _piece(self, pcm: bytes) -> str:
        sound = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        resampled = Resampler(SAMPLE_RATE_HZ, _RATE_HZ).process(sound)
        try:
            transcript = self._transcriber.transcribe_without_streaming(resampled.tolist(), _RATE_HZ)
        except Exception as error:  # a third party's, on sound from anywhere
            raise RecognitionFailed(f"moonshine failed: {error}") from error
        return " ".join(line.text.strip() for line in transcript.lines if line.text).strip()
