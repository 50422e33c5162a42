import pytest

from voicectl.commands import WrongUsage, understand, without_json


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("status", ("status", {})),
        ("toggle-mute", ("toggle_mute", {})),
        ("toggle_mute", ("toggle_mute", {})),
        ("say hello there", ("say", {"text": "hello there"})),
        ("transcript", ("transcript", {})),
        ("transcript 5", ("transcript", {"limit": 5})),
        ("talk press", ("talk", {"pressed": True})),
        ("talk release", ("talk", {"pressed": False})),
        ("record on", ("record", {"on": True})),
        ("record off", ("record", {"on": False})),
        ("approve a1", ("approve", {"approval_id": "a1"})),
        ("approve a1 yes", ("approve", {"approval_id": "a1", "approved": True})),
        ("approve a1 no", ("approve", {"approval_id": "a1", "approved": False})),
        ("say -5 degrees", ("say", {"text": "-5 degrees"})),
        ("say use --json please", ("say", {"text": "use --json please"})),
        ("ask what is -h", ("ask", {"text": "what is -h"})),
        ("tool-result c1 -5", ("tool_result", {"call_id": "c1", "output": "-5"})),
        ("tool-result c1 it is raining", ("tool_result", {"call_id": "c1", "output": "it is raining"})),
        ("profile", ("profile", {})),
        ("profile work", ("profile", {"name": "work"})),
        ("restart capture", ("restart", {"process": "capture"})),
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
        ("talk", r"press\|release is missing"),
        ("talk down", r"press\|release is whether"),
        ("approve a1 perhaps", r"yes\|no is whether"),
        ("tool-result c1", "OUTPUT is missing"),
        ("status --nonsense", "status takes no '--nonsense'"),
        ("events --json state", "no events begin with '--json'"),
        ("events fly", "no events begin with 'fly'"),
    ],
)
def test_wrong_words(line: str, complaint: str) -> None:
    with pytest.raises(WrongUsage, match=complaint):
        understand(line.split())


def test_an_output_may_be_empty() -> None:
    assert understand(["tool-result", "c1", ""]) == ("tool_result", {"call_id": "c1", "output": ""})


@pytest.mark.parametrize(
    ("line", "expected", "as_json"),
    [
        ("status", "status", False),
        ("status --json", "status", True),
        ("say hello --json", "say hello", True),
        ("say use --json please", "say use --json please", False),
        ("say -- the option is --json", "say the option is --json", False),
        ("say a -- b", "say a -- b", False),
        ("--json", "--json", False),
        ("", "", False),
    ],
)
def test_json_is_asked_for_by_the_last_word(line: str, expected: str, as_json: bool) -> None:
    assert without_json(line.split()) == (expected.split(), as_json)
