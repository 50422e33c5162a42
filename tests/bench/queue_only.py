"""The design of the 2024 tutorials, as the baseline: threads, one queue, blocking writes, the queue emptied on speech_started.

    python -m tests.bench.queue_only URL FRAMES

One thread reads the WebSocket and cuts deltas into pieces of FRAMES, one takes piece after piece from the queue and
writes it to a PyAudio stream of as many frames per buffer. An interruption empties the queue; what PortAudio and the
sound server hold plays on. As fair as it can be made: UTF-8 is not checked, so no second of speech costs 26 ms.
"""

import base64
import contextlib
import json
import queue
import sys
import threading

import pyaudio
import websocket

_BYTES = 2


def main() -> None:
    url, frames = sys.argv[1], int(sys.argv[2])
    pieces: queue.Queue[bytes] = queue.Queue()
    audio = pyaudio.PyAudio()
    stream = audio.open(rate=24_000, channels=1, format=pyaudio.paInt16, output=True, frames_per_buffer=frames)
    connection = websocket.create_connection(url, skip_utf8_validation=True)
    threading.Thread(target=_play, args=(pieces, stream), daemon=True).start()
    _listen(connection, pieces, frames * _BYTES)


def _play(pieces: "queue.Queue[bytes]", stream: pyaudio.Stream) -> None:
    while True:
        stream.write(pieces.get())


def _listen(connection: websocket.WebSocket, pieces: "queue.Queue[bytes]", size: int) -> None:
    rest = b""
    while text := connection.recv():
        event = json.loads(text)
        if event["type"] == "response.output_audio.delta":
            rest += base64.b64decode(event["delta"])
            while len(rest) >= size:
                pieces.put(rest[:size])
                rest = rest[size:]
        elif event["type"] == "input_audio_buffer.speech_started":
            rest = b""
            with contextlib.suppress(queue.Empty):
                while True:
                    pieces.get_nowait()


if __name__ == "__main__":
    main()
