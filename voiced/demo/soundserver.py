"""A private sound server with null devices: everything between PortAudio and the loudspeaker is real, the room is not.

    with PulseServer() as server, server.recorder() as heard:
        subprocess.run([...], env=os.environ | server.env)      # plays to "speaker", records from "microphone"
        server.play(pcm).wait()                                 # somebody speaks into the microphone

`speaker` is a null sink, whose monitor is what a user would hear. `said` is a second one, whose monitor (as the source
`microphone`) is what is said into the microphone. Both are the defaults, and ALSA's `pulse` plugin leads PortAudio to
them. Everything lives in one directory of its own: no file of the user's is read, none is left, and any number of
servers run beside each other and beside the user's own. Runs as any user, root too.

Start a server from a thread that lives as long as the server does: the kernel ends the server with it (PR_SET_PDEATHSIG),
so that a killed test leaves nothing behind.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import voiced.audio
from voiced.demo.recorder import RATE_HZ, Recorder, Timing

SPEAKER = "speaker"
SAID = "said"
MICROPHONE = "microphone"

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 5.0
_ASK_EVERY_S = 0.01
_NS = 1_000_000_000

#: The user's own settings come last in alsa.conf; what loads after them wins, so the private devices do.
_ALSA_CONF = """\
</usr/share/alsa/alsa.conf>
@hooks.1 {{
    func load
    files [ "{lean}" "{asoundrc}" ]
    errors true
}}
"""
#: What voiced leaves out of ALSA's configuration, it leaves out here, too.
_LEAN = Path(voiced.audio.__file__).parent / "alsa" / "lean.conf"
ASOUNDRC = """\
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


_PIPEWIRE_CONF = "context.properties = {{ default.clock.min-quantum = {quantum} default.clock.max-quantum = {quantum} }}\n"
_PIPEWIRE_CLOCK_HZ = 48_000


class SoundServerFailed(RuntimeError):
    """The private sound server can't run; says what to install or what it complained of."""


class Speech:
    """Something that is being said into the microphone."""

    def __init__(self, process: subprocess.Popen[bytes], started_ns: int) -> None:
        self._process = process
        #: When the first sample of it reached the microphone (monotonic clock).
        self.started_ns = started_ns

    def wait(self) -> None:
        """Returns when all of it was said."""
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class SoundServer:
    """What both sound servers share; a context manager. Use PulseServer or PipeWireServer."""

    name: ClassVar[str]
    _needs: ClassVar[Sequence[str]]
    _timing: Timing

    def __init__(self, rate_hz: int = RATE_HZ, channels: int = 1) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        #: What a child process must have in its environment to use this server.
        self.env: dict[str, str] = {}
        self.asoundrc = ASOUNDRC
        self._processes: list[subprocess.Popen[bytes]] = []
        self._speeches: list[Speech] = []
        self._microphone: Recorder | None = None

    def start(self) -> Self:
        """Returns when both devices are there. Raises SoundServerFailed."""
        missing = [program for program in (*self._needs, "pactl", "parec", "pacat", "setpriv") if shutil.which(program) is None]
        if missing:
            raise SoundServerFailed(f"{self.name} needs {', '.join(missing)}: install them, or run voiced's setup again")
        self.directory = Path(tempfile.mkdtemp(prefix="voiced-sound-"))
        try:
            self._prepare()
            self._launch()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Ends every process of this server and no other, and removes its directory."""
        for speech in self._speeches:
            speech.stop()
        if self._microphone is not None:
            self._microphone.close()
            self._microphone = None
        for process in reversed(self._processes):
            _end(process)
        self._speeches.clear()
        self._processes.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """Ends its processes as a crash does (SIGKILL): `relaunch` starts it anew, in the same place."""
        for speech in self._speeches:
            speech.stop()
        if self._microphone is not None:
            self._microphone.close()
            self._microphone = None
        for process in self._processes:
            process.kill()
            process.wait()
        self._speeches.clear()
        self._processes.clear()
        self._socket.unlink(missing_ok=True)
        for left in ("notify", "run/bus", "run/pipewire-0"):
            (self.directory / left).unlink(missing_ok=True)

    def relaunch(self) -> None:
        """Returns when both devices are there again. Raises SoundServerFailed."""
        self._launch()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """The server's own processes."""
        return [process.pid for process in self._processes]

    def recorder(self, source: str = f"{SPEAKER}.monitor") -> Recorder:
        """A recorder (not started) of what a user would hear."""
        sink = source.removesuffix(".monitor")
        return Recorder(source, os.environ | self.env, self._timing, wake=lambda: self._wake(sink))

    def play(self, sound: bytes | Path) -> Speech:
        """Says this into the microphone: s16le mono 24 kHz samples, or a WAV file of any kind that `wave` reads.

        Returns when the first sample that is not silent reached the microphone, and says when that was. Raises
        SoundServerFailed for a sound that is all silence. One at a time, and nothing else may play into `said` then.
        """
        pcm, rate_hz, channels = _read_wav(sound) if isinstance(sound, Path) else (sound, RATE_HZ, 1)
        lead_s = _leading_silence(pcm, channels) / rate_hz
        listener = self.listen_to_microphone()
        since = listener.samples
        process = self._player(pcm, rate_hz, channels)
        first = listener.wait_for_sound(since, timeout_s=lead_s + _START_TIMEOUT_S)
        speech = Speech(process, listener.time_ns(first) - round(lead_s * _NS))
        self._speeches = [*(other for other in self._speeches if other._process.poll() is None), speech]
        return speech

    def listen_to_microphone(self) -> Recorder:
        """A recorder of what is said into the microphone. It also keeps that device awake: an idle null source wakes
        only every 2 s, so have it run before anything about the microphone is timed."""
        if self._microphone is None:
            self._microphone = self.recorder(f"{SAID}.monitor").start()
        return self._microphone

    def pactl(self, *arguments: str) -> str:
        """Asks or tells the server something. Raises SoundServerFailed with its complaint."""
        done = subprocess.run(["pactl", *arguments], env=os.environ | self.env, capture_output=True, text=True)
        if done.returncode:
            raise SoundServerFailed(f"pactl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def load_echo(self, delay_ms: int = 30, gain_db: float = 0) -> None:
        """Makes open loudspeakers: what the speaker plays comes back into the microphone `delay_ms` later."""
        # Without adjustments: they resample the echo to hold the delay, and no room does.
        ends = (f"source={SPEAKER}.monitor", f"sink={SAID}", f"latency_msec={delay_ms}", "adjust_time=0")
        module = self.pactl("load-module", "module-loopback", *ends)
        if gain_db:
            self.pactl("set-sink-input-volume", self._sink_input_of(module), f"{gain_db:g}dB")

    def _sink_input_of(self, module: str) -> str:
        for block in self.pactl("list", "sink-inputs").split("Sink Input #")[1:]:
            if f"Owner Module: {module}\n" in block:
                return block.split("\n", 1)[0]
        raise SoundServerFailed(f"{self.name} has no stream of its module {module}")

    def _launch(self) -> None:
        raise NotImplementedError

    def _wake(self, sink: str) -> None:
        """An idle null sink has already rendered its next 2 s; one that was suspended begins anew."""
        self.pactl("suspend-sink", sink, "1")
        self.pactl("suspend-sink", sink, "0")

    def _prepare(self) -> None:
        home, runtime = self.directory / "home", self.directory / "run"
        home.mkdir(mode=0o700)
        runtime.mkdir(mode=0o700)
        asoundrc, alsa_conf = self.directory / "asoundrc", self.directory / "alsa.conf"
        asoundrc.write_text(self.asoundrc)
        alsa_conf.write_text(_ALSA_CONF.format(lean=_LEAN, asoundrc=asoundrc))
        self.env = {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_RUNTIME_PATH": str(self._socket.parent),
            "PULSE_COOKIE": str(home / "cookie"),
            "PULSE_CLIENTCONFIG": os.devnull,
            "ALSA_CONFIG_PATH": str(alsa_conf),
        }

    @property
    def _socket(self) -> Path:
        return self.directory / "run" / "pulse" / "native"

    @property
    def _server_env(self) -> dict[str, str]:
        """The environment of the server's own processes: a home and a runtime directory that are nobody else's."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PULSE_", "PIPEWIRE_", "XDG_", "DBUS_"))}
        home = str(self.directory / "home")
        places = {"HOME": home, "XDG_RUNTIME_DIR": str(self.directory / "run"), "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home}
        return inherited | places | {"PULSE_RUNTIME_PATH": str(self._socket.parent)}

    def _spawn(self, command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with open(self.directory / "log", "ab") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command], env=dict(env), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        self._processes.append(process)
        return process

    def _await(self, ready: Callable[[], bool]) -> None:
        """Asks until the answer is yes. Raises SoundServerFailed where a process ended or time is up."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not ready():
            ended = next((process for process in self._processes if process.poll() is not None), None)
            if ended is not None or time.monotonic() > deadline:
                complaint = (self.directory / "log").read_text(errors="replace").strip().splitlines()[-3:]
                raise SoundServerFailed(f"{self.name} did not start: {' / '.join(complaint) or 'it gave no reason'}")
            time.sleep(_ASK_EVERY_S)

    def _player(self, pcm: bytes, rate_hz: int, channels: int) -> subprocess.Popen[bytes]:
        path = self.directory / "saying"
        path.write_bytes(pcm)
        command = ["pacat", "--playback", f"--device={SAID}", "--raw", "--format=s16le", f"--rate={rate_hz}", f"--channels={channels}"]
        with open(path, "rb") as source:
            # Enough for a busy machine: with 20 ms, whole words were lost between pacat and the server.
            return subprocess.Popen([*command, "--latency-msec=200"], env=os.environ | self.env, stdin=source)


class PulseServer(SoundServer):
    """PulseAudio. Its null sink wakes as often as its most demanding stream asks: every millisecond while a Recorder
    listens, else every 2 s."""

    name = "PulseAudio"
    _needs = ("pulseaudio",)
    _timing = Timing(piece_samples=24, lead_ns=1_000_000, window_ns=_NS)

    def _launch(self) -> None:
        self._socket.parent.mkdir(mode=0o700, exist_ok=True)
        config = self.directory / "daemon.conf"
        config.write_text("")
        kind = f"rate={self.rate_hz} channels={self.channels} format=s16le"
        modules = (
            f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
            f"module-null-sink sink_name={SPEAKER} {kind}",
            f"module-null-sink sink_name={SAID} {kind}",
            f"module-remap-source source_name={MICROPHONE} master={SAID}.monitor",
        )
        command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disallow-exit"]
        loads = [part for module in modules for part in ("-L", module)]
        notify = self.directory / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(notify))
            env = self._server_env | {"PULSE_CONFIG": str(config), "NOTIFY_SOCKET": str(notify)}
            self._spawn([*command, *loads], env)
            listener.settimeout(_ASK_EVERY_S)
            self._await(lambda: _said_ready(listener))
        self.pactl("set-default-sink", SPEAKER)
        self.pactl("set-default-source", MICROPHONE)


class PipeWireServer(SoundServer):
    """PipeWire with WirePlumber, reached through pipewire-pulse, at its default quantum of 1024/48000 or another.

    The quantum is fixed: whoever asks for less latency would shorten it for everybody, a Recorder too, and at each change
    the monitor loses samples (0.3.65), and with them the time.
    """

    name = "PipeWire"
    _needs = ("pipewire", "pipewire-pulse", "wireplumber", "dbus-daemon")

    def __init__(self, rate_hz: int = RATE_HZ, channels: int = 1, quantum: int = 1024) -> None:
        super().__init__(rate_hz, channels)
        self._quantum = quantum
        piece = quantum * RATE_HZ // _PIPEWIRE_CLOCK_HZ
        lead_ns = quantum * _NS // _PIPEWIRE_CLOCK_HZ
        self._timing = Timing(piece, lead_ns, window_ns=_NS, oversampling=_PIPEWIRE_CLOCK_HZ // RATE_HZ)

    def _prepare(self) -> None:
        super()._prepare()
        # For Bluetooth WirePlumber 0.4 watches logind, and sets up no defaults at all where there is none (a bare container).
        scripts = self.directory / "home" / "wireplumber" / "bluetooth.lua.d"
        scripts.mkdir(parents=True)
        (scripts / "80-no-bluetooth.lua").write_text("bluez_monitor.enabled = false\n")

    def _launch(self) -> None:
        settings = self.directory / "home" / "pipewire" / "pipewire.conf.d"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "quantum.conf").write_text(_PIPEWIRE_CONF.format(quantum=self._quantum))
        bus = self.directory / "run" / "bus"
        env = self._server_env | {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}"}
        self._spawn(["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address=unix:path={bus}"], env)
        self._await(bus.exists)
        self._spawn(["pipewire"], env)
        self._await((self.directory / "run" / "pipewire-0").exists)
        self._spawn(["wireplumber"], env)
        self._spawn(["pipewire-pulse"], env)
        self._await(self._listens)
        kind = (f"rate={self.rate_hz}", f"channels={self.channels}")
        self.pactl("load-module", "module-null-sink", f"sink_name={SPEAKER}", *kind)
        self.pactl("load-module", "module-null-sink", f"sink_name={SAID}", *kind)
        self.pactl("load-module", "module-remap-source", f"source_name={MICROPHONE}", f"master={SAID}.monitor")
        self._await(lambda: self._known("sinks", SPEAKER) and self._known("sources", MICROPHONE))
        self._await(self._have_defaults)

    def _listens(self) -> bool:
        """The socket is there a moment before anybody listens to it."""
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self._socket)) == 0

    def _have_defaults(self) -> bool:
        """Sets the defaults, which fails until WirePlumber has published where they are kept."""
        try:
            self.pactl("set-default-sink", SPEAKER)
            self.pactl("set-default-source", MICROPHONE)
        except SoundServerFailed:
            return False
        return self.pactl("get-default-sink") == SPEAKER and self.pactl("get-default-source") == MICROPHONE

    def _known(self, kind: str, name: str) -> bool:
        return any(line.split("\t")[1] == name for line in self.pactl("list", "short", kind).splitlines())


def _said_ready(listener: socket.socket) -> bool:
    try:
        return b"READY=1" in listener.recv(4096)
    except TimeoutError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read_wav(path: Path) -> tuple[bytes, int, int]:
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise SoundServerFailed(f"{path} has {8 * file.getsampwidth()} bits a sample: convert it to 16")
        return file.readframes(file.getnframes()), file.getframerate(), file.getnchannels()


def _leading_silence(pcm: bytes, channels: int) -> int:
    """How many frames of silence the sound begins with."""
    silent_bytes = len(pcm) - len(pcm.lstrip(b"\0"))
    if silent_bytes == len(pcm):
        raise SoundServerFailed("nothing but silence to play")
    return silent_bytes // (2 * channels)
