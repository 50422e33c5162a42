import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiced.config import Config, load
from voiced.errors import ConfigInvalid
from voiced.keys import KEYS, TABLES


def loaded(tmp_path: Path, text: str, **env: str) -> Config:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(file, env)


def problems(tmp_path: Path, text: str, **env: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        loaded(tmp_path, text, **env)
    return [line.removeprefix(f"{tmp_path}/config.toml: ") for line in caught.value.message.splitlines()]


def test_no_file_is_needed(tmp_path: Path) -> None:
    config = load(None, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert config.source == "defaults"
    assert {name: config[name] for name in KEYS} == {name: key.default for name, key in KEYS.items()}


def test_every_default_is_allowed(tmp_path: Path) -> None:
    config = loaded(tmp_path, "\n".join(f"{name} = {json.dumps(key.default)}" for name, key in KEYS.items()))
    assert {name: config[name] for name in KEYS} == {name: key.default for name, key in KEYS.items()}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    text = '[audio]\nframe_ms = 10\n[turn]\nthreshold = 1\n[audio.capture]\ndevice = "a"'
    config = loaded(tmp_path, text, VOICED_AUDIO__CAPTURE__DEVICE="b")
    assert (config["audio.frame_ms"], config["turn.threshold"], config["audio.capture.device"]) == (10, 1.0, "b")
    assert config.section("audio.capture") == {"device": "b", "channels": 1, "rate": 24000, "hard_mute": False}


def test_where_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "voiced").mkdir()
    (tmp_path / "voiced/config.toml").write_text("turn.silence_ms = 111")
    (tmp_path / "other.toml").write_text("turn.silence_ms = 222")
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert load(None, env)["turn.silence_ms"] == 111
    env["VOICED_CONFIG"] = str(tmp_path / "other.toml")
    assert load(None, env)["turn.silence_ms"] == 222
    assert load(tmp_path / "voiced/config.toml", env)["turn.silence_ms"] == 111


def test_all_problems_at_once_a_line_each(tmp_path: Path) -> None:
    text = """
[realtime]
provider = "opneai"
voise = "marin"
[turn]
threshold = 1.5
silence_ms = "long"
[audio]
frame_ms = 15
[unknown]
x = 1
[tools.weather]
descripton = "the weather"
timeout_s = -1
[tools."über"]
[mcp.house]
require_approval = "maybe"
[profiles.night]
speed = 9
tools = ["wether"]
"""
    assert problems(tmp_path, text, VOICED_TURN__SILENCE_MS="never", VOICED_QQQ__X="1", VOICED_TOOLS__WEATHER__COMMAND="x") == [
        "realtime.provider must be one of auto, openai, azure, compatible, embedded, not 'opneai' (who answers; auto = openai when a "
        "key is found, else embedded)",
        "no setting `realtime.voise`; did you mean `realtime.voice`?",
        "turn.threshold must be at most 1, not 1.5 (server_vad: how sure it must be that it hears speech)",
        "turn.silence_ms must be a whole number (server_vad: silence that ends your turn)",
        "audio.frame_ms must be one of 10, 20, not 15 (length of a frame of the microphone)",
        "no setting `unknown`",
        "no setting `tools.weather.descripton`; did you mean `tools.weather.description`?",
        "tools.weather.timeout_s must be at least 0, not -1.0 (0 = tool.timeout_s)",
        "[tools.über] must have a name of 1 to 64 letters, digits, - and _",
        "mcp.house.require_approval must be one of always, never, not 'maybe' (ask before each call (`tool.approval`, `voicectl approve`))",
        "mcp.house.url is missing (where it is)",
        "profiles.night.speed must be at most 1.5, not 9.0 (how fast it speaks)",
        "VOICED_TURN__SILENCE_MS: turn.silence_ms must be a whole number (server_vad: silence that ends your turn)",
        "VOICED_QQQ__X: no setting `qqq.x`",
        "VOICED_TOOLS__WEATHER__COMMAND: no setting `tools.weather.command`; tables stand in the file alone",
        "profiles.night.tools: no wether in [tools] and [mcp]; there are weather, über, house",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = = 1", "is not TOML"),
        ("realtime = 3", "no setting `realtime`"),
        ("turn.silence_ms = true", "must be a whole number, not True"),
        ("memory.keep = 1", "memory.keep must be true or false, not 1"),
        ("realtime.api_key_command = ['']", "must begin with a program"),
        ("realtime.api_key_command = ['a', 1]", 'must be a list of texts, as ["pass", "openai"] ('),
        ("realtime.api_key_command = 'pass openai'", 'must be a list of texts, as ["pass", "openai"] ('),
        ('realtime.api_key_command = ["a\\u0000"]', "must be a list of texts"),
        ("realtime.profile = 'work'", "realtime.profile: no profile `work`; there are none: [profiles.NAME]"),
        ("realtime.profile = 'work'\n[profiles.home]\n[profiles.play]", "no profile `work`; there are home, play"),
        ("realtime.tool_choice = 'lamp'", "must be one of auto, none, required; [tools] has none, not 'lamp'"),
        ("realtime.tool_choice = 'lamp'\n[tools.light]", "or one of [tools]: light, not 'lamp'"),
        ("turn.idle_timeout_ms = 4999", "must be 0 or 5000 to 30000, not 4999"),
        ("turn.idle_timeout_ms = 30001", "must be at most 30000"),
        ("tools = 3", "tools must be a table, as [tools.NAME]"),
        ("tools.weather = 'x'", "tools.weather must be a table, as [tools.weather]"),
        ('[tools."we ather"]', "[tools.we ather] must have a name of 1 to 64 letters"),
        (f"[tools.{'x' * 65}]", "must have a name of 1 to 64 letters"),
        ("[tools.x]\ncommand = 'date'", "tools.x.command must be a list of texts"),
        ("[tools.x]\nparameters = {type = 'string'}", 'must be a JSON schema with type = "object"'),
        ("[tools.x]\nparameters = {type = 'object', a = [{b = 2026-11-22}]}", "must hold what JSON can"),
        ("[tools.x]\nparameters = {type = 'object', a = inf}", "must hold what JSON can"),
        ("[tools.x.parameters]\ntype = 'object'\n" + ".".join("a" * 33) + " = 1", "lists and tables, 32 deep at most"),
        ("[tools.x.parameters]\ntype = 'object'\n" + ".".join("a" * 3000) + " = 1", "lists and tables, 32 deep at most"),
        ("[tools.x.parameters]\ntype = 'object'\na = " + "[" * 32 + "]" * 32, "lists and tables, 32 deep at most"),
        ("realtime." + ".".join("a" * 3000) + " = 1", "no setting `realtime.a`"),
        ("[mcp.h]\nurl = 'https://h'\n[mcp.h.headers]\nX = 'y'", "no setting `mcp.h.headers`; a token never sits in the settings"),
        ("[tools.h.env]\nX = 'y'", "no setting `tools.h.env`"),
        ("turn.silence_ms = 1" + "0" * 5000, "is not TOML"),
        ("turn.silence_ms = 0x" + "f" * 20_000, "must be at most 10000 (server_vad"),
        ("[tools.x]\nparameters = {type = 'object', a = 18446744073709551616}", "must hold what JSON can"),
        (
            "[mcp.x]\nurl = 'http://example.org/mcp?k=v'",
            "must begin with https:// (http:// only on this machine), not 'http://example.org/mcp'",
        ),
        ("[mcp.x]\nurl = 'https://user:hunter2@h/'", "must not contain a user or password"),
        ("[mcp.x]\nurl = 'https://h:port/'", "is no URL"),
        ("[mcp.x]\nurl = 'https://'", "must be a URL"),
        ("[profiles.none]", "[profiles.none] must have a name of 1 to 64 letters, digits, - _ and ., and not `none`"),
        ("[profiles.x]\nmode = 'vad'", "no setting `profiles.x.mode`"),
        ("[prices.gpt-realtime-2.1]\ntext_in = 4.0", 'a name with a dot needs quotes, as in [prices."gpt-realtime-2.1"]'),
        ("[prices.m]\ntext_in = inf", "must be a number, not inf"),
        (f"[prices.m]\ntext_in = 1{'0' * 400}", "must be a number, not 1000"),
        ('[prices.""]', "[prices.] must have a name"),
        ("realtime.instructions_file = '/no/such'", "can't read instructions_file '/no/such': No such file or directory"),
        ("realtime.instructions_file = '~nobody-of-this-name/x'", "no such file"),
        ("[profiles.x]\ninstructions_file = '/dev'", "can't read instructions_file '/dev': it is no regular file"),
        ("a = " + "[" * 20_000, "is not TOML"),
        ("turn.threshold = nan", "must be a number, not nan"),
        ("realtime.instructions = '" + "x" * 16_001 + "'", "must be at most 16000 characters"),
    ],
)
def test_single_mistakes(tmp_path: Path, text: str, complaint: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert complaint in problem
    assert len(problem) < 300
    assert "hunter2" not in problem


def test_a_file_that_was_named_must_be_there_and_readable(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no configuration file"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigInvalid, match="can't read the configuration"):
        load(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    with pytest.raises(ConfigInvalid, match="can't read the configuration"):
        load(tmp_path / "latin.toml", {})


@given(st.text(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_configuration_or_refused(tmp_path: Path, text: str) -> None:
    try:
        config = loaded(tmp_path, text)
    except ConfigInvalid:
        return
    assert config["audio.frame_ms"] in (10, 20)


def test_what_the_environment_can_say(tmp_path: Path) -> None:
    for text, means in {"true": True, "Yes": True, "1": True, "false": False, "no": False, "0": False}.items():
        assert loaded(tmp_path, "", VOICED_MEMORY__KEEP=text)["memory.keep"] is means
    (problem,) = problems(tmp_path, "", VOICED_MEMORY__KEEP="maybe")
    assert "VOICED_MEMORY__KEEP: memory.keep must be true or false (" in problem
    command = "secret-tool lookup service 'my key'"
    config = loaded(tmp_path, "", VOICED_REALTIME__API_KEY_COMMAND=command)
    assert config["realtime.api_key_command"] == ("secret-tool", "lookup", "service", "my key")
    (problem,) = problems(tmp_path, "", VOICED_REALTIME__API_KEY_COMMAND="echo 'sk-1")
    assert problem == "VOICED_REALTIME__API_KEY_COMMAND: realtime.api_key_command has a quotation that does not end"
    (problem,) = problems(tmp_path, "", VOICED_REALTIME__PROFILE="x")
    assert problem.startswith("VOICED_REALTIME__PROFILE: realtime.profile: no profile `x`")


def test_who_says_where_the_key_is_says_it_wholly(tmp_path: Path) -> None:
    config = loaded(tmp_path, "realtime.api_key_file = '/file'", VOICED_REALTIME__API_KEY_COMMAND="pass x")
    assert (config["realtime.api_key_file"], config["realtime.api_key_command"]) == ("", ("pass", "x"))


# the tables ------------------------------------------------------------------------------------------------------------

TABLED = """
[realtime]
instructions = "Be brief."
model = "mine"
api_key_file = "/mine"
[tools.weather]
description = "the weather of a place"
parameters = {type = "object", properties = {place = {type = "string"}}}
command = ["weather", "--brief"]
[tools.lamp]
[mcp.house]
url = "https://house.example/mcp"
[mcp.local]
url = "http://127.0.0.1:8000/mcp"
[prices."gpt-realtime-2.1"]
audio_in = 32
[profiles.quick]
voice = "cedar"
tools = ["lamp", "house"]
[profiles.offline]
provider = "embedded"
[profiles.elsewhere]
provider = "compatible"
url = "wss://elsewhere.example/v1/realtime"
api_key_env = "ELSEWHERE_KEY"
[profiles.same]
provider = "openai"
"""


def test_rows_are_filled_up_with_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path, TABLED)
    assert config.table("tools") == {
        "weather": {
            "description": "the weather of a place",
            "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
            "command": ("weather", "--brief"),
            "timeout_s": 0.0,
        },
        "lamp": {"description": "", "parameters": {}, "command": (), "timeout_s": 0.0},
    }
    assert config.table("mcp")["house"]["require_approval"] == "always"
    assert config.table("prices")["gpt-realtime-2.1"]["audio_in"] == 32.0
    assert config.table("profiles")["quick"]["voice"] == "cedar"
    assert config.table("profiles")["quick"]["model"] is None
    assert {name: load(None, {"HOME": str(tmp_path)}).table(name) for name in TABLES} == {name: {} for name in TABLES}


def test_a_profile_overrides_what_it_names(tmp_path: Path) -> None:
    config = loaded(tmp_path, TABLED)
    quick = config.with_profile("quick")
    assert (quick["realtime.profile"], quick["realtime.voice"], quick["realtime.model"]) == ("quick", "cedar", "mine")
    assert [list(quick.table(table)) for table in ("tools", "mcp")] == [["lamp"], ["house"]]
    assert list(quick.table("profiles")) == ["quick", "offline", "elsewhere", "same"]
    for none in ("", "none"):
        again = quick.with_profile(none)
        assert (again["realtime.profile"], again["realtime.voice"], list(again.table("tools"))) == ("", "", ["weather", "lamp"])
    # from one to another: nothing of the first is left
    offline = quick.with_profile("offline")
    assert (offline["realtime.voice"], list(offline.table("mcp"))) == ("", [])
    with pytest.raises(ConfigInvalid, match="no profile `slow`; there are quick, offline, elsewhere, same"):
        config.with_profile("slow")


def test_a_run_begins_with_the_profile_that_is_named(tmp_path: Path) -> None:
    config = loaded(tmp_path, TABLED, VOICED_REALTIME__PROFILE="quick")
    assert (config["realtime.profile"], config["realtime.voice"]) == ("quick", "cedar")
    assert loaded(tmp_path, TABLED, VOICED_REALTIME__PROFILE="none")["realtime.voice"] == ""


def test_another_provider_gets_nothing_of_the_first_one_s(tmp_path: Path) -> None:
    config = loaded(tmp_path, TABLED)
    names = ("url", "model", "api_key_file", "api_key_env", "instructions")
    elsewhere, same = (config.with_profile(name).section("realtime") for name in ("elsewhere", "same"))
    assert [elsewhere[name] for name in names] == ["wss://elsewhere.example/v1/realtime", "", "", "ELSEWHERE_KEY", "Be brief."]
    # auto with a key is openai
    assert [same[name] for name in names] == ["", "mine", "/mine", "", "Be brief."]


def test_the_environment_wins_over_a_profile(tmp_path: Path) -> None:
    text = "[profiles.guest]\nprovider = 'openai'\nvoice = 'marin'\nspeed = 1.2\ninstructions = 'x'\napi_key_file = '/guest'\n"
    text += "[realtime]\nprofile = 'guest'\n"
    assert loaded(tmp_path, text, VOICED_REALTIME__VOICE="cedar")["realtime.voice"] == "cedar"
    config = loaded(tmp_path, text, VOICED_REALTIME__SPEED="0.9", VOICED_REALTIME__INSTRUCTIONS="y")
    for again in (config, config.with_profile("none"), config.with_profile("none").with_profile("guest")):
        assert (again["realtime.speed"], again["realtime.instructions"]) == (0.9, "y")
    embedded = loaded(tmp_path, text, VOICED_REALTIME__PROVIDER="embedded")
    assert (embedded["realtime.provider"], embedded["realtime.voice"], embedded["realtime.api_key_file"]) == ("embedded", "", "")
    assert embedded["realtime.speed"] == 1.2
    assert loaded(tmp_path, text, VOICED_REALTIME__API_KEY_ENV="MINE")["realtime.api_key_file"] == ""


HOUSE = """
[realtime]
provider = "compatible"
url = "wss://house/v1"
model = "m"
auth = "x-api-key"
api_key_file = "/house"
[mcp.lamp]
url = "https://lamp"
[profiles.same]
voice = "v"
[profiles.same_url]
url = "wss://house/v1"
[profiles.url]
url = "wss://other/v1"
[profiles.url_with_key]
url = "wss://other/v1"
api_key_env = "OTHER"
tools = ["lamp"]
[profiles.openai]
provider = "openai"
"""


def test_a_key_and_tokens_go_to_nobody_but_whom_they_are_for(tmp_path: Path) -> None:
    def key_in(config: Config) -> tuple[str, ...]:
        return tuple(config[f"realtime.{name}"] for name in ("url", "model", "auth", "api_key_file", "api_key_env"))

    config = loaded(tmp_path, HOUSE)
    told = {name: (*key_in(config.with_profile(name)), *config.with_profile(name).table("mcp")) for name in config.table("profiles")}
    assert told == {
        "same": ("wss://house/v1", "m", "x-api-key", "/house", "", "lamp"),
        "same_url": ("wss://house/v1", "m", "x-api-key", "/house", "", "lamp"),
        "url": ("wss://other/v1", "m", "", "", ""),
        "url_with_key": ("wss://other/v1", "m", "", "", "OTHER", "lamp"),
        "openai": ("", "", "", "", ""),
    }
    # a key that the environment names is for the server that was; a row's is not for the environment's server
    config = loaded(tmp_path, HOUSE, VOICED_REALTIME__API_KEY_FILE="/run", VOICED_REALTIME__MODEL="n")
    assert key_in(config.with_profile("same"))[1:] == ("n", "x-api-key", "/run", "")
    assert key_in(config.with_profile("url")) == ("wss://other/v1", "n", "", "", "")
    assert key_in(config.with_profile("openai")) == ("", "n", "", "", "")
    config = loaded(tmp_path, HOUSE, VOICED_REALTIME__URL="wss://run/v1")
    assert key_in(config.with_profile("url_with_key")) == ("wss://run/v1", "m", "x-api-key", "/house", "")


def test_a_tool_that_a_profile_has_not_is_not_chosen(tmp_path: Path) -> None:
    config = loaded(tmp_path, TABLED.replace("[realtime]", "[realtime]\ntool_choice = 'weather'"))
    assert config["realtime.tool_choice"] == "weather"
    assert config.with_profile("quick")["realtime.tool_choice"] == "auto"
    assert config.with_profile("offline")["realtime.tool_choice"] == "weather"


# instructions from a file ----------------------------------------------------------------------------------------------


def test_instructions_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "day").write_text("Be awake.\n")
    (tmp_path / "night").write_text("Whisper.\n")
    text = f"realtime.instructions = 'x'\nrealtime.instructions_file = '{tmp_path}/day'\n[profiles.loud]\ninstructions = 'Shout.'\n"
    text += f"[profiles.night]\ninstructions_file = '{tmp_path}/night'\n"
    config = loaded(tmp_path, text)
    told = {name: config.with_profile(name)["realtime.instructions"] for name in ("none", "loud", "night")}
    assert told == {"none": "Be awake.", "loud": "Shout.", "night": "Whisper."}
    assert loaded(tmp_path, text, VOICED_REALTIME__INSTRUCTIONS="Now.")["realtime.instructions"] == "Now."
    night = str(tmp_path / "night")
    assert loaded(tmp_path, text, VOICED_REALTIME__INSTRUCTIONS_FILE=night)["realtime.instructions"] == "Whisper."


@pytest.mark.parametrize(("content", "complaint"), [(b"x" * 16_001, "at most 16000 characters"), (b"\xff", "it is not text")])
def test_instructions_that_are_none(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "it").write_bytes(content)
    (problem,) = problems(tmp_path, f"realtime.instructions_file = '{tmp_path}/it'")
    assert complaint in problem


# secrets in the wrong place --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("realtime.api_key_env = 'sk-proj-1234'", "is the name of a variable"),
        ("realtime.api_key = 'sk-proj-1234'", "a key never sits in the settings"),
        ("realtime.api_key_command = 'sk-proj-1234'", "must be a list"),
        ("realtime.api_key_file = ['sk-proj-1234']", "must be a text"),
        ("realtime.auth = 'sk-proj-1234'", "must be one of '', bearer"),
        ("[mcp.x]\nurl = 'https://h'\nauthorization = 'sk-proj-1234'", "a token never sits in the settings"),
        ("[mcp.x]\nurl = 'https://h'\nauthorization_env = 'sk-proj-1234'", "is the name of a variable"),
        ("[profiles.x]\napi_key_env = 'sk-proj-1234'", "is the name of a variable"),
    ],
)
def test_a_key_in_the_wrong_place_is_not_printed(tmp_path: Path, text: str, complaint: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert complaint in problem
    assert "sk-proj" not in problem


KEY = "sk-SECRETkey0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    [
        f"realtime.provider = '{KEY}'",
        f"realtime.profile = '{KEY}'",
        f"realtime.tool_choice = '{KEY}'",
        f"realtime.api_key_command = '{KEY}'",
        f"realtime.instructions = ['{KEY}']",
        f"realtime.url = ['wss://h/?key={KEY}']",
        f"realtime.{KEY} = 1",
        f"['{KEY}']",
        f"['{KEY}'.x]",
        f"turn.silence_ms = '{KEY}'",
        f"mcp.'{KEY * 3}'.url = 'https://h'",
        f"mcp.h.url = '{KEY}'",
        f"mcp.h.url = 'h/x?t={KEY}'",
        f"mcp.h.url = 'ftp://{KEY}@h/x?t={KEY}'",
        f"mcp.h.url = 'https://h:{KEY}/'",
        f"[mcp.h]\nurl = 'https://h'\n'{KEY}' = 1",
        f"tools.t.command = \"curl -H 'Bearer {KEY}'\"",
        f"tools.t.command = ['', '{KEY}']",
        f"tools.'t {KEY}'.description = 't'",
        f"embedded.chat_url = ['http://u:{KEY}@h']",
        f"embedded.chat_key = '{KEY}'",
        f"[profiles.x]\ntools = ['{KEY}']",
        f"[profiles.x]\nprovider = '{KEY}'",
    ],
)
def test_a_key_in_any_place_is_not_printed(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert "SECRET" not in problem


def test_a_key_in_a_variable_s_name_is_not_printed(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "", **{f"VOICED_REALTIME__{KEY}": "1"})
    assert problem == "VOICED_REALTIME__***: no setting `realtime.***`"


def test_what_would_hold_us_up_is_no_configuration(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").write_bytes(b"#" * (2 << 20))
    for path, why in ((tmp_path / "pipe", "no regular file"), (Path("/dev/zero"), "no regular file"), (tmp_path / "huge", "larger")):
        with pytest.raises(ConfigInvalid, match=why):
            load(path, {})
        (problem,) = problems(tmp_path, f"realtime.instructions_file = '{path}'")
        assert why in problem


@pytest.mark.parametrize(
    "where", ["", "127.0.0.1:9780", "localhost:1", "[::1]:9780", "127.8.9.1:65535", "unix:/run/user/7/metrics", "unix:~/metrics"]
)
def test_metrics_stay_on_this_machine(tmp_path: Path, where: str) -> None:
    assert loaded(tmp_path, f'[metrics]\nlisten = "{where}"')["metrics.listen"] == where


@pytest.mark.parametrize(
    "where",
    [
        "0.0.0.0:9780",
        ":9780",
        "9780",
        "[::]:9780",
        "192.168.1.2:9780",
        "kitchen:9780",
        "127.0.0.1",
        "127.0.0.1:0",
        "unix:m",
        "unix:/\\u0000",
    ],
)
def test_metrics_for_others_are_refused(tmp_path: Path, where: str) -> None:
    [problem] = problems(tmp_path, f'[metrics]\nlisten = "{where}"')
    assert "metrics.listen must be 127.0.0.1:PORT or unix:/PATH: metrics tell when you talk, and stay on this machine" in problem
