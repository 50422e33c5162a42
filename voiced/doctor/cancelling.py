"""How well the echo canceller learns this room: run, as capture runs it, over what was recorded of the test sound."""

from typing import Any

import numpy as np

from voiced.audio.echo.canceller import Canceller
from voiced.audio.echo.interface import RATE_HZ, Samples
from voiced.audio.echo.reference import MARGIN_MS
from voiced.audio.resample import Resampler
from voiced.doctor import acoustics
from voiced.doctor.programme import RATE, Duplex, Programme

_FRAME = RATE_HZ // 50
#: What is judged by: the end of the noise, when two seconds of it and a sweep were there to learn from.
_JUDGED_S = 1.0


def tried(played: Programme, heard: Duplex, figures: dict[str, Any], threshold: float) -> dict[str, Any] | None:
    """None where there is no echo. `figures` are those of programme.judged, `threshold` is barge_in.threshold.

    `erle_db`: by how much less there is on the wire; `linear_erle_db`: the same of the one that listens;
    `echo_to_noise_db`: how much there was to take away; `interruptions`: how often
    it took the echo for the user.
    """
    if figures["delay_ms"] is None:
        return None
    margin = round(MARGIN_MS * RATE / 1000)
    far = _at_16k(np.concatenate((played.sound[margin:], np.zeros(margin, np.float32))))
    near = _at_16k(np.pad(heard.recorded, (0, max(0, len(played.sound) - len(heard.recorded))))[: len(played.sound)])
    canceller = Canceller(threshold, _FRAME, noise_suppression=False)  # which would lower the hiss, echo or not
    pieces = [canceller.process(near[at : at + _FRAME], far[at : at + _FRAME]) for at in range(0, len(near) - _FRAME + 1, _FRAME)]
    sound = np.concatenate([piece.sound for piece in pieces])[canceller.delay :]
    end = played.noise.end * RATE_HZ // RATE
    first = end - round(_JUDGED_S * RATE_HZ)
    before, after = acoustics.dbfs(near[first:end]), acoustics.dbfs(sound[first:end])
    return {
        "erle_db": before - after,
        "echo_to_noise_db": before - figures["noise_dbfs"],
        "linear_erle_db": canceller.facts().erle_db,
        "interruptions": _rises([each.confirmed for piece in pieces for each in piece.decisions]),
    }


def _at_16k(sound: Samples) -> Samples:
    return np.asarray(Resampler(RATE, RATE_HZ).process(np.asarray(sound, np.float32)), np.float32)


def _rises(truths: list[bool]) -> int:
    return sum(now and not before for before, now in zip([False, *truths], truths, strict=False))
