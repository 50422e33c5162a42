"""What people and the supervisor order the conversation to do: one method a command. Pure."""

from collections.abc import Callable
from typing import Any

from voiced.errors import NotNow
from voiced.messages import MonoNs, Order
from voiced.network import responses
from voiced.network.conversation import Conversation
from voiced.network.hello import Phase
from voiced.network.outputs import Answered, Record, Refused
from voiced.network.turn import PUSH_TO_TALK

#: More than anybody wants to listen to.
_MOST_WAITING = 32


class Orders:
    """Carries them out; `received` is the number of the newest server event that was received by then."""

    def __init__(self, conversation: Conversation) -> None:
        self._talk = talk = conversation
        self._commands: dict[str, Callable[[Order, int, MonoNs], None]] = {
            "interrupt": self._interrupt,
            "transcript": lambda order, received, now: self._answer(order, turns=talk.transcript.last(order.args["limit"])),
            "ask": self._ask,
            "say": self._say,
            "talk": self._push_to_talk,
            "wake": self._wake,
            "tool_result": lambda order, received, now: talk.calls.result(order, now),
            "approve": lambda order, received, now: talk.calls.approve(order, now),
            "record": lambda order, received, now: talk.out.add(Record(order, order.args["on"])),
            "configure": self._configure,
            "budget": self._budget,
        }

    def obey(self, order: Order, received: int, now: MonoNs) -> None:
        try:
            command = self._commands.get(order.command)
            if command is None:
                raise NotNow(f"the network process does not know the command {order.command!r}")
            command(order, received, now)
        except NotNow as error:
            self._talk.out.add(Refused(order, error))

    def _answer(self, order: Order, **result: Any) -> None:
        self._talk.out.add(Answered(order, result))

    def _interrupt(self, order: Order, received: int, now: MonoNs) -> None:
        interruption, under_way = self._talk.stop_answer("interrupt", received, now)
        expected = self._talk.turn.given_up()
        if interruption is None:
            self._answer(order, interrupted=under_way or expected, item_id=None, played_ms=0)
        else:
            interruption.orders.append(order)

    def _ask(self, order: Order, received: int, now: MonoNs) -> None:
        talk = self._talk
        self._need_session()
        # A question in writing is a turn of the user's: it interrupts as a spoken one would.
        talk.voice.interrupt("ask", received, now)
        talk.calls.interrupted(now)
        item_id = talk.new_id()
        talk.said(talk.transcript.typed(item_id, order.args["text"]))
        talk.turn.typed(item_id, now)
        if talk.line.ready:
            talk.queue.add(responses.answer(talk.new_id()))
        self._answer(order, item_id=item_id)

    def _say(self, order: Order, received: int, now: MonoNs) -> None:
        self._need_session()
        if len(self._talk.queue) >= _MOST_WAITING:
            raise NotNow(f"{_MOST_WAITING} requests wait to be said already; `voicectl interrupt` forgets them")
        self._talk.queue.add(responses.say(order.args["text"], self._talk.new_id(), now))
        self._answer(order, queued=True)

    def _need_session(self) -> None:
        """Wakes one that is asleep. Raises NotNow where there is none, and none may come soon."""
        talk = self._talk
        if talk.phase is Phase.ASLEEP and not talk.exhausted:
            talk.wake()
        elif not talk.line.ready and not talk.woken:
            reason = f" ({talk.last_error})" if talk.last_error else ""
            raise NotNow(f"there is no session with the server{reason}; `voicectl status` shows when there is one")

    def _push_to_talk(self, order: Order, received: int, now: MonoNs) -> None:
        talk, turn, pressed = self._talk, self._talk.turn, order.args["pressed"]
        if turn.mode != PUSH_TO_TALK:
            raise NotNow('the server hears when you speak; for push-to-talk set turn.mode = "push_to_talk", then `voicectl reload`')
        if pressed and turn.muted:
            raise NotNow("the microphone is muted; `voicectl unmute` first")
        if pressed and talk.phase in (Phase.FAILED, Phase.ASLEEP):
            self._need_session()
        if pressed:
            talk.door.open(now)
        if pressed and not turn.pressed:
            talk.stop_answer("talk", received, now)
            turn.press(now, ready=talk.line.ready)
        elif not pressed and turn.pressed:
            turn.release(now, talk.new_id(), ready=talk.line.ready)
        self._answer(order, pressed=turn.pressed)

    def _wake(self, order: Order, received: int, now: MonoNs) -> None:
        if self._talk.phase is Phase.ASLEEP:
            self._need_session()
        self._talk.door.open(now)
        self._answer(order, connected=self._talk.line.ready)

    def _configure(self, order: Order, received: int, now: MonoNs) -> None:
        talk, settings = self._talk, order.args["settings"]
        talk.hide_secrets(settings)
        talk.line.configure(settings)
        talk.configured()
        if talk.exhausted and talk.phase is Phase.FAILED:
            talk.sleep(talk.exhausted, now, capped=True)
        elif not talk.line.ready and talk.phase is not Phase.ASLEEP:
            talk.wake()
        self._answer(order, moving=talk.settings != settings)

    def _budget(self, order: Order, received: int, now: MonoNs) -> None:
        talk = self._talk
        before, talk.exhausted = talk.exhausted, order.args["exhausted"]
        if talk.exhausted and talk.phase is not Phase.FAILED:
            talk.sleep(talk.exhausted, now, capped=True)
        elif before and talk.capped and talk.phase is Phase.ASLEEP:
            talk.wake()
        self._answer(order, asleep=talk.phase is Phase.ASLEEP)
