"""Talk to a running voiced: `voicectl` in a shell, `voicectl.Client` in Python.

with voicectl.Client() as client:
    client.ask("What time is it?")
    with client.events("transcript.assistant") as events:
        for event in events:
            print(event.data["text"])

`voicectl.Client(host="kitchen")` talks to the daemon on another machine.
"""

from voicectl.client import Client, Event, Events

__all__ = ["Client", "Event", "Events"]
