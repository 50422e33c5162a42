"""What people and programs read."""

import json
import tomllib

import pytest

from voiced.doctor import show
from voiced.doctor.finding import Finding, Verdict, overall, recommended

LONG = "The delay from loudspeaker to microphone is not steady, and so the canceller has to learn the room anew again and again."
FINDINGS = [
    Finding("noise", Verdict.OK, "Quiet.", -62.5, "dBFS"),
    Finding("round trip", Verdict.WARNING, LONG, 60.0, "ms", "Use a cable."),
    Finding("key", Verdict.FAILED, "No key."),
]


def lines(width: int = 72, encoding: str = "utf-8") -> list[str]:
    return list(show.lines(FINDINGS, width=width, encoding=encoding))


def test_lines_are_aligned_and_fit() -> None:
    shown = lines()
    assert all(len(line) <= 72 for line in shown)
    column = shown[0].index("Quiet.")
    assert shown[0].startswith("✓ noise ")
    assert "-62.5 dBFS" in shown[0]
    assert [line[column] != " " and line[column - 1] == " " for line in shown] == [True] * len(shown)
    assert [line.strip() for line in shown if "→" in line] == ["→ Use a cable."]
    assert shown[-1] == "✗ key" + " " * (column - 5) + "No key."


def test_where_that_can_not_be_shown_it_is_ascii() -> None:
    shown = "\n".join(lines(encoding="ascii"))
    assert shown.isascii()
    assert [line[0] for line in shown.splitlines() if line[0] != " "] == ["+", "!", "x"]


def test_a_narrow_terminal_still_reads() -> None:
    assert max(map(len, lines(width=20))) < 72


def test_a_device_name_does_not_command_the_terminal() -> None:
    finding = Finding("microphone", Verdict.OK, "\x1b[2Jname opens.")
    assert "\x1b" not in "".join(show.lines([finding], width=80, encoding="utf-8"))


@pytest.mark.parametrize(
    ("verdicts", "text"), [("", "All is well."), ("w", "1 warning"), ("fww", "1 failed, 2 warnings"), ("o", "All is well.")]
)
def test_the_summary(verdicts: str, text: str) -> None:
    kinds = {"o": Verdict.OK, "w": Verdict.WARNING, "f": Verdict.FAILED}
    assert show.summary(Finding("x", kinds[letter], "") for letter in verdicts) == text


def test_settings_as_the_file_would_have_them() -> None:
    settings = {
        "audio.capture.device": 'a "b" \\c',
        "barge_in.threshold": 0.7,
        "audio.capture.hard_mute": True,
        "audio.playback.buffer_ms": 150,
    }
    assert tomllib.loads("\n".join(show.as_toml(settings))) == {
        "audio": {"capture": {"device": 'a "b" \\c', "hard_mute": True}, "playback": {"buffer_ms": 150}},
        "barge_in": {"threshold": 0.7},
    }


def test_the_worst_verdict_counts_and_the_first_setting() -> None:
    assert overall(FINDINGS) is Verdict.FAILED
    assert overall(FINDINGS[:2]) is Verdict.WARNING
    assert overall([]) is Verdict.OK
    first, second = (Finding("x", Verdict.WARNING, "", settings={"audio.playback.volume": volume}) for volume in (50, 70))
    assert recommended([first, second]) == {"audio.playback.volume": 50}


def test_a_finding_as_json() -> None:
    told = json.loads(json.dumps(FINDINGS[1].as_map()))
    assert (told["name"], told["verdict"], told["figure"], told["unit"], told["remedy"]) == (
        "round trip",
        "warning",
        60.0,
        "ms",
        "Use a cable.",
    )
