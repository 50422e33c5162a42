"""Sound from one device format to another: the numpy half of `voiced.audio.format`, imported only where it is needed."""

import numpy as np

from voiced.audio.device import OpenFormat
from voiced.audio.resample import Resampler


class Conversion:
    def __init__(self, source: OpenFormat, target: OpenFormat) -> None:
        self._source, self._target = source, target
        self.reset()

    def reset(self) -> None:
        self._resampler = Resampler(self._source.rate, self._target.rate)

    def convert(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm, np.int16).reshape(-1, self._source.channels).mean(axis=1, dtype=np.float32)
        if self._source.rate != self._target.rate:
            samples = self._resampler.process(samples)
        mono = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
        return np.repeat(mono, self._target.channels).tobytes()
