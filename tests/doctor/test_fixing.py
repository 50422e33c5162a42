"""Settings written into a file that people wrote."""

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.doctor import fixing
from voiced.errors import ConfigInvalid

BUFFER = {"audio.playback.buffer_ms": 150}

FILES = [
    "",
    "# nothing but a comment\n",
    "[audio.playback]\nbuffer_ms = 60\n",
    "[audio.playback] # the loudspeaker\nbuffer_ms = 60 # short\ndevice = 'null' # none\n",
    '[audio.playback]\ndevice = "x"\n\n[turn]\nmode = "vad"\n',
    "[audio]\nplayback.buffer_ms = 60\nframe_ms = 10\n",
    "audio.playback.buffer_ms = 60\n",
    "[audio]\nplayback = { buffer_ms = 60, device = 'null' }\n",
    "[audio.capture]\nrate = 48000\n[turn]\nmode = 'vad'\n",
    "[audio.capture]\nrate = 48000\n[turn]\nmode = 'vad'\n[audio.playback]\nrate = 48000\n",
    '[realtime]\ninstructions = """\n[audio.playback]\nbuffer_ms = 60\n"""\n',
    "[audio.playback]\r\nbuffer_ms = 60\r\n",
    "[audio]\nframe_ms = 10",
]


def with_settings(text: str, settings: dict[str, Any]) -> dict[str, Any]:
    tree = tomllib.loads(text)
    for name, value in settings.items():
        *path, last = name.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return tree


@pytest.mark.parametrize("text", FILES)
def test_however_it_is_written_only_the_setting_changes(text: str) -> None:
    assert tomllib.loads(fixing.edited(text, BUFFER)) == with_settings(text, BUFFER)


@pytest.mark.parametrize("text", FILES)
def test_comments_and_all_other_lines_stay(text: str) -> None:
    after = fixing.edited(text, BUFFER)
    left = iter(after.splitlines())
    assert all(line in left for line in text.splitlines() if "buffer_ms" not in line)
    if "# short" in text:
        assert "buffer_ms = 150 # short" in after


_SETTINGS = {
    "audio.capture.device": st.sampled_from(["", "null", 'a "quoted" \\ name', "größer"]),
    "audio.playback.buffer_ms": st.integers(20, 500),
    "audio.echo_cancellation": st.sampled_from(["auto", "on", "off"]),
    "barge_in.mode": st.sampled_from(["server", "duck", "local"]),
    "barge_in.threshold": st.floats(0.1, 0.95),
}


@given(st.sampled_from(FILES), st.fixed_dictionaries({}, optional=_SETTINGS))
def test_any_settings_into_any_file(text: str, settings: dict[str, Any]) -> None:
    assert tomllib.loads(fixing.edited(text, settings)) == with_settings(text, settings)


@pytest.mark.parametrize("text", ["[audio", "audio = 3\n", "[audio.playback]\na = 1\na = 2\n"])
def test_what_can_not_be_edited_is_told_to_be_done_by_hand(text: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"by hand: audio\.playback.buffer_ms = 150"):
        fixing.edited(text, BUFFER)


def test_the_diff_shows_what_changes(tmp_path: Path) -> None:
    shown = fixing.diff("# mine\n[audio.playback]\nbuffer_ms = 60\n", "# mine\n[audio.playback]\nbuffer_ms = 150\n", tmp_path)
    assert [line for line in shown if line[0] in "+-" and line[1] not in "+-"] == ["-buffer_ms = 60", "+buffer_ms = 150"]


def test_the_file_keeps_its_mode_and_leaves_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("old\n")
    path.chmod(0o640)
    assert fixing.write(path, "old\n", "new\n") == tmp_path / "config.toml.bak"
    assert (path.read_text(), (tmp_path / "config.toml.bak").read_text()) == ("new\n", "old\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["config.toml", "config.toml.bak"]


def test_a_copy_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path, before = tmp_path / "config.toml", tmp_path / "config.toml.bak"
    path.write_text("old\n")
    before.write_text("precious\n")
    assert fixing.write(path, "old\n", "new\n") == tmp_path / "config.toml.bak.1"
    assert fixing.write(path, "new\n", "newer\n") == tmp_path / "config.toml.bak.2"
    assert before.read_text() == "precious\n"
    assert [(tmp_path / f"config.toml.bak.{number}").read_text() for number in (1, 2)] == ["old\n", "new\n"]


def test_of_a_link_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles.toml", tmp_path / "config.toml"
    real.write_text("old\n")
    link.symlink_to(real)
    fixing.write(link, "old\n", "new\n")
    assert link.is_symlink()
    assert real.read_text() == "new\n"


def test_a_file_that_is_not_there_is_made_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "voiced" / "config.toml"
    assert fixing.write(path, "", "new\n") is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["config.toml"]


def test_what_somebody_wrote_meanwhile_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("theirs\n")
    with pytest.raises(ConfigInvalid, match="changed meanwhile"):
        fixing.write(path, "old\n", "new\n")
    assert path.read_text() == "theirs\n"


def test_a_directory_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "voiced").write_text("a file in the place of the directory")
    with pytest.raises(ConfigInvalid, match="can't"):
        fixing.write(tmp_path / "voiced" / "config.toml", "", "new\n")
