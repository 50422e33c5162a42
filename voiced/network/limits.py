"""What a Realtime server may make us hold, tell and do: one table, for a server may send anything at any rate. Pure.

    limit                       of what                         beyond it
    LONGEST_MESSAGE_BYTES       one message, in fragments too   the connection is closed (1009)
    LONGEST_EVENT_BYTES         one event that is no sound      the event is ignored, and said to be once
    FRAMES_A_SECOND, _AT_ONCE   what is read                    the rest stays in the socket: the server waits
    INBOX_BYTES, _MESSAGES      what was read, not looked at    the same
    TOLD_A_SECOND, _AT_ONCE     published because of it         the server is hung up on (1008)
    UNSENT_BYTES                what it does not take           the connection is closed
    ANSWER_BYTES                its answer to the upgrade       the attempt has failed
    SOUND_AHEAD_MS              sound that was not heard yet    the reply is cut there, and cancelled
    KEPT_BYTES                  the same, for another playback  a reply further ahead ends with its playback process
    REPLIES, ITEMS, PARTS       replies and what they are of    the oldest silent reply is forgotten; items, parts are ignored
    TURNS, TURN_CHARS,          the transcript                  the oldest turns are forgotten, a turn's text is cut
      TRANSCRIPT_CHARS
    ERRORS_AT_ONCE, _EVERY_NS   errors of its that are told     counted, and said with the next one that is told
    AWAITED, EARLY              turns whose words are to come,  the oldest are not waited for; the newest are not kept
                                events of a session to come

A map that is passed on as it came is cut by `complaints.sane`, text for people by `quote`, tool calls by `tools.calls`, MCP's questions
by `tools.approvals`, turns that are owed an answer by `owed`, kept sound by `kept`, a recording by `recording.recorder`.

In all (`python -m tests.hostile` has measured +91 MiB and +92): the network process +150 MiB at the most, 40 of which are the inbox and
64 a message of 32 that is put together; playback +130 MiB, 86 of which are sound.
"""

from typing import Final

from voiced.messages import BYTES_PER_MS

_NS_PER_S: Final = 1_000_000_000

# the connection ------------------------------------------------------------------------------------------------------------

#: And so one frame: 8 minutes of sound, since some servers send an utterance whole (realtime-protocol 7.2).
LONGEST_MESSAGE_BYTES: Final = 32 << 20
#: A list of tools is the longest there is, some 100 KB. JSON grows twentyfold when it is decoded, and 1 MiB takes 20 ms.
LONGEST_EVENT_BYTES: Final = 1 << 20
#: A server was seen to send 2000 deltas of words a second; at this rate a flood costs a third of a core.
FRAMES_A_SECOND: Final = 3_000
#: Ten minutes of speech at once, in deltas of 20 ms and words to them.
FRAMES_AT_ONCE: Final = 50_000
#: A longer frame counts for several: 12 MB/s, 200 times as fast as it is spoken, and 200 MB at once.
FRAME_BYTES: Final = 4 << 10
#: Ten minutes of speech.
INBOX_BYTES: Final = 40 << 20
#: The number counts too: an order is answered when all that was received before it was looked at, and that takes 75 us each.
#: 17 minutes of speech in deltas of 250 ms.
INBOX_MESSAGES: Final = 4096
#: A turn of the conversation makes ten. One with a long text counts for several.
TOLD_A_SECOND: Final = 100
TOLD_CHARS: Final = 2_000
TOLD_AT_ONCE: Final = 1_000
#: A turn of a minute that is told again (kept.LONGEST_NS) is 4 MB at once.
UNSENT_BYTES: Final = 6 << 20
#: Headers, and the body of a refusal.
ANSWER_BYTES: Final = 64 << 10

# the conversation ------------------------------------------------------------------------------------------------------------

#: The longest reply there is has 32,000 tokens, which is 27 minutes (realtime-protocol 5.3), and all of it may come in a second.
SOUND_AHEAD_MS: Final = 30 * 60_000
#: Five minutes.
KEPT_BYTES: Final = 300_000 * BYTES_PER_MS
#: What a delta takes beside its sound, in playback: one of a single sample is not for nothing.
DELTA_BYTES: Final = 400
#: Void sound goes as fast as playback empties its socket.
VOID_A_SECOND_BYTES: Final = 20 << 20
#: More unfinished replies than any conversation holds at once. Each event looks at all of them.
REPLIES: Final = 128
#: Of all these replies; one reply has one or two.
ITEMS: Final = 512
PARTS: Final = 512
TURNS: Final = 1000
#: 27 minutes of speech have 40,000 letters.
TURN_CHARS: Final = 100_000
TRANSCRIPT_CHARS: Final = 2_000_000
#: Lines of the log and events, for whatever is wrong with the server.
ERRORS_AT_ONCE: Final = 8
ERRORS_EVERY_NS: Final = 10 * _NS_PER_S
AWAITED: Final = 64
EARLY: Final = 64
