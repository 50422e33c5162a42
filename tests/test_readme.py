"""README and program hold together. `python -m tests.test_readme` writes the table of settings anew."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from voiced.config import load
from voiced.control import COMMANDS
from voiced.keys import KEYS, TABLES, Key, Table
from voiced.supervisor.metrics import METRICS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_BY = r"voiced\.keys, by python -m tests\.test_readme -->\n"
_SETTINGS = re.compile(rf"(?<=<!-- settings: from {_BY}).*?(?=<!-- end of settings -->)", re.DOTALL)
_TABLES = re.compile(rf"(?<=<!-- tables: from {_BY}).*?(?=<!-- end of tables -->)", re.DOTALL)
_METRICS = re.compile(
    r"(?<=<!-- metrics: from voiced\.supervisor\.metrics, by python -m tests\.test_readme -->\n).*?(?=<!-- end of metrics -->)", re.DOTALL
)
_LONG = 40


def settings_table() -> str:
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *map(_line, KEYS.values()), ""])


def tables_table() -> str:
    lines = [line for table in TABLES.values() for line in _of_table(table)]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *lines, ""])


def metrics_table() -> str:
    return "\n".join(
        ["| metric | kind | what it is |", "|---|---|---|", *(f"| `{name}` | {kind} | {doc} |" for name, kind, doc, _ in METRICS), ""]
    )


def _of_table(table: Table) -> list[str]:
    as_before = [key.name for key in table.keys.values() if key.default is None and f"realtime.{key.name}" in KEYS]
    own = [_line(key) for key in table.keys.values() if key.name not in as_before]
    heading = f"| **`[{table.name}.NAME]`** | | **{table.doc}** |"
    return [heading, *([f"| {', '.join(f'`{name}`' for name in as_before)} | as in `[realtime]` | the same |"] if as_before else []), *own]


def _line(key: Key) -> str:
    return f"| `{key.name}` | {_default(key)} | {_meaning(key)} |"


def _default(key: Key) -> str:
    text = str(key.default).lower() if isinstance(key.default, bool) else str(key.default) if key.default not in ((), {}, None) else ""
    return f"`{text}`" if 0 < len(text) <= _LONG else "a few sentences" if text else "–"


def _meaning(key: Key) -> str:
    choices = [choice for choice in key.choices if choice != ""]
    if choices:
        return f"{key.doc} ({', '.join(f'`{choice}`' for choice in choices)})"
    if key.type in (int, float) and key.least is not None and key.most is not None:
        return f"{key.doc} ({key.least:g} to {key.most:.12g})"
    return key.doc


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


def test_the_tables_of_settings_are_the_program_s() -> None:
    for pattern, table in ((_SETTINGS, settings_table()), (_TABLES, tables_table()), (_METRICS, metrics_table())):
        found = pattern.search(README.read_text())
        assert found
        assert found[0] == table, "run: python -m tests.test_readme"


@pytest.mark.parametrize("shown", blocks("toml"))
def test_the_settings_shown_are_accepted(tmp_path: Path, shown: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(shown)
    assert load(file, env={}).source == str(file)


def test_the_settings_shown_make_use_of_every_table() -> None:
    shown = tomllib.loads("\n".join(blocks("toml")))
    assert set(TABLES) <= set(shown)
    assert "\n[audio.capture]\n" in README.read_text()


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines() if line.startswith("voicectl ")])
def test_the_commands_shown_exist(line: str) -> None:
    words = [word for word in shlex.split(line.split("|")[0], comments=True)[1:] if not word.startswith("--")]
    assert words[0].replace("-", "_") in {*COMMANDS, "events", "doctor", "logs"}


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_shown_is_python(block: str) -> None:
    compile(block, "README.md", "exec")


def test_the_paths_shown_exist() -> None:
    shown = re.findall(r"(?:^|`)((?:systemd|tests|voiced)/[\w./]+)", README.read_text(), re.MULTILINE)
    assert {"systemd/install", "tests/run"} <= set(shown)
    assert [path for path in shown if not (ROOT / path).exists()] == []


def _write() -> None:
    text = _SETTINGS.sub(lambda _: settings_table(), README.read_text())
    text = _TABLES.sub(lambda _: tables_table(), text)
    README.write_text(_METRICS.sub(lambda _: metrics_table(), text))


if __name__ == "__main__":
    _write()
