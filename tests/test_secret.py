import os
import stat
from pathlib import Path
from typing import Any

import pytest

from voiced.config import Config
from voiced.errors import ConfigInvalid
from voiced.secret import Credential, Secret, find_api_key, find_token, objection, secret_variables


def configured(**values: Any) -> Config:
    return Config({f"realtime.{name}": value for name, value in values.items()}, "test")


def key(env: dict[str, str] | None = None, **values: Any) -> str | None:
    found = find_api_key(configured(**values), env or {})
    assert found.command == ()
    return found.key.reveal() if found.key else None


def key_file(directory: Path, content: bytes = b"sk-file\n", mode: int = 0o600) -> str:
    file = directory / "key"
    file.write_bytes(content)
    file.chmod(mode)
    return str(file)


def test_a_secret_is_never_shown() -> None:
    secret = Secret("sk-1")
    assert f"{secret} {secret!r} {[secret]} {Credential(secret)}".count("sk-1") == 0
    assert not Secret("")


def test_where_the_key_is_looked_for(tmp_path: Path) -> None:
    file = key_file(tmp_path)
    (tmp_path / "openai_api_key").write_text("sk-credential\n")
    env = {"OPENAI_API_KEY": " sk-env "}
    assert key() is None
    assert key({"OPENAI_API_KEY": ""}) is None
    assert key(env) == "sk-env"
    assert key({"MINE": "sk-mine"}, api_key_env="MINE") == "sk-mine"
    env["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert key(env) == "sk-credential"
    assert key(env, api_key_file=file) == "sk-file"


def test_each_provider_has_its_own_variable_and_credential(tmp_path: Path) -> None:
    """Or the key of one would go to another."""
    env = {"OPENAI_API_KEY": "sk-openai", "AZURE_OPENAI_API_KEY": "azure", "CREDENTIALS_DIRECTORY": str(tmp_path), "XAI_KEY": "xai"}
    assert key(env, provider="azure") == "azure"
    assert key({"OPENAI_API_KEY": "sk-openai"}, provider="azure") is None
    (tmp_path / "openai_api_key").write_text("sk-credential")
    assert key(env, provider="azure") == "azure"
    assert key(env, api_key_env="XAI_KEY") == "xai"
    (tmp_path / "xai_key").write_text("xai-credential")
    assert key(env, api_key_env="XAI_KEY") == "xai-credential"


@pytest.mark.parametrize("provider", ["compatible", "embedded"])
def test_a_server_of_anybody_s_gets_no_key_that_was_not_meant_for_it(tmp_path: Path, provider: str) -> None:
    (tmp_path / "openai_api_key").write_text("sk-credential")
    env = {"OPENAI_API_KEY": "sk-openai", "AZURE_OPENAI_API_KEY": "azure", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert key(env, provider=provider) is None
    assert find_api_key(configured(provider=provider), env).source == "none"
    assert key(env, provider=provider, api_key_env="OPENAI_API_KEY") == "sk-credential"
    assert key(env, provider=provider, api_key_file=key_file(tmp_path)) == "sk-file"
    assert [key(env, provider=name) for name in ("auto", "openai", "azure")] == ["sk-credential", "sk-credential", "azure"]


def test_a_key_in_the_place_of_a_program_is_not_told() -> None:
    source = find_api_key(configured(api_key_command=("sk-never-seen",)), {}).source
    assert source == "the program, for each connection anew"


def test_a_key_that_begins_with_a_slash_is_not_printed_either() -> None:
    with pytest.raises(ConfigInvalid, match=r"realtime\.api_key_file can't be used: No such file") as caught:
        key(api_key_file="/sk-never-seen")
    assert "sk-never" not in caught.value.message


def test_a_program_is_named_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    found = find_api_key(configured(api_key_command=("touch", str(trace))), {"OPENAI_API_KEY": "sk-env"})
    assert found == (None, ("touch", str(trace)), "the program 'touch', for each connection anew")
    assert found
    assert not trace.exists()
    assert not Credential()


def test_the_source_is_named_for_people(tmp_path: Path) -> None:
    file = key_file(tmp_path)
    sources = [find_api_key(configured(**values), {"OPENAI_API_KEY": "sk"}).source for values in ({}, {"api_key_file": file})]
    assert sources == ["the environment variable OPENAI_API_KEY", f"the file {file}"]
    assert find_api_key(configured(), {}).source == "none"


@pytest.mark.parametrize(
    ("content", "mode", "complaint"),
    [
        (b"sk-1", 0o640, "chmod 600"),
        (b"sk-1", 0o604, "chmod 600"),
        (b" \n", 0o600, "is empty"),
        (b"sk 1", 0o600, "more than a key"),
        (b"sk-1\nInjected: header", 0o600, "more than a key"),
        (b"\xff\xfe", 0o600, "not text"),
    ],
)
def test_key_files_that_are_refused(tmp_path: Path, content: bytes, mode: int, complaint: str) -> None:
    file = key_file(tmp_path, content, mode)
    with pytest.raises(ConfigInvalid, match=complaint) as caught:
        key(api_key_file=file)
    assert "sk" not in caught.value.message.replace(file, "")


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigInvalid, match="no regular file"):
            key(api_key_file=str(path))

    def of(mode: int, uid: int) -> os.stat_result:
        return os.stat_result((mode, 0, 0, 1, uid, 0, 0, 0, 0, 0))

    assert objection(of(stat.S_IFREG | 0o600, 1000), 1000) is None
    assert objection(of(stat.S_IFREG | 0o400, 0), 1000) is None
    assert objection(of(stat.S_IFREG | 0o600, 1001), 1000) == "it belongs to somebody else"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    file = key_file(tmp_path)
    os.chown(file, 12345, -1)
    with pytest.raises(ConfigInvalid, match="somebody else"):
        key(api_key_file=file)


def test_a_key_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="No such file"):
        key(api_key_file=str(tmp_path / "none"))


def test_a_key_in_the_place_of_its_file_is_not_printed() -> None:
    for mistaken in ("sk-never-to-be-seen", "c2stbmV2ZXI/dG8tYmUtc2Vlbg==", "sk-\0never", "~sk-never/x", "sk-" + "x" * 300):
        with pytest.raises(ConfigInvalid, match="is the name of a file") as caught:
            key(api_key_file=mistaken)
        assert mistaken not in caught.value.message


def test_a_header_can_t_be_smuggled_in_by_the_environment() -> None:
    with pytest.raises(ConfigInvalid, match="more than a key"):
        key({"OPENAI_API_KEY": "sk-1\nInjected: header"})


# tokens of MCP servers, and what children must not inherit ---------------------------------------------------------------


def test_the_token_of_an_mcp_server(tmp_path: Path) -> None:
    row = {"authorization_env": "", "authorization_file": ""}
    assert find_token("house", row, {"TOKEN": "t"}) is None
    found = find_token("house", row | {"authorization_env": "TOKEN"}, {"TOKEN": "t-env"})
    assert found
    assert found.reveal() == "t-env"
    found = find_token("house", row | {"authorization_file": key_file(tmp_path), "authorization_env": "TOKEN"}, {})
    assert found
    assert found.reveal() == "sk-file"
    with pytest.raises(ConfigInvalid, match=r"mcp.house.authorization_env names a variable that is not set") as caught:
        find_token("house", row | {"authorization_env": "SECRET_as_it_seems"}, {"SECRET_as_it_seems": " "})
    assert "SECRET" not in caught.value.message
    with pytest.raises(ConfigInvalid, match=r"mcp.house.authorization_file .*chmod 600"):
        find_token("house", row | {"authorization_file": key_file(tmp_path, mode=0o644)}, {})


def test_every_variable_that_may_hold_a_secret_is_known_under_every_profile() -> None:
    rows: dict[str, Any] = {
        "profiles": {"a": {"api_key_env": "A_KEY", "tools": ()}, "b": {}},
        "mcp": {"house": {"authorization_env": "HOUSE_TOKEN"}},
    }
    config = Config({"realtime.api_key_env": "MINE"}, "test", rows)
    expected = {"OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "MINE", "A_KEY", "HOUSE_TOKEN"}
    assert secret_variables(config) == expected
    assert secret_variables(config.with_profile("a")) == expected
    assert secret_variables(configured()) == {"OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"}
