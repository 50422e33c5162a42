from voiced.messages import Failed
from voiced.supervisor.member import Member
from voiced.supervisor.policy import Event
from voiced.supervisor.processes import Row


def member() -> Member:
    """One that was started, without a process."""
    made = Member(Row("network", "nowhere", lambda world: None), {}, lambda name: None)
    made.life.handle(Event.START, 0.0)
    return made


def test_an_excuse_gives_time_to_speak() -> None:
    made = member()
    made.excuse(100.0)
    assert made.life.deadline_s == 115.0


def test_one_that_is_held_needs_no_excuse() -> None:
    made = member()
    made.feed(Event.HELD, 1.0)
    made.excuse(100.0)
    assert made.life.deadline_s is None, "it still waits for its settings"


def test_what_lacks_something_of_the_machine() -> None:
    made = member()
    assert not made.lacks_something
    for code, lacks in (
        ("device_lost", True),
        ("device_unavailable", True),
        ("internal", False),
        ("key_refused", False),
        ("unheard", False),
    ):
        made.failure = Failed(code, "x")
        assert made.lacks_something is lacks
