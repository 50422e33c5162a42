"""How much of a recording sounds."""


def loud_ms(pcm: bytes) -> float:
    """Of s16le at 24 kHz, the part that is loud, gaps left out: what was heard of a reply that has no quiet sample, however
    long a stalled machine took for it."""
    return sum(1 for sample in memoryview(pcm).cast("h") if abs(sample) > 5000) / 24
