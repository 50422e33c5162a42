"""The scripted Realtime server, against the WebSocket client that voiced uses."""

import threading
import time
from collections.abc import Iterator

import pytest
import websocket

from tests.scripted_server import Manner, ScriptedServer
from voiced.network import events


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[websocket.WebSocket]:
    connected = connect(server)
    server.wait_for_client()
    yield connected
    connected.close()
    connected.shutdown()  # type: ignore[no-untyped-call]  # partly typed; closes the socket even where the server hung up first


def connect(server: ScriptedServer) -> websocket.WebSocket:
    return websocket.create_connection(f"{server.url}?model=m", timeout=5, header=["Authorization: Bearer k"])


def heard(client: websocket.WebSocket) -> events.ServerEvent | events.Unknown:
    return events.decode_server(client.recv())


def test_it_greets_and_answers_an_update(server: ScriptedServer, client: websocket.WebSocket) -> None:
    assert isinstance(heard(client), events.SessionCreated)
    client.send(events.encode(events.SessionUpdate(session={"type": "realtime", "instructions": "be brief"})))
    updated = heard(client)
    assert isinstance(updated, events.SessionUpdated)
    assert updated.session["instructions"] == "be brief"
    assert server.requests[0].path == "/v1/realtime?model=m"
    assert server.requests[0].headers["authorization"] == "Bearer k"


def test_client_events_are_kept_with_their_time(server: ScriptedServer, client: websocket.WebSocket) -> None:
    before_ns = time.monotonic_ns()
    client.send(events.encode(events.InputAudioAppend(audio=bytes(100_000))))
    received = server.until(lambda event: isinstance(event, events.InputAudioAppend))
    assert isinstance(received.event, events.InputAudioAppend)
    assert len(received.event.audio) == 100_000
    assert before_ns < received.mono_ns < time.monotonic_ns()
    with pytest.raises(TimeoutError):
        server.until(lambda event: isinstance(event, events.ResponseCreate), timeout_s=0.05)


def test_a_reply_arrives_whole_and_in_order(server: ScriptedServer, client: websocket.WebSocket) -> None:
    pcm = bytes(range(256)) * 200
    heard(client)
    reply = server.begin_reply()
    server.send_audio(reply, pcm)
    server.end_reply(reply)
    got: list[events.ServerEvent | events.Unknown] = []
    while not got or not isinstance(got[-1], events.ResponseDone):
        got.append(heard(client))
    assert b"".join(event.delta for event in got if isinstance(event, events.OutputAudioDelta)) == pcm
    assert [type(event).__name__ for event in got[:4]] == ["ResponseCreated", "OutputItemAdded", "ItemAdded", "ContentPartAdded"]
    assert len({event.event_id for event in got if isinstance(event, events.ServerEvent)}) == len(got)


def test_the_flood_keeps_its_rate(server: ScriptedServer, client: websocket.WebSocket) -> None:
    heard(client)
    with server.flood(per_second=2000):
        start = time.monotonic()
        for _ in range(400):
            client.recv()
        rate = 400 / (time.monotonic() - start)
    assert 500 < rate < 8000


def test_a_roundtrip_ends_when_the_client_has_read_all(server: ScriptedServer, client: websocket.WebSocket) -> None:
    with pytest.raises(TimeoutError):
        server.roundtrip(timeout_s=0.05)
    reader = threading.Thread(target=client.recv_data)  # the greeting, then the pings until something else comes
    heard(client)
    reader.start()
    server.roundtrip()
    server.send_text(b"enough")
    reader.join()


def test_the_upgrade_can_be_refused() -> None:
    with ScriptedServer(Manner(refuse=401, refusal_body=b'{"error":{}}')) as server:
        client = websocket.WebSocket()
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            client.connect(server.url)  # type: ignore[no-untyped-call]  # websocket-client is only partly typed
        client.shutdown()  # type: ignore[no-untyped-call]  # likewise
        assert refused.value.status_code == 401
        assert server.connections == 0


def test_it_closes_with_a_code_and_hears_the_answer(server: ScriptedServer, client: websocket.WebSocket) -> None:
    heard(client)
    server.hang_up(1001, "going away")
    assert client.recv_data() == (8, b"\x03\xe9going away")
    assert server.wait_for_close() == (1000, "")  # websocket-client never echoes the code


def test_it_can_end_the_connection(server: ScriptedServer, client: websocket.WebSocket) -> None:
    heard(client)
    server.hang_up()
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        client.recv()


def test_it_can_reset_the_connection(server: ScriptedServer, client: websocket.WebSocket) -> None:
    heard(client)
    server.reset()
    with pytest.raises(ConnectionResetError):
        client.recv()


def test_it_can_be_started_anew_at_the_same_port(server: ScriptedServer, client: websocket.WebSocket) -> None:
    heard(client)
    server.close()
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        client.recv()
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    server.serve()
    second = connect(server)
    assert isinstance(heard(second), events.SessionCreated)
    server.wait_for_client(connection=2)
    second.close()


def test_its_sessions_live_as_long_as_they_say() -> None:
    with ScriptedServer(Manner(lifetime_s=12)) as server:
        client = connect(server)
        created = heard(client)
        client.close()
    assert isinstance(created, events.SessionCreated)
    assert created.session["expires_at"] - time.time() == pytest.approx(12, abs=2)


def test_a_silent_server_says_nothing() -> None:
    with ScriptedServer(Manner(greets=False)) as server:
        client = connect(server)
        client.settimeout(0.1)
        with pytest.raises(websocket.WebSocketTimeoutException):
            client.recv()
        client.close()


def test_a_second_client_is_the_one_talked_to(server: ScriptedServer, client: websocket.WebSocket) -> None:
    second = connect(server)
    server.wait_for_client(connection=2)
    assert isinstance(heard(second), events.SessionCreated)
    server.send_text(b"not JSON")
    assert second.recv() == "not JSON"
    second.close()
