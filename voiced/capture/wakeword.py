"""The wake word's detector: the package pymicro-wakeword, of which this module alone knows.

microWakeWord's models, 60 kB each, on TensorFlow Lite in C; no download. Measured on x86_64 at 2.8 GHz: 0.5 % of a core
and 5 MiB (PSS). It is an extra, imported only where a word is configured.
"""

import sys

import numpy as np

from voiced.audio.echo.interface import Samples
from voiced.errors import PackageMissing

_FULL_SCALE = 32_768


class WakeWord:
    """Hears one of the words in `wake.word`. Raises PackageMissing."""

    def __init__(self, name: str) -> None:
        try:
            from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

            self._model = MicroWakeWord.from_builtin(Model(name))
            self._features = MicroWakeWordFeatures()
        except ImportError as error:
            raise _missing(f"is not installed ({error})") from error
        except (OSError, RuntimeError, ValueError) as error:  # another libc or processor, a file that is missing or broken
            raise _missing(f"does not load here ({error})") from error

    def process(self, sound: Samples) -> float | None:
        """The next samples (float32 in [-1, 1], mono, 16 kHz, any number); the probability where they complete the word."""
        pcm = np.clip(np.rint(sound * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2").tobytes()
        heard = [self._model.process_streaming_prob(features) or 0.0 for features in self._features.process_streaming(pcm)]
        best = max(heard, default=0.0)
        return best if best > self._model.probability_cutoff else None

    def reset(self) -> None:
        """Forgets all sound heard so far. Loads the model anew, 0.2 ms: its state can't be emptied otherwise."""
        self._model.reset()
        self._features.reset()


def _missing(what: str) -> PackageMissing:
    return PackageMissing(
        f"wake.word needs the package pymicro-wakeword, which {what}: run systemd/install again, "
        f"or {sys.executable} -m pip install 'pymicro-wakeword>=2.5'; or leave wake.word empty"
    )
