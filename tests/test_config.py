from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiced.config import Config, load
from voiced.errors import ConfigInvalid
from voiced.keys import KEYS
from voiced.secret import Secret, find_api_key


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
    lines = (f"{name} = {str(key.default) if not isinstance(key.default, str) else repr(key.default)}" for name, key in KEYS.items())
    assert loaded(tmp_path, "\n".join(lines))["turn.threshold"] == 0.5


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    text = '[audio]\nframe_ms = 10\n[turn]\nthreshold = 1\n[audio.capture]\ndevice = "a"'
    config = loaded(tmp_path, text, VOICED_AUDIO__CAPTURE__DEVICE="b")
    assert (config["audio.frame_ms"], config["turn.threshold"], config["audio.capture.device"]) == (10, 1.0, "b")
    assert config.section("audio.capture") == {"device": "b", "channels": 1, "rate": 24000}


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
"""
    assert problems(tmp_path, text, VOICED_TURN__SILENCE_MS="never", VOICED_QQQ__X="1") == [
        "realtime.provider must be one of auto, openai, compatible, embedded, not 'opneai' (who answers; auto = openai when a key is "
        "found, else embedded)",
        "no setting `realtime.voise`; did you mean `realtime.voice`?",
        "turn.threshold must be at most 1, not 1.5 (how sure the server must be that it hears speech)",
        "turn.silence_ms must be of type int, not 'long' (silence that ends your turn)",
        "audio.frame_ms must be one of 10, 20, not 15 (length of a frame of the microphone)",
        "no setting `unknown`",
        "VOICED_TURN__SILENCE_MS: turn.silence_ms must be of type int, not 'never' (silence that ends your turn)",
        "VOICED_QQQ__X: no setting `qqq.x`",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = = 1", "is not TOML"),
        ("realtime = 3", "no setting `realtime`"),
        ("turn.silence_ms = true", "must be of type int, not True"),
        ("turn.threshold = nan", "must be at least 0"),
        ("realtime.instructions = '" + "x" * 16_001 + "'", "must be at most 16000 characters"),
    ],
)
def test_single_mistakes(tmp_path: Path, text: str, complaint: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert complaint in problem
    assert len(problem) < 300


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


# the key ---------------------------------------------------------------------------------------------------------------


def key(env: dict[str, str] | None = None, **values: Any) -> str | None:
    found = find_api_key(Config({f"realtime.{name}": value for name, value in values.items()}, "test"), env or {})
    return found.reveal() if found else None


def test_a_secret_is_never_shown() -> None:
    secret = Secret("sk-1")
    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"
    assert not Secret("")


def test_where_the_key_is_looked_for(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-file\n")
    file.chmod(0o600)
    (tmp_path / "openai_api_key").write_text("sk-credential\n")
    env = {"OPENAI_API_KEY": " sk-env "}
    assert key() is None
    assert key({"OPENAI_API_KEY": ""}) is None
    assert key(env) == "sk-env"
    assert key({"MINE": "sk-mine"}, api_key_env="MINE") == "sk-mine"
    env["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert key(env) == "sk-credential"
    assert key(env, api_key_file=str(file)) == "sk-file"


@pytest.mark.parametrize(
    ("content", "mode", "complaint"),
    [(b"sk-1", 0o640, "chmod 600"), (b" \n", 0o600, "is empty"), (b"sk 1", 0o600, "more than a key"), (b"\xff\xfe", 0o600, "not text")],
)
def test_key_files_that_are_refused(tmp_path: Path, content: bytes, mode: int, complaint: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(ConfigInvalid, match=complaint) as caught:
        key(api_key_file=str(file))
    assert "sk" not in caught.value.message.replace(str(file), "")


def test_a_key_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="No such file"):
        key(api_key_file=str(tmp_path / "none"))


def test_a_key_in_the_place_of_its_file_is_not_printed() -> None:
    for mistaken in ("sk-never-to-be-seen", "c2stbmV2ZXI/dG8tYmUtc2Vlbg==", "sk-\0never"):
        with pytest.raises(ConfigInvalid, match="is the name of a file") as caught:
            key(api_key_file=mistaken)
        assert mistaken not in caught.value.message


def test_a_key_in_the_wrong_place_is_not_printed(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "realtime.api_key_env = 'sk-proj-1234'")
    assert "is the name of a variable" in problem
    assert "sk-proj" not in problem
    (problem,) = problems(tmp_path, "realtime.api_key = 'sk-proj-1234'")
    assert "a key never sits in the settings" in problem
    assert "sk-proj" not in problem
    with pytest.raises(ConfigInvalid, match="more than a key"):
        key({"OPENAI_API_KEY": "sk-1\nInjected: header"})
