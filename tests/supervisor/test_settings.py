from pathlib import Path

import pytest

from voiced.errors import BadArgument, ConfigInvalid, NotNow
from voiced.supervisor.settings import Settings

PROFILES = '[profiles.work]\nvoice = "cedar"\n[profiles.home]\nlanguage = "de"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def settings(file: Path, text: str, **env: str) -> Settings:
    file.write_text(text)
    return Settings(file, env)


def test_what_is_wrong_at_the_start_is_no_matter_of_a_request(file: Path) -> None:
    with pytest.raises(ConfigInvalid):
        settings(file, "[realtime]\nspeed = 9.0\n")


def test_reload_tells_what_changed_of_keys_and_of_rows(file: Path) -> None:
    made = settings(file, "[tools.a]\n[tools.b]\n")
    file.write_text('[turn]\nsilence_ms = 600\n[tools.b]\ndescription = "B"\n[tools.c]\n')
    assert made.reload() == ["turn.silence_ms", "tools.a", "tools.b", "tools.c"]
    assert made.reload() == []


def test_a_refused_reload_changes_nothing_and_has_a_line_for_each_problem(file: Path) -> None:
    made = settings(file, '[realtime]\nlanguage = "de"\n')
    before = made.now
    file.write_text('[realtime]\nlanguage = "fr"\nspeed = 9.0\n[turn]\nsilence_ms = 1\n')
    with pytest.raises(NotNow) as caught:
        made.reload()
    assert len(caught.value.message.splitlines()) == 2
    assert made.now is before


def test_a_key_that_changed_in_its_file_is_a_change_and_is_not_shown(file: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-one")
    key.chmod(0o600)
    made = settings(file, f'[realtime]\napi_key_file = "{key}"\n')
    key.write_text("sk-two")
    assert made.reload() == ["key"]
    assert made.now.secrets == ["sk-two"]


def test_a_profile_lasts_over_a_reload_as_long_as_there_is_one_of_the_name(file: Path) -> None:
    made = settings(file, PROFILES)
    assert (made.now.profile, made.profiles) == (None, ["work", "home"])
    assert made.switch("work") == ["realtime.profile", "realtime.voice"]
    file.write_text(PROFILES + "[turn]\nsilence_ms = 600\n")
    assert made.reload() == ["turn.silence_ms"]
    assert (made.now.profile, made.now.config["realtime.voice"]) == ("work", "cedar")
    file.write_text("[turn]\nsilence_ms = 0\n")
    with pytest.raises(NotNow, match="at least 50"):
        made.reload()
    assert made.now.profile == "work"
    file.write_text('[profiles.home]\n[realtime]\nprofile = "home"\n')
    assert made.reload() == ["realtime.profile", "realtime.voice", "turn.silence_ms", "profiles.work", "profiles.home"]
    assert made.warnings() == ["there is no profile work any more; going by the profile home, as the settings say"]
    assert made.warnings() == []
    file.write_text(PROFILES)
    made.reload()
    assert (made.now.profile, made.profiles, made.warnings()) == (None, ["work", "home"], [])


def test_the_profile_to_begin_with_changes_with_the_file_unless_another_was_asked_for(file: Path) -> None:
    made = settings(file, PROFILES + '[realtime]\nprofile = "work"\n')
    assert made.now.profile == "work"
    file.write_text(PROFILES + '[realtime]\nprofile = "home"\n')
    made.reload()
    assert made.now.profile == "home"
    made.switch("none")
    made.reload()
    assert made.now.profile is None


def test_no_profile_of_that_name(file: Path) -> None:
    made = settings(file, PROFILES)
    with pytest.raises(BadArgument, match=r"work|home") as caught:
        made.switch("play")
    assert caught.value.field == "name"


def test_a_profile_that_lacks_its_key_is_refused_and_the_former_stays(file: Path) -> None:
    made = settings(file, PROFILES + '[profiles.cloud]\nprovider = "openai"\n')
    made.switch("work")
    with pytest.raises(NotNow, match="there is no key"):
        made.switch("cloud")
    assert made.now.profile == "work"
    made.reload()
    assert made.now.profile == "work"


def test_secrets_are_key_tokens_and_those_in_urls(file: Path) -> None:
    made = settings(
        file,
        '[mcp.a]\nurl = "https://a/mcp?t=of-the-house"\nauthorization_env = "TOKEN"\n'
        '[embedded]\nchat_url = "http://me:ollama@h/v1"\n[realtime]\nprovider = "compatible"\n'
        'api_key_env = "KEY"\nurl = "wss://h/v1?model=gpt-realtime-9&key=in-the-url"\n',
        KEY="sk-1",
        TOKEN="t-1",
        https_proxy="http://me:w%40rd@proxy:3128",
    )
    assert made.now.secrets == ["sk-1", "t-1", "in-the-url", "w%40rd", "w@rd", "ollama", "of-the-house"]


def test_verbose_is_debug_whatever_the_file_says(file: Path) -> None:
    made = settings(file, '[log]\nlevel = "error"\n')
    assert made.level == 40
    assert Settings(file, {}, verbose=True).level == 10
