from voiced.network.limits import INBOX_MESSAGES
from voiced.network.link.inbox import Inbox

STARTED = b'{"type":"input_audio_buffer.speech_started","item_id":"u"}'


def test_messages_keep_their_order_and_numbers() -> None:
    inbox = Inbox()
    assert [inbox.put(text) for text in (b"a", b"b")] == [False, False]
    assert inbox.take() == (1, b"a")
    inbox.put(b"c")
    assert (inbox.take(), inbox.take(), inbox.take()) == ((2, b"b"), (3, b"c"), None)
    assert inbox.received == 3


def test_a_speech_started_is_seen_at_once() -> None:
    inbox = Inbox()
    inbox.put(b"a")
    assert inbox.put(STARTED)
    assert inbox.received == 2
    assert inbox.put(b'{"event_id":"' + b"x" * 100 + b'",' + STARTED[1:])


def test_words_about_one_are_none() -> None:
    words = b'{"type":"response.output_text.delta","delta":"\\"input_audio_buffer.speech_started\\""}'
    assert not Inbox().put(words)


def test_a_flood_makes_the_server_wait() -> None:
    inbox = Inbox()
    while not inbox.full:
        inbox.put(bytes(8 << 20))
    assert len(inbox) == 5
    inbox.take()
    assert not inbox.full


def test_a_flood_of_small_ones_does_too() -> None:
    inbox = Inbox()
    while not inbox.full:
        inbox.put(b"")
    assert len(inbox) == INBOX_MESSAGES
    inbox.clear()
    assert not inbox.full
