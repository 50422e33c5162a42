import re
from typing import Any

import pytest

from tests.supervisor.test_status import PROVIDER
from voiced.supervisor.metrics import METRICS, Tally, exposition
from voiced.supervisor.policy import State
from voiced.supervisor.spending import Tally as Spent
from voiced.supervisor.status import Status

#: Of the format's description: a name, labels, a value.
_SAMPLE = re.compile(r'[a-z_]+(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)+\})? (\+Inf|-?\d+(\.\d+)?(e[+-]\d+)?)')


def status() -> dict[str, Any]:
    made = Status(PROVIDER, version="1", pid=1, now_s=0.0)
    for name in ("network", "capture", "playback"):
        made.process(name, State.READY, 7, 2, "", 0.0)
    made.ready("network", {})
    echo = {"canceller": "own", "erle_db": 12.5, "delay_ms": None, "drift_ppm": -3.0, "known": True}
    made.beat("capture", {"overruns": 4, "echo": echo, "muted": False})
    made.beat("playback", {"underruns": 3, "queued_ms": 1500})
    spent = Spent().shown({})
    return made.snapshot(10.0, {7: (1000, 1.5)}, {"session": spent, "today": spent})


def samples(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}


def test_every_line_is_of_the_format() -> None:
    for line in exposition(status(), Tally()).splitlines():
        assert line.startswith(("# HELP voiced_", "# TYPE voiced_")) or _SAMPLE.fullmatch(line), line


def test_every_metric_is_there_with_its_kind() -> None:
    text = exposition(status(), Tally())
    assert re.findall(r"# TYPE (\w+) (\w+)", text) == [(metric.name, metric.kind) for metric in METRICS]
    assert all(metric.name.endswith("_total") == (metric.kind == "counter") for metric in METRICS)


def test_what_status_says() -> None:
    found = samples(exposition(status(), Tally()))
    assert found["voiced_up"] == 1
    assert found['voiced_state{state="failed"}'] == 0
    assert sum(value for name, value in found.items() if name.startswith("voiced_state{")) == 1
    assert found['voiced_process_restarts_total{process="capture"}'] == 2
    assert found['voiced_process_resident_bytes{process="network"}'] == 1_024_000
    assert found['voiced_process_cpu_seconds_total{process="network"}'] == 1.5
    assert found["voiced_capture_overruns_total"] == 4
    assert found["voiced_playback_underruns_total"] == 3
    assert found["voiced_playback_queued_seconds"] == 1.5
    assert found["voiced_echo_return_loss_db"] == 12.5
    assert "voiced_echo_delay_seconds" not in found  # it is unknown, which is not 0


def test_barge_ins_make_a_histogram() -> None:
    tally = Tally()
    for latency_ms in (0.8, 1.0, 3.1, 5000.0):
        tally.count("flush", {"reason": "speech_started", "latency_ms": latency_ms})
    tally.count("flush", {"reason": "interrupt", "latency_ms": 1.0})  # not by voice
    tally.count("flush", {"reason": "local", "latency_ms": None})
    found = samples(exposition(status(), tally))
    name = "voiced_barge_in_latency_seconds"
    buckets = [found[f'{name}_bucket{{le="{bound}"}}'] for bound in ("0.001", "0.002", "0.005", "1", "+Inf")]
    assert buckets == [2, 2, 3, 3, 4]
    assert found[f"{name}_count"] == 4
    assert found[f"{name}_sum"] == pytest.approx(5.0049)
    assert found['voiced_flushes_total{reason="speech_started"}'] == 4


def test_a_server_makes_up_no_series() -> None:
    tally = Tally()
    for number in range(100):
        tally.count("error", {"code": f"made_up_{number}"})
        tally.count("response.done", {"status": f"made_up_{number}"})
        tally.count("flush", {"reason": ["a", "list"]})
    tally.count("error", {"code": "key_refused"})
    tally.count("turn", {"role": "user", "text": "what nobody is to know"})
    text = exposition(status(), tally)
    assert "made_up" not in text
    assert "nobody" not in text
    found = samples(text)
    assert found['voiced_errors_total{code="other"}'] == 100
    assert found['voiced_errors_total{code="key_refused"}'] == 1
    assert found['voiced_turns_total{role="user"}'] == 1


def test_labels_are_quoted() -> None:
    shown = status()
    shown["session"]["model"] = 'a "model"\nwith \\ in it'
    assert 'model="a \\"model\\"\\nwith \\\\ in it"' in exposition(shown, Tally())
