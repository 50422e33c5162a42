"""The settings as tables, from which defaults, checks, environment names and documentation derive: the keys, and the
tables whose rows people name themselves, as [tools.weather]. Imports nothing.
"""

from typing import Any, NamedTuple


class Key(NamedTuple):
    name: str
    type: type
    default: Any
    doc: str
    choices: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None


class Table(NamedTuple):
    """Rows that people name themselves, each with these keys; a default of None means that what is left out is told apart."""

    name: str
    doc: str
    keys: dict[str, Key]


_PROVIDERS = ("auto", "openai", "azure", "compatible", "embedded")
_EFFORTS = ("", "minimal", "low", "medium", "high", "xhigh")
_AUTH = ("", "bearer", "api-key", "x-api-key", "none")
_WAKE_WORDS = ("okay_nabu", "hey_jarvis", "hey_mycroft", "alexa")
_DEVICE = "name, part of a name, or index; `file:PATH` or `null`; empty = system default"
_RATE = "rate to ask of the device; where it refuses, the device's own is used"
_INSTRUCTIONS = (
    "You are the voice of this computer. You are talked to aloud and answer aloud: briefly, in plain sentences, without lists or markup. "
    "You may be interrupted at any time; when you are, answer what was said last."
)

KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("realtime.provider", str, "auto", "who answers; auto = openai when a key is found, else embedded", _PROVIDERS),
        Key("realtime.profile", str, "", "the profile to begin with; a row of [profiles]"),
        Key("realtime.url", str, "", "wss:// URL of a compatible server or of an Azure resource; the model is added as a query"),
        Key("realtime.model", str, "", "the model, on Azure the deployment; empty = the provider's default"),
        Key("realtime.voice", str, "", "the voice; empty = the provider's default"),
        Key("realtime.speed", float, 1.0, "how fast it speaks", least=0.25, most=1.5),
        Key("realtime.instructions", str, _INSTRUCTIONS, "what the assistant is told about itself", most=16_000),
        Key("realtime.instructions_file", str, "", "a file with the instructions, instead"),
        Key("realtime.language", str, "", "language of the transcription, as in `en`; empty = found out by the server"),
        Key("realtime.transcription_model", str, "", "model that writes down what you say; empty = the provider's default"),
        Key("realtime.noise_reduction", str, "", "the server's, by where the microphone is; empty = none", ("", "near_field", "far_field")),
        Key("realtime.reasoning_effort", str, "", "of models that reason; empty = the model's", _EFFORTS),
        Key("realtime.max_output_tokens", int, 0, "longest answer, tool calls included; 0 = no limit", least=0, most=4096),
        Key("realtime.tool_choice", str, "auto", "`auto`, `none`, `required`, or the name of the tool to use"),
        Key("realtime.truncation", str, "auto", "what the server does when the context is full", ("auto", "disabled", "retention_ratio")),
        Key("realtime.retention_ratio", float, 0.8, "part of the context that `retention_ratio` keeps", least=0.0, most=1.0),
        Key("realtime.context_chars", int, 16_000, "how much of the conversation a new session is told", least=0, most=100_000),
        Key("realtime.rollover_s", int, 300, "how long before a session expires the next one is got ready", least=30, most=1800),
        Key(
            "realtime.idle_disconnect_s",
            int,
            0,
            "silence that closes the session, until you speak or `voicectl wake`; 0 = never",
            least=0,
            most=86_400,
        ),
        Key("realtime.report_aloud", bool, False, "say aloud that an answer failed"),
        Key("realtime.auth", str, "", "how the key is sent; empty = as the provider wants it", _AUTH),
        Key("realtime.api_key_env", str, "", "variable that holds the key; empty = OpenAI's OPENAI_API_KEY, Azure's AZURE_OPENAI_API_KEY"),
        Key("realtime.api_key_file", str, "", "file that holds the key; refused where others may read it"),
        Key("realtime.api_key_command", list, (), "program and arguments that print the key; run anew for each connection"),
        Key("realtime.ca_file", str, "", "certificates to trust instead of the system's, in PEM"),
        Key("turn.mode", str, "vad", "what begins and ends your turn: your voice, or `voicectl talk`", ("vad", "push_to_talk")),
        Key("turn.detection", str, "server_vad", "what the server goes by: silence, or sense", ("server_vad", "semantic_vad")),
        Key("turn.threshold", float, 0.5, "server_vad: how sure it must be that it hears speech", least=0.0, most=1.0),
        Key("turn.prefix_padding_ms", int, 300, "server_vad: sound kept from before the speech", least=0, most=5000),
        Key("turn.silence_ms", int, 500, "server_vad: silence that ends your turn", least=50, most=10_000),
        Key("turn.idle_timeout_ms", int, 0, "server_vad: silence that makes it speak up, from 5000; 0 = never", least=0, most=30_000),
        Key("turn.eagerness", str, "auto", "semantic_vad: how soon it takes your turn for ended", ("auto", "low", "medium", "high")),
        Key("turn.talk_limit_s", int, 120, "push_to_talk: a key that is held longer counts as released", least=5, most=600),
        Key(
            "barge_in.mode",
            str,
            "duck",
            "who stops the assistant when you speak: the server alone, both, or your voice at once",
            ("server", "duck", "local"),
        ),
        Key("barge_in.duck_db", float, 18.0, "by how much its voice is lowered while it finds out whether you speak", least=0.0, most=60.0),
        Key("barge_in.resume_ms", int, 600, "duck: how long after the last sound of yours its voice comes back", least=100, most=5000),
        Key("barge_in.threshold", float, 0.5, "how sure the local voice detector must be; higher = deafer", least=0.1, most=0.95),
        Key("wake.word", str, "", "until you say it, nothing of the microphone is sent; empty = off", ("", *_WAKE_WORDS)),
        Key("wake.listen_s", int, 8, "how long it goes on listening once nothing is said any more", least=2, most=600),
        Key("tool.timeout_s", float, 20.0, "after which the model is told that a tool did not answer", least=0.1, most=600.0),
        Key("allow.executables", bool, False, "run the programs that [tools] names"),
        Key("allow.recording", bool, False, "let `voicectl record` write what goes over the wire to a file"),
        Key("allow.unencrypted", bool, False, "connect to ws:// beyond this machine: whoever is on the way hears and reads everything"),
        Key("allow.remote_admin", bool, False, "let other machines reload, record, restart, shut down and approve tools, too"),
        Key("memory.keep", bool, True, "write down what was said, in ~/.local/state/voiced"),
        Key("memory.days", int, 30, "how long that is kept", least=1, most=3650),
        Key("memory.resume_min", int, 30, "how far back a new start goes on with what was said; 0 = never", least=0, most=10_080),
        Key("cost.daily_cap_usd", float, 0.0, "no session beyond this a day, a warning at 80 %; 0 = no limit", least=0.0, most=10_000.0),
        Key(
            "audio.echo_cancellation",
            str,
            "auto",
            "auto = on, but where the microphone's sound has been through another one",
            ("auto", "on", "off"),
        ),
        Key("audio.noise_suppression", bool, True, "take steady noise out of what is sent"),
        Key("audio.gain_control", bool, False, "raise a low voice"),
        Key("audio.earcons", bool, False, "short sounds: listening, muted, an error"),
        Key("audio.frame_ms", int, 20, "length of a frame of the microphone", (10, 20)),
        Key("audio.capture.device", str, "", _DEVICE),
        Key("audio.capture.channels", int, 1, "channels asked of the device; averaged to one", (1, 2)),
        Key("audio.capture.rate", int, 24_000, _RATE, least=8000, most=192_000),
        Key(
            "audio.capture.hard_mute", bool, False, "mute closes the device, so that the desktop shows it as unused; unmuting takes longer"
        ),
        Key("audio.playback.device", str, "", _DEVICE),
        Key("audio.playback.channels", int, 1, "channels asked of the device; all get the same sound", (1, 2)),
        Key("audio.playback.rate", int, 24_000, _RATE, least=8000, most=192_000),
        Key("audio.playback.volume", int, 100, "in percent, at the start; `voicectl volume` changes it", least=0, most=150),
        Key("audio.playback.landing_ms", int, 3, "so long it may wait for a quiet moment to stop in, so as not to click", least=0, most=5),
        Key("audio.playback.buffer_ms", int, 100, "sound that the device may hold; an abort makes its length harmless", least=20, most=500),
        Key("embedded.chat_url", str, "", "OpenAI-compatible chat URL that thinks for the embedded server, as http://localhost:11434/v1"),
        Key("embedded.chat_model", str, "", "the model to ask for there"),
        Key(
            "remote.listen",
            str,
            "",
            "where machines with an allowed key (`voiced keys`) may drive it, as `0.0.0.0:7770`, and the next port; empty = nowhere",
            most=100,
        ),
        Key("log.level", str, "info", "how much is logged", ("debug", "info", "warning", "error")),
        Key("log.content", bool, False, "log what is said, too, turn by turn"),
        Key("metrics.listen", str, "", "where Prometheus finds metrics, `127.0.0.1:9780` or `unix:PATH`; empty = nowhere", most=107),
    )
}


def _keys(*keys: Key) -> dict[str, Key]:
    return {key.name: key for key in keys}


#: What a profile may change, of [realtime]. Left out, it is as there.
_OF_A_PROFILE = [
    "provider",
    "url",
    "model",
    "voice",
    "speed",
    "instructions",
    "instructions_file",
    "language",
    "transcription_model",
    "reasoning_effort",
    "auth",
    "api_key_env",
    "api_key_file",
    "api_key_command",
]
_USD = "USD for a million tokens: "

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "tools",
            "what the model may call; without a command, scripts answer (`tool.call` events, `voicectl tool-result`)",
            _keys(
                Key("description", str, "", "when and what for, for the model", most=1024),
                Key("parameters", dict, {}, "JSON schema of the arguments"),
                Key("command", list, (), "program and arguments; gets the arguments as JSON, prints the result (needs allow.executables)"),
                Key("timeout_s", float, 0.0, "0 = tool.timeout_s", least=0.0, most=600.0),
            ),
        ),
        Table(
            "mcp",
            "MCP servers that the Realtime server calls by itself",
            _keys(
                Key("url", str, "", "where it is"),
                Key("description", str, "", "what it is for, for the model"),
                Key("authorization_env", str, "", "environment variable that holds its token"),
                Key("authorization_file", str, "", "file that holds its token; refused where others may read it"),
                Key("allowed_tools", list, (), "the tools that may be used; empty = all"),
                Key("require_approval", str, "always", "ask before each call (`tool.approval`, `voicectl approve`)", ("always", "never")),
            ),
        ),
        Table(
            "profiles",
            "named sets of settings, switched by `voicectl profile NAME`",
            {name: KEYS[f"realtime.{name}"]._replace(name=name, default=None) for name in _OF_A_PROFILE}
            | _keys(Key("tools", list, None, "the [tools] and [mcp] that it has; left out = all")),
        ),
        Table(
            "prices",
            "what a model costs; replaces the built-in prices of that model",
            _keys(
                *(
                    Key(f"{kind}_{way}", float, 0.0, f"{_USD}{kind} {way}", least=0.0)
                    for kind in ("text", "audio", "image")
                    for way in ("in", "cached", "out")
                    if (kind, way) != ("image", "out")
                ),
                Key("minute", float, 0.0, "USD for a minute, of models that are paid by time", least=0.0),
            ),
        ),
    )
}
