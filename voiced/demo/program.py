"""The demonstration, put together: sound server, daemon, conversation, judgement, recordings."""

import os
import shutil
import signal
import tempfile
from pathlib import Path
from types import FrameType

import voicectl
import voiced
from voiced.demo.conversation import complaints
from voiced.demo.daemon import Daemon, DaemonFailed
from voiced.demo.recorder import RecorderFailed
from voiced.demo.show import Show
from voiced.demo.soundserver import PipeWireServer, PulseServer, SoundServer, SoundServerFailed
from voiced.demo.story import Story, StoryFailed
from voiced.errors import VoicedError

_INTERRUPTED = 130
_TERMINATED = 143


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends all of it in order, as Ctrl-C does."""


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


def main() -> int:
    """What `voiced.demo.run` returns."""
    signal.signal(signal.SIGTERM, _terminate)
    show = Show()
    directory = _directory()
    show.say(f"voiced {voiced.__version__}: a conversation on null devices. Nothing of it leaves this machine.")
    try:
        problems = converse(show, directory, _sound_server())
    except KeyboardInterrupt as end:
        return _TERMINATED if isinstance(end, _Terminated) else _INTERRUPTED
    except (SoundServerFailed, RecorderFailed, DaemonFailed, StoryFailed, VoicedError, OSError) as error:
        problems = [str(error)]
    for problem in problems:
        show.say(f"  FAILED: {problem}")
    if problems:
        show.say(f"The daemon's log: {directory / 'voiced.log'}")
        return 1
    show.say(_GO_ON.format(directory=directory))
    return 0


_GO_ON = """
All of it happened. Listen to it:
  {directory}/microphone.wav   what was said into the microphone
  {directory}/speaker.wav      what came out of the loudspeaker
On a machine with a sound card run  voiced  and talk; in another terminal,  voicectl status  and  voicectl --help.
With OPENAI_API_KEY set, OpenAI's Realtime model answers instead of this machine's own."""


def converse(show: Show, directory: Path, sound_server: SoundServer) -> list[str]:
    """The demonstration on this server, which it starts; the recordings go to `directory`. Returns what did not go as it should."""
    with sound_server as server, server.recorder() as heard:
        said = server.listen_to_microphone()
        show.happened("sound", f"a private {server.name} with null devices")
        with Daemon(server.env, directory / "voiced.log") as daemon:
            show.happened("ready", "voiced with its embedded speech server: devices and session are open")
            with voicectl.Client(daemon.runtime_dir) as client, client.events("speech.started", "flush", "transcript", "error") as events:
                try:
                    outcome = Story(client, events, server, heard, said, show, directory).tell()
                finally:
                    heard.save(directory / "speaker.wav")
                    said.save(directory / "microphone.wav")
                client.shutdown()
            daemon.wait_until_gone()
            show.happened("ended", "no process and no socket is left")
    return complaints(outcome)


def _sound_server() -> SoundServer:
    """PulseAudio where it is installed; desktops have PipeWire instead."""
    return PulseServer() if shutil.which("pulseaudio") else PipeWireServer()


def _directory() -> Path:
    """Where the recordings go: the user's state, or a directory of its own where that can't be written."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "voiced" / "demo"
    try:
        state.mkdir(parents=True, exist_ok=True)
        writable = os.access(state, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    return state if writable else Path(tempfile.mkdtemp(prefix="voiced-demo-"))
