"""The network process: one conversation, over however many sessions with a Realtime server.

__main__.py      wiring and the poll loop
link/            the way to the server: sockets, TLS, proxies, keys, back-off
events.py        the Realtime wire, typed; shared with the embedded server
session.py       the conversation as a state machine without I/O (`interface.py`: what the process needs of one; `outputs.py`: what
                 it wants done); `orders.py` what people order, `faults.py` what the server complains of
conversation.py  its parts, each of which knows one thing:
                     line (greeting, hello, configure)      the session of now and the next one
                     turn (kept, owed)                      the user's half
                     voice (replies, bargein)               the assistant's half
                     responses                              the answers to ask for
                     transcript                             what was said
tools/           what the model calls, and who answers
recording/       what went over the wire, in a file
"""
