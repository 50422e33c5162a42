"""What shows over time: dropouts, the way of the microphone, starting, and what it all costs."""

import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench import sounds
from tests.bench.barge_in import loaded
from tests.bench.options import Options
from tests.bench.programs import AS_IT_COMES, Program, Voiced, cost
from tests.bench.stage import Stage, progress, speak, stage
from tests.bench.table import Figure
from tests.scripted_server import Received, ScriptedServer
from voiced.demo.recorder import RATE_HZ
from voiced.demo.soundserver import PulseServer
from voiced.network import events

_NS = 1_000_000_000
_LOOP_S = 60.0
_LOUD = 6000
_SAMPLES = 3
_BURST = array("h", ([16000] * 12 + [-16000] * 12) * 30).tobytes()  # 30 ms of a 1 kHz square wave


def microphone(options: Options) -> Iterator[Figure]:
    """Sound at the microphone → the bytes at the server, after the frame that holds it was full: as it comes, and cancelled."""
    for settings, name, limit_ms in ((AS_IT_COMES, "microphone → server, beyond the frame", 8), ("", "  through the canceller", 8 + 20)):
        progress(f"{name.strip()}: {options.samples} clicks")
        with stage(PulseServer(), partial(Voiced, settings=settings)) as on:
            _click(on)
            late = [_click(on) for _ in range(options.samples)]
        yield Figure(name, "ms", late, limit_ms)


def dropouts(options: Options) -> Iterator[Figure]:
    """Holes in one long reply under load."""
    progress(f"dropouts: {options.speech_minutes:g} min of speech under load")
    with stage(PulseServer(), Voiced) as on, loaded(on):
        before = on.heard.samples
        pcm = sounds.noise(_LOOP_S, seed=1)
        whole = (pcm * round(options.speech_minutes + 1))[: round(options.speech_minutes * 60 * RATE_HZ) * 2]
        reply = on.server.begin_reply()
        on.server.pace_audio(reply, whole)
        on.server.end_reply(reply)
        last = on.heard.wait_for_silence(1500, timeout_s=20)
        first = on.heard.first_sound(before)
        assert first is not None, "a silence after sound was waited for"
        holes = sounds.gaps(sounds.as_samples(on.heard.sound(first, last + 1)))
    played_s = (last + 1 - first - sum(holes)) / RATE_HZ
    note = f"played {played_s:.2f} s of {len(whole) / 2 / RATE_HZ:.2f}" + "".join(f", hole {hole / 24:.1f} ms" for hole in holes[:5])
    yield Figure(f"dropouts in {options.speech_minutes:g} min under that load", "count", [len(holes)], 0, note=note)


def start(options: Options) -> Iterator[Figure]:
    """From exec to READY=1, and the first reply after it."""
    progress(f"start: {options.starts} times")
    ready, first = [], []
    pcm = sounds.noise(0.5, seed=2)
    for _ in range(options.starts):
        with stage(PulseServer(), Voiced) as on:
            assert isinstance(on.program, Voiced)
            ready.append(on.program.started_in_ms)
            first.append(speak(on, pcm))
    yield Figure("first reply: delta → first sound", "ms", first, 10)
    yield Figure("voiced started → ready", "ms", ready, 1000)


def costs(options: Options) -> Iterator[Figure]:
    """Processor and memory of all our processes; without a recorder, which would wake the sound server every millisecond."""
    progress("costs")
    with PulseServer() as sound, ScriptedServer() as server, Voiced(server.url, sound) as program:
        silent = _cpu_percent(program, options.cost_s)
        reply = server.begin_reply()
        server.send_audio(reply, sounds.noise(_SAMPLES * options.cost_s + 5, seed=3))
        server.roundtrip()
        speaking = _cpu_percent(program, options.cost_s)
        memory = {name: each.pss_mib for name, each in cost(program.pid).items()}
    yield Figure("CPU, connected and silent", "% of a core", _totals(silent), 3, note=_shares(silent[-1]))
    yield Figure("CPU, speaking", "% of a core", _totals(speaking), 8, note=_shares(speaking[-1]))
    yield Figure("  of these, the capture process", "% of a core", [each["voiced.capture"] for each in speaking], 8)
    yield Figure("memory (PSS), all processes", "MiB", _totals([memory]), 75, note=_shares(memory))


def voicectl(options: Options) -> Iterator[Figure]:
    """`voicectl status` beside the least that any ZeroMQ client in Python takes."""
    progress(f"voicectl: {options.starts} times")
    with stage(PulseServer(), Voiced) as on:
        assert isinstance(on.program, Voiced)
        env = on.program.env_for_clients()
        installed = Path(sys.executable).parent / "voicectl"
        command = [str(installed)] if installed.exists() else [sys.executable, "-m", "voicectl"]
        pairs = [(_run_ms([*command, "status"], env), _run_ms([sys.executable, "-c", "import zmq"], env)) for _ in range(options.starts)]
    yield Figure("voicectl status", "ms", [ours for ours, _ in pairs])
    yield Figure("  beside python -c 'import zmq'", "times", [ours / least for ours, least in pairs], 1.5)


def _click(on: Stage) -> float:
    """Milliseconds from the moment at which the frame with a click was full to its arrival."""
    known = len(on.server.received)
    speech = on.sound.play(_BURST)
    received = on.server.until(_is_loud, since=known)
    speech.wait()
    on.sound.listen_to_microphone().wait_for_silence(100, timeout_s=5)
    assert isinstance(received.event, events.InputAudioAppend)
    return _beyond_the_frame_ms(received, received.event, speech.started_ns)


def _is_loud(event: object) -> bool:
    return isinstance(event, events.InputAudioAppend) and _onset(event.audio) is not None


def _onset(pcm: bytes) -> int | None:
    return next((at for at, sample in enumerate(array("h", pcm)) if abs(sample) > _LOUD), None)


def _beyond_the_frame_ms(received: Received, append: events.InputAudioAppend, started_ns: int) -> float:
    onset = _onset(append.audio)
    assert onset is not None, "it was looked for"
    full_ns = started_ns + (len(append.audio) // 2 - onset) * _NS // RATE_HZ
    return (received.mono_ns - full_ns) / 1e6


def _cpu_percent(program: Program, seconds: float) -> list[dict[str, float]]:
    """Of a core, by process, over `seconds`, a few times in a row."""
    samples = []
    for _ in range(_SAMPLES):
        before, since = cost(program.pid), time.monotonic()
        time.sleep(seconds)
        after, passed_s = cost(program.pid), time.monotonic() - since
        samples.append({name: (after[name].cpu_s - before[name].cpu_s) / passed_s * 100 for name in before})
    return samples


def _totals(samples: list[dict[str, float]]) -> list[float]:
    return [sum(sample.values()) for sample in samples]


def _shares(sample: dict[str, float]) -> str:
    return ", ".join(f"{name.removeprefix('voiced.')} {value:.1f}" for name, value in sample.items())


def _run_ms(command: list[str], env: dict[str, str]) -> float:
    since = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - since) * 1000
