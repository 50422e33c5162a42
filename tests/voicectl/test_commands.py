import pytest

from voicectl.commands import WrongUsage, understand


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("status", ("status", {})),
        ("toggle-mute", ("toggle_mute", {})),
        ("toggle_mute", ("toggle_mute", {})),
        ("say hello there", ("say", {"text": "hello there"})),
        ("transcript", ("transcript", {})),
        ("transcript 5", ("transcript", {"limit": 5})),
        ("events", ("events", {"topics": []})),
        ("events state speech", ("events", {"topics": ["state", "speech"]})),
    ],
)
def test_words_to_a_command(line: str, expected: tuple[str, dict[str, object]]) -> None:
    assert understand(line.split()) == expected


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "which command"),
        ("fly", "no command 'fly'"),
        ("say", "TEXT is missing"),
        ("status now", "status takes no 'now'"),
        ("toggle-mute now", "toggle-mute takes no 'now'"),
        ("transcript five", "LIMIT is how many turns"),
        ("transcript 5 6", "takes no '6'"),
        ("events fly", "no events begin with 'fly'"),
    ],
)
def test_wrong_words(line: str, complaint: str) -> None:
    with pytest.raises(WrongUsage, match=complaint):
        understand(line.split())
