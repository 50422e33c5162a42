from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.supervisor.policy import NEXT, Action, Event, IllegalEvent, Lifecycle, Limits, State

LIMITS = Limits(silent_start_s=15, silent_s=3, delays_s=(0.0, 0.5, 1.0), stable_s=20, terminate_after_s=0.7, kill_after_s=0.5)


def started(at_s: float = 0.0) -> Lifecycle:
    life = Lifecycle(LIMITS)
    assert life.handle(Event.START, at_s) == (Action.SPAWN,)
    return life


def ready(at_s: float = 0.0) -> Lifecycle:
    life = started(at_s)
    life.handle(Event.READIED, at_s)
    return life


def test_a_ready_process_must_speak_within_the_limit() -> None:
    life = ready(at_s=10)
    assert (life.state, life.deadline_s) == (State.READY, 13)
    life.handle(Event.SPOKE, 12)
    assert life.deadline_s == 15
    assert life.handle(Event.DUE, 15) == (Action.KILL,)
    assert life.deadline_s is None, "killed once, not again and again"
    life.handle(Event.SPOKE, 15.1)
    assert life.deadline_s is None, "what a killed one still said changes nothing"


def test_alive_is_not_ready_and_may_take_its_time() -> None:
    life = started()
    for at_s in (14, 28, 42):
        life.handle(Event.SPOKE, at_s)
    assert (life.state, life.deadline_s) == (State.STARTING, 57)


def test_one_that_waits_for_its_settings_may_be_silent() -> None:
    life = started()
    life.handle(Event.HELD, 0)
    assert life.deadline_s is None
    life.handle(Event.SPOKE, 100)
    assert life.deadline_s == 115


def test_restarts_back_off_and_end() -> None:
    life = ready()
    waits = []
    at_s = 1.0
    while life.state is not State.GIVEN_UP:
        life.handle(Event.DIED, at_s)
        if life.deadline_s is not None:
            waits.append(life.deadline_s - at_s)
            at_s = life.deadline_s
            assert life.handle(Event.DUE, at_s) == (Action.SPAWN,)
            life.handle(Event.READIED, at_s)
    assert waits == [0.0, 0.5, 1.0]
    assert life.restarts == 3


def test_one_that_lacks_its_device_is_never_given_up() -> None:
    life = ready()
    waits, at_s = [], 1.0
    for _ in range(6):
        life.handle(Event.LOST, at_s)
        assert life.deadline_s is not None
        waits.append(life.deadline_s - at_s)
        at_s = life.deadline_s
        assert life.handle(Event.DUE, at_s) == (Action.SPAWN,)
    assert waits == [0.0, 0.5, 1.0, 2.0, 2.0, 2.0]
    life.handle(Event.DIED, at_s)
    assert life.deadline_s == at_s, "its restarts after a crash are all left"


@pytest.mark.parametrize(("ready_for_s", "wait_s"), [(1.9, 0.5), (2.0, 0.0)])
def test_a_device_that_was_there_for_a_moment_is_no_flapping_one(ready_for_s: float, wait_s: float) -> None:
    life = ready()
    life.handle(Event.LOST, 1.0)
    life.handle(Event.DUE, 1.0)
    life.handle(Event.READIED, 3.0)
    life.handle(Event.LOST, 3.0 + ready_for_s)
    assert life.deadline_s == 3.0 + ready_for_s + wait_s


@pytest.mark.parametrize(("ready_for_s", "wait_s"), [(19.9, 0.5), (20.0, 0.0)])
def test_only_a_stable_process_gets_its_restarts_back(ready_for_s: float, wait_s: float) -> None:
    life = ready()
    life.handle(Event.DIED, 1)
    life.handle(Event.DUE, 1)
    life.handle(Event.READIED, 2)
    life.handle(Event.DIED, 2 + ready_for_s)
    assert life.deadline_s == pytest.approx(2 + ready_for_s + wait_s)


def test_a_replaced_process_is_not_to_blame() -> None:
    life = ready()
    for _ in range(10):
        assert life.handle(Event.REPLACE, 1) == (Action.ASK,)
        life.handle(Event.DIED, 1.1)
        assert (life.state, life.deadline_s) == (State.BACKOFF, 1.1)
        life.handle(Event.DUE, 1.1)
        life.handle(Event.READIED, 1.2)


@pytest.mark.parametrize("state", [State.BACKOFF, State.GIVEN_UP])
def test_one_that_waits_or_was_given_up_is_started_at_once_where_somebody_asks_for_it(state: State) -> None:
    life = ready()
    at_s = 1.0
    life.handle(Event.DIED, at_s)
    while life.state is not state:
        assert life.deadline_s is not None
        at_s = life.deadline_s
        life.handle(Event.DUE, at_s)
        life.handle(Event.DIED, at_s)
    assert life.handle(Event.REPLACE, at_s) == (Action.SPAWN,)
    life.handle(Event.DIED, at_s)
    assert life.deadline_s == at_s, "with all its restarts"


def test_to_ask_again_for_a_restart_gives_no_more_time_to_go() -> None:
    life = ready()
    life.handle(Event.REPLACE, 0)
    assert life.handle(Event.REPLACE, 0.5) == ()
    assert life.deadline_s == 0.7
    assert life.handle(Event.STOP, 0.6) == (Action.ASK,), "the end of all is another thing"


def test_a_stop_presses_harder_within_two_seconds() -> None:
    life = ready()
    assert life.handle(Event.STOP, 0) == (Action.ASK,)
    assert life.deadline_s == 0.7
    assert life.handle(Event.DUE, 0.7) == (Action.TERMINATE,)
    assert life.deadline_s == pytest.approx(1.2)
    assert life.handle(Event.DUE, 1.2) == (Action.KILL,)
    assert life.deadline_s is None
    life.handle(Event.DIED, 1.3)
    assert life.state is State.STOPPED


def test_one_that_still_loads_is_terminated_at_once() -> None:
    assert started().handle(Event.STOP, 0) == (Action.ASK, Action.TERMINATE)


def test_a_stop_during_the_wait_for_a_restart_needs_no_process() -> None:
    life = ready()
    life.handle(Event.DIED, 1)
    assert life.handle(Event.STOP, 1) == ()
    assert (life.state, life.deadline_s) == (State.STOPPED, None)


@pytest.mark.parametrize(("state", "event"), [pair for pair in product(State, Event) if pair not in NEXT])
def test_an_illegal_event_changes_nothing(state: State, event: Event) -> None:
    life = Lifecycle(LIMITS)
    life.state = state
    before = dict(vars(life))
    with pytest.raises(IllegalEvent):
        life.handle(event, 1.0)
    assert vars(life) == before


@given(st.lists(st.sampled_from(Event), max_size=60))
def test_whatever_happens_there_is_at_most_one_process(events: list[Event]) -> None:
    life, running, now_s = Lifecycle(LIMITS), False, 0.0
    for event in events:
        if (event in (Event.DIED, Event.LOST) and not running) or (event is Event.DUE and life.deadline_s is None):
            continue  # can't happen in the world
        now_s = max(now_s + 0.1, life.deadline_s or 0.0) if event is Event.DUE else now_s + 0.1
        try:
            actions = life.handle(event, now_s)
        except IllegalEvent:
            continue
        running = running and event not in (Event.DIED, Event.LOST)
        if Action.SPAWN in actions:
            assert not running
            running = True
        assert running == (life.state in (State.STARTING, State.READY, State.STOPPING))
