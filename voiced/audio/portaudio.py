"""The PortAudio adapter, and the only importer of pyaudio.

Streams are driven through PyAudio's C module: its wrapper has no abort, and believes that a stream still runs after
one (architecture, Traps). One thread owns a stream: the poll loop that writes only what the device takes at once.
"""

import contextlib
import os
from typing import Any, NamedTuple

import pyaudio
import pyaudio._portaudio as pa  # abort_stream exists only here (PyAudio 0.2.14)

from voiced.audio.device import DeviceInfo, InputDevice, OpenFormat, OutputDevice, Wanted, pick
from voiced.errors import DeviceLost, DeviceRateRefused, DeviceUnavailable, DeviceUnknown, VoicedError

_BYTES_PER_SAMPLE = 2
#: PortAudio's ALSA back end cuts a buffer into this many periods (pa_linux_alsa.c, numPeriods default).
_PERIODS = 3
_INVALID_RATE = -9997
_INVALID_CHANNELS = -9998
_INVALID_DEVICE = -9996
_INPUT_OVERFLOWED = -9981
_SYSTEM_ALSA_CONF = "/usr/share/alsa/alsa.conf"
#: ALSA's devices that stand for a sound server.
_OF_SERVER = ("pulse", "pipewire")
#: Asked once a frame: a device that answers this often in a row with nothing but an error is gone. Half a second.
_ERRORS_IN_A_ROW = 25
ALSA_DIR = os.path.join(os.path.dirname(__file__), "alsa")


class Direction(NamedTuple):
    word: str
    key: str
    channels: str
    default: str


INPUT = Direction("input", "audio.capture.device", "maxInputChannels", "get_default_input_device_info")
OUTPUT = Direction("output", "audio.playback.device", "maxOutputChannels", "get_default_output_device_info")


def _keep_alsa_lean() -> None:
    """Takes out of ALSA's configuration what costs much and serves nobody here (alsa/lean.conf). Whoever brings a
    configuration of their own knows what is in it."""
    if os.path.exists(_SYSTEM_ALSA_CONF) and "ALSA_CONFIG_PATH" not in os.environ:
        os.environ["VOICED_ALSA_DIR"] = ALSA_DIR
        os.environ["ALSA_CONFIG_PATH"] = os.path.join(ALSA_DIR, "alsa.conf")


def _silence_native_libraries() -> None:
    """From here on nothing reaches standard error: PortAudio's search prints dozens of ALSA and JACK lines, and ALSA's
    pulse plugin one for each underrun. A process of ours says what it has to say through its supervisor."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


class PortAudio:
    """The library, initialised: its device list is frozen from here on (Traps)."""

    def __init__(self) -> None:
        _silence_native_libraries()
        _keep_alsa_lean()
        try:
            self._pa = pyaudio.PyAudio()
        except OSError as error:
            raise DeviceUnavailable(
                f"PortAudio does not start ({error.strerror or error}): is ALSA set up? `null` devices need neither"
            ) from error

    def devices(self, direction: Direction) -> list[DeviceInfo]:
        try:
            default = getattr(self._pa, direction.default)()["index"]
        except OSError:  # PyAudio's way to say that there is none
            default = None
        rows = (self._pa.get_device_info_by_index(index) for index in range(self._pa.get_device_count()))
        return [
            DeviceInfo(
                number=int(row["index"]),
                name=str(row["name"]),
                host_api=str(self._pa.get_host_api_info_by_index(int(row["hostApi"]))["name"]),
                channels=int(row[direction.channels]),
                rate=int(row["defaultSampleRate"]),
                default=row["index"] == default,
            )
            for row in rows
            if int(row[direction.channels]) > 0
        ]

    def open_output(self, wanted: Wanted, *, of_server: bool = False) -> OutputDevice:
        """The device that is wanted, or that of the sound server. Raises DeviceUnknown, DeviceUnavailable, DeviceRateRefused."""
        info = self._of_server(OUTPUT) if of_server else self._find(wanted, OUTPUT)
        stream, format = self._open(info, wanted, OUTPUT, wanted.buffer_frames // _PERIODS)
        return _Output(info.name, stream, format, wanted.buffer_frames * format.rate // wanted.rate)

    def open_input(self, wanted: Wanted, *, of_server: bool = False) -> InputDevice:
        """The device that is wanted, or that of the sound server. Raises DeviceUnknown, DeviceUnavailable, DeviceRateRefused."""
        info = self._of_server(INPUT) if of_server else self._find(wanted, INPUT)
        stream, format = self._open(info, wanted, INPUT, wanted.buffer_frames)
        return _Input(info.name, stream, format)

    def close(self) -> None:
        self._pa.terminate()

    def _find(self, wanted: Wanted, direction: Direction) -> DeviceInfo:
        devices = self.devices(direction)
        found = pick(wanted.device, devices)
        if found is not None:
            return found
        if not devices or not wanted.device:
            raise DeviceUnavailable(
                f"no {direction.word} device: plug one in, start the sound server, or set {direction.key} (`null` needs no sound card)"
            )
        names = ", ".join(device.name for device in devices)
        raise DeviceUnknown(f"no {direction.word} device like {wanted.device!r}; there are: {names} (set {direction.key})")

    def _of_server(self, direction: Direction) -> DeviceInfo:
        devices = self.devices(direction)
        found = next((device for name in _OF_SERVER for device in devices if device.name == name), None)
        return found or self._find(Wanted("", 0, 0, 0), direction)

    def _open(self, info: DeviceInfo, wanted: Wanted, direction: Direction, period: int) -> tuple[Any, OpenFormat]:
        """The rate asked for, else the device's own; the channels asked for, else its own one or two."""
        refused: OSError | None = None
        for rate in dict.fromkeys((wanted.rate, info.rate)):
            for channels in dict.fromkeys((wanted.channels, min(info.channels, 2))):
                try:
                    return self._stream(info, direction, rate, channels, max(1, period * rate // wanted.rate)), OpenFormat(rate, channels)
                except OSError as error:
                    refused = error
                    if error.errno not in (_INVALID_RATE, _INVALID_CHANNELS):
                        raise _unavailable(info, direction, error) from error
        assert refused is not None  # the loops ran at least once
        raise _refusal(info, wanted, direction, refused) from refused

    def _stream(self, info: DeviceInfo, direction: Direction, rate: int, channels: int, period: int) -> Any:
        is_input = direction is INPUT
        return self._pa.open(
            rate=rate,
            channels=channels,
            format=pyaudio.paInt16,
            input=is_input,
            output=not is_input,
            input_device_index=info.number if is_input else None,
            output_device_index=None if is_input else info.number,
            frames_per_buffer=period,
            start=False,
        )


def _unavailable(info: DeviceInfo, direction: Direction, error: OSError) -> VoicedError:
    if error.errno == _INVALID_DEVICE:
        return DeviceUnavailable(f"{direction.word} device {info.name} is gone: plug it in, or set {direction.key}")
    return DeviceUnavailable(
        f"{direction.word} device {info.name} can't be opened ({error.strerror}): is another program holding it? Or set {direction.key}"
    )


def _refusal(info: DeviceInfo, wanted: Wanted, direction: Direction, error: OSError) -> VoicedError:
    keys = direction.key.removesuffix(".device")
    if error.errno == _INVALID_RATE:
        return DeviceRateRefused(
            f"{direction.word} device {info.name} refuses {wanted.rate} Hz and its own {info.rate} Hz; set {keys}.rate to one that it takes"
        )
    return DeviceUnavailable(f"{direction.word} device {info.name} refuses {wanted.channels} channels; set {keys}.channels")


class _Stream:
    """What both directions share: a C stream that runs or not, and errors in our words."""

    def __init__(self, name: str, wrapper: Any, format: OpenFormat) -> None:
        self.name = name
        self.format = format
        self._wrapper = wrapper  # owns the C stream; closing it twice is safe, losing it is not
        self._stream = wrapper._stream
        self._running = False

    def start(self) -> None:
        if self._running:
            return
        try:
            pa.start_stream(self._stream)
        except OSError as error:
            raise DeviceLost(f"{self.name} does not start any more: {error.strerror}") from error
        self._running = True

    def close(self) -> None:
        if self._running:
            with contextlib.suppress(OSError):  # a lost device can't be stopped, only left
                pa.abort_stream(self._stream)
        with contextlib.suppress(OSError):
            pa.close(self._stream)


class _Output(_Stream):
    def __init__(self, name: str, wrapper: Any, format: OpenFormat, buffer_frames: int) -> None:
        super().__init__(name, wrapper, format)
        self.buffer_frames = buffer_frames
        self.start_frames = buffer_frames // _PERIODS

    def writable(self) -> int:
        frames: int = pa.get_stream_write_available(self._stream)
        # Negative is an error code; an underrun (-9980) means that all of the buffer is free.
        return frames if frames >= 0 else self.buffer_frames

    def write(self, pcm: bytes) -> None:
        frames = len(pcm) // (_BYTES_PER_SAMPLE * self.format.channels)
        try:
            pa.write_stream(self._stream, pcm, frames, False)
        except OSError as error:
            raise DeviceLost(f"{self.name} takes no sound any more: {error.strerror}") from error

    def abort(self) -> None:
        if not self._running:
            return
        self._running = False
        try:
            pa.abort_stream(self._stream)
        except OSError as error:
            raise DeviceLost(f"{self.name} does not stop any more: {error.strerror}") from error


class _Input(_Stream):
    def __init__(self, name: str, wrapper: Any, format: OpenFormat) -> None:
        super().__init__(name, wrapper, format)
        self.overruns = 0
        self._errors_in_a_row = 0

    def readable(self) -> int:
        frames: int = pa.get_stream_read_available(self._stream)
        self.overruns += frames == _INPUT_OVERFLOWED
        self._errors_in_a_row = self._errors_in_a_row + 1 if frames < 0 and frames != _INPUT_OVERFLOWED else 0
        if self._errors_in_a_row >= _ERRORS_IN_A_ROW:
            raise DeviceLost(f"{self.name} gives no sound any more (PortAudio's error {frames})")
        return max(0, frames)

    def read(self, frames: int) -> bytes:
        try:
            pcm: bytes = pa.read_stream(self._stream, frames, False)
        except OSError as error:
            raise DeviceLost(f"{self.name} gives no sound any more: {error.strerror}") from error
        return pcm
