from typing import Any

import msgpack

from voiced.config import Config
from voiced.secret import Credential, Secret
from voiced.supervisor.processes import World, table
from voiced.supervisor.provider import resolve

MCP = {"type": "mcp", "server_url": "https://h/mcp"}


def world(key: str = "", muted: bool = False, details: dict[str, Any] | None = None, command: tuple[str, ...] = (), **values: Any) -> World:
    config = Config({name.replace("__", "."): value for name, value in values.items()}, "test")
    return World(config, resolve(config, Credential(Secret(key) if key else None, command), {}), 20, "own-token", muted, details or {})


def settings(of: str, made: World) -> dict[str, Any] | None:
    return {row.name: row.settings(made) for row in table(made.provider)}[of]


def test_the_embedded_server_runs_only_where_it_answers() -> None:
    assert [row.name for row in table(world().provider)] == ["embedded", "network", "capture", "playback"]
    assert [row.name for row in table(world("sk-1").provider)] == ["network", "capture", "playback"]


def test_capture_gets_its_sections_and_the_mute() -> None:
    made = settings("capture", world(muted=True, audio__capture__device="Jabra", audio__frame_ms=10, barge_in__mode="local"))
    device = {"device": "Jabra", "channels": 1, "rate": 24000, "hard_mute": False, "frame_ms": 10, "muted": True, "push_to_talk": False}
    clean = {"echo_cancellation": "auto", "noise_suppression": True, "gain_control": False, "patient": False}
    barge_in = {"mode": "local", "duck_db": 18.0, "resume_ms": 600, "threshold": 0.5}
    assert made == {"log_level": 20, **device, **clean, "barge_in": barge_in, "wake_word": ""}


def test_playback_gets_its_section() -> None:
    device = {"device": "", "channels": 1, "rate": 24000, "buffer_ms": 100, "volume": 100, "landing_ms": 3}
    assert settings("playback", world()) == {"log_level": 20, **device, "duck_db": 18.0, "earcons": False, "patient": False}


def test_a_volume_that_was_chosen_goes_before_that_of_the_settings() -> None:
    made = settings("playback", world(audio__playback__volume=80)._replace(volume=0))
    assert made is not None
    assert made["volume"] == 0


def test_network_gets_the_key_and_what_to_say() -> None:
    made = settings("network", world("sk-1", realtime__language="de", turn__silence_ms=700))
    assert made is not None
    assert (made["token"], made["url"]) == ("sk-1", "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1")
    assert (made["language"], made["silence_ms"], made["threshold"], made["prefix_padding_ms"]) == ("de", 700, 0.5, 300)
    assert made["instructions"].startswith("You are the voice")


def test_network_gets_the_settings_of_the_whole_session() -> None:
    """As its half reads them; what is missing there would be a silent default."""
    made = settings("network", world("sk-1"))
    assert made is not None
    reach = {"log_level", "provider", "url", "model", "voice", "token", "token_command", "auth", "ca_file", "proxy"}
    session = {"speed", "instructions", "language", "transcription_model", "noise_reduction", "reasoning_effort", "max_output_tokens"}
    session |= {"tool_choice", "truncation", "retention_ratio", "context_chars", "rollover_s", "idle_disconnect_s", "report_aloud"}
    turn = {"mode", "detection", "threshold", "prefix_padding_ms", "silence_ms", "idle_timeout_ms", "eagerness", "talk_limit_s"}
    ears = {"wake_word", "listen_s"}
    assert set(made) == reach | session | turn | ears | {
        "tools",
        "mcp",
        "history",
        "exhausted",
        "record_dir",
        "record_refused",
        "secrets",
        "patient",
    }
    assert msgpack.unpackb(msgpack.packb(made)) == made, "as it is after the way to the process"


def test_a_program_for_the_token_is_named_and_not_run() -> None:
    made = settings("network", world(command=("pass", "show", "openai")))
    assert made is not None
    assert (made["token"], made["token_command"], made["provider"]) == ("", ["pass", "show", "openai"], "openai")


def test_what_was_said_and_what_may_not_be_spent_go_along() -> None:
    said = {"item_id": "i", "role": "user", "text": "hello", "time": 1.0}
    made = settings("network", world("sk-1")._replace(history=[said], exhausted="too dear", record_dir="/r", mcp=[MCP]))
    assert made is not None
    assert (made["history"], made["exhausted"], made["record_dir"], made["mcp"]) == ([said], "too dear", "/r", [MCP])


def test_the_embedded_server_is_free_whatever_was_spent() -> None:
    details = {"embedded": {"url": "ws://127.0.0.1:5/v1/realtime"}}
    made = settings("network", world(details=details)._replace(exhausted="too dear"))
    assert made is not None
    assert made["exhausted"] == ""


def test_network_knows_what_a_server_must_not_repeat() -> None:
    values = {"realtime__provider": "compatible", "realtime__url": "wss://h/v1?key=in-the-url"}
    made = settings("network", world(**values)._replace(mcp=[{"server_url": "https://h/mcp?token=of-the-house"}]))
    assert made is not None
    assert made["secrets"] == ["in-the-url", "of-the-house"]


def test_network_is_told_why_nothing_is_recorded() -> None:
    told = []
    for made in (world("sk-1"), world("sk-1", allow__recording=True), world("sk-1", allow__recording=True)._replace(record_dir="/r")):
        network = settings("network", made)
        assert network is not None
        told.append("can't be used" in network["record_refused"])
    assert told == [False, True, False]


def test_sound_has_no_business_with_proxies() -> None:
    assert {row.name: row.online for row in table(world().provider)} == {
        "embedded": True,
        "network": True,
        "capture": False,
        "playback": False,
    }


def test_network_alone_takes_settings_while_it_runs() -> None:
    assert [row.name for row in table(world().provider) if row.live] == ["network"]


def test_network_waits_for_the_embedded_servers_address() -> None:
    assert settings("network", world()) is None
    made = settings("network", world(details={"embedded": {"url": "ws://127.0.0.1:5/v1/realtime"}}))
    assert made is not None
    assert (made["url"], made["token"]) == ("ws://127.0.0.1:5/v1/realtime?model=voiced-embedded", "own-token")


def test_the_embedded_server_gets_its_own_token_and_no_key() -> None:
    made = settings("embedded", world("sk-1", realtime__provider="embedded", embedded__chat_model="qwen"))
    assert made == {"log_level": 20, "token": "own-token", "voice": "", "chat_url": "", "chat_model": "qwen"}


def test_once_the_daemon_was_ready_sound_waits_for_its_devices() -> None:
    later = world()._replace(was_ready=True)
    for name in ("capture", "playback"):
        made = settings(name, later)
        assert made is not None
        assert made["patient"] is True
