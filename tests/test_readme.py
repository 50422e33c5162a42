"""README and program hold together. `python -m tests.test_readme` writes the table of settings anew."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from voiced.config import KEYS, Key, load
from voiced.control import COMMANDS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_SETTINGS = re.compile(r"(?<=python -m tests\.test_readme -->\n).*?(?=<!-- end of settings -->)", re.DOTALL)
_LONG = 40


def settings_table() -> str:
    rows = [f"| `{key.name}` | {_default(key)} | {_meaning(key)} |" for key in KEYS.values()]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows, ""])


def _default(key: Key) -> str:
    text = str(key.default)
    return f"`{text}`" if 0 < len(text) <= _LONG else "a few sentences" if text else "–"


def _meaning(key: Key) -> str:
    if key.choices:
        return f"{key.doc} ({', '.join(f'`{choice}`' for choice in key.choices)})"
    if key.type in (int, float) and key.least is not None and key.most is not None:
        return f"{key.doc} ({key.least:g} to {key.most:g})"
    return key.doc


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


def test_the_table_of_settings_is_the_program_s() -> None:
    found = _SETTINGS.search(README.read_text())
    assert found
    assert found[0] == settings_table(), "run: python -m tests.test_readme"


def test_the_settings_shown_are_accepted(tmp_path: Path) -> None:
    (shown,) = blocks("toml")
    file = tmp_path / "config.toml"
    file.write_text(shown)
    assert tomllib.loads(shown)
    assert load(file, env={})["audio.capture.device"] == "Jabra"


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines() if line.startswith("voicectl ")])
def test_the_commands_shown_exist(line: str) -> None:
    words = [word for word in shlex.split(line.split("|")[0], comments=True)[1:] if not word.startswith("--")]
    assert words[0].replace("-", "_") in {*COMMANDS, "events"}


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_shown_is_python(block: str) -> None:
    compile(block, "README.md", "exec")


def test_the_paths_shown_exist() -> None:
    shown = re.findall(r"(?:^|`)((?:systemd|tests|voiced)/[\w./]+)", README.read_text(), re.MULTILINE)
    assert {"systemd/install", "tests/run"} <= set(shown)
    assert [path for path in shown if not (ROOT / path).exists()] == []


def _write() -> None:
    README.write_text(_SETTINGS.sub(lambda _: settings_table(), README.read_text()))


if __name__ == "__main__":
    _write()
