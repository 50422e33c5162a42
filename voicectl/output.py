"""Results and events as lines: for people, or as JSON for programs."""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from voiced.shown import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.client import Client, Event

Result = dict[str, Any]


def show(command: str, result: Result, *, as_json: bool) -> None:
    if as_json:
        _print(_json(result))
        return
    for line in _LINES.get(command, _plain)(result):
        _print(harmless(line))


def follow(client: Client, topics: Any, *, as_json: bool) -> None:
    """Prints events as they come; ends when the daemon does, by NotRunning."""
    with client.events(*topics) as events:
        for event in events:
            _print(_json(event._asdict()) if as_json else harmless(_event(event)))


def _print(line: str) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _json(value: object) -> str:
    import json  # zmq has loaded it already

    return json.dumps(value, default=repr)


# for people ----------------------------------------------------------------------------------------------------------


def _plain(result: Result) -> Iterator[str]:
    for name, value in result.items():
        yield f"{name.replace('_', ' ')}: {_value(value)}"


def _muted(result: Result) -> Iterator[str]:
    yield "microphone off" if result["muted"] else "microphone on"


def _interrupt(result: Result) -> Iterator[str]:
    if not result.get("interrupted"):
        yield "nothing was being said"
    elif result.get("played_ms") is None:
        yield "interrupted"
    else:
        yield f"interrupted after {_ms(result['played_ms'])}"


def _accepted(result: Result) -> Iterator[str]:
    yield "accepted"


def _volume(result: Result) -> Iterator[str]:
    yield f"volume {result['volume']} %"


def _wake(result: Result) -> Iterator[str]:
    yield "awake" if result.get("connected") else "waking up"


def _talk(result: Result) -> Iterator[str]:
    yield "listening to you" if result["pressed"] else "your turn is over"


def _record(result: Result) -> Iterator[str]:
    yield f"{'recording to' if result['recording'] else 'recorded'} {result['path']}" if result.get("path") else "not recording"


def _answered(result: Result) -> Iterator[str]:
    yield "accepted" if result["accepted"] else "too late: nobody waits for it"


def _reload(result: Result) -> Iterator[str]:
    yield "changed: " + (", ".join(result["changed"]) or "nothing")
    yield from _restarts(result)


def _restarts(result: Result) -> Iterator[str]:
    for process in result["restart"]:
        yield f"needs a restart: voicectl restart {process}"


def _profile(result: Result) -> Iterator[str]:
    if not result["profiles"]:
        yield "no profiles; a section [profiles.NAME] of the settings makes one"
    for name in result["profiles"]:
        yield f"{'*' if name == result['profile'] else ' '} {name}"
    yield from _restarts(result)


def _restart(result: Result) -> Iterator[str]:
    yield f"restarting {result['process']}"


def _stopping(result: Result) -> Iterator[str]:
    yield "stopping"


def _ping(result: Result) -> Iterator[str]:
    yield f"voiced {result['version']}, pid {result['pid']}"


def _status(status: Result) -> Iterator[str]:
    session, barge_in = status["session"], status["barge_in"]
    muted = ", microphone off" if status["muted"] and status["state"] != "muted" else ""
    mode = ", push to talk" if status["mode"] == "push_to_talk" else ""
    rows = [
        ("state", f"{status['state']}{muted}{mode}"),
        ("answering", _answering(session, asleep=status["state"] == "asleep")),
        ("microphone", _microphone(status["audio"]["capture"])),
        ("loudspeaker", _loudspeaker(status["audio"]["playback"])),
        ("barge-in", _barge_in(barge_in)),
        ("usage", _spent(status["usage"])),
        ("daemon", f"voiced {status['version']}, pid {status['pid']}, up {_duration(status['uptime_s'])}"),
        *(("trouble", trouble) for trouble in status.get("troubles", ())),
        *((f"  {process['name']}", _process(process)) for process in status["processes"]),
    ]
    for name, text in rows:
        yield f"{name:<13}{text}"


def _answering(session: Result, *, asleep: bool) -> str:
    parts = [session["provider"], session["model"], session["url"].split("?")[0]]
    if session["profile"]:
        parts.append(f"profile {session['profile']}")
    if session["connected"]:
        parts.append("connected")
        if session["expires_in_s"] is not None:
            parts.append(f"for {_duration(max(0, session['expires_in_s']))} more")
    else:
        parts += ["asleep" if asleep else "not connected", session["last_error"]]
    return ", ".join(part for part in parts if part)


def _device(audio: Result) -> str:
    if not audio["open"]:
        return "not open"
    behind = f" ({audio['endpoint']}{', in place of the one that is set' if audio['fallback'] else ''})" if audio["endpoint"] else ""
    return f"{audio['device']}{behind}" + (f", {audio['rate']} Hz" if audio["rate"] else "")


def _microphone(audio: Result) -> str:
    if not audio["open"]:
        return _device(audio)
    level = f", {audio['level_dbfs']:.0f} dBFS" if audio["level_dbfs"] is not None else ""
    asleep = "" if audio["listening"] else ", waits for the wake word"
    return _device(audio) + level + _echo(audio["echo"] or {}) + asleep + _count(audio["overruns"], "overrun")


def _echo(echo: Result) -> str:
    if echo.get("canceller") == "system":
        return ", echo cancelled by the sound server"
    known = echo.get("canceller") == "ours" and echo["converged"] and echo["erle_db"] is not None
    return f", echo {echo['erle_db']:.0f} dB lower" if known else ""


def _loudspeaker(audio: Result) -> str:
    if not audio["open"]:
        return _device(audio)
    queued = f", {_ms(audio['queued_ms'])} still to say" if audio["queued_ms"] else ""
    volume = f", {audio['volume']} %" if audio["volume"] != 100 else ""
    lowered = ", lowered" if audio["ducked"] else ""
    return _device(audio) + volume + queued + lowered + _count(audio["underruns"], "underrun")


def _barge_in(figures: Result) -> str:
    if not figures["count"]:
        return "no interruption yet"
    last, p50, p95, most = (f"{figures[name]:.1f}" for name in ("last_ms", "p50_ms", "p95_ms", "max_ms"))
    return f"silent after {last} ms; of {figures['count']} median {p50}, 95 % within {p95}, worst {most}"


def _spent(usage: Result) -> str:
    currency = usage["currency"]
    cap = f" of {usage['cap_usd']:g}" if usage["cap_usd"] else ""
    return f"{_money(usage['session'])} {currency} since the start, {_money(usage['today'])}{cap} {currency} today"


def _money(sums: Result) -> str:
    return f"{sums['usd']:.4f}" + (" or more" if sums["unpriced"] else "")


def _usage(usage: Result) -> Iterator[str]:
    for name, title in (("session", "since the start"), ("today", "today")):
        sums = usage[name]
        yield f"{title}: {_money(sums)} {usage['currency']}, {sums['responses']} responses, {sums['transcriptions']} transcriptions"
        heard, said = sums["input"], sums["output"]
        for kind in ("text", "audio", "image"):
            if heard[kind] or said.get(kind):
                yield f"  {kind:<12} {heard[kind]} tokens in, {heard[f'cached_{kind}']} of them cached; {said.get(kind, 0)} out"
        transcribed = sums["transcribed"]
        if transcribed["tokens"] or transcribed["seconds"]:
            yield f"  transcribed  {transcribed['tokens']} tokens, {_duration(transcribed['seconds'])}"
    yield f"daily cap: {usage['cap_usd']:g} {usage['currency']}" if usage["cap_usd"] else "daily cap: none (cost.daily_cap_usd)"
    yield f"prices: as of {usage['prices_as_of']}, where [prices] says nothing else; indicative"
    if usage["today"]["unpriced"]:
        yield f"of unknown price: {', '.join(usage['today']['unpriced'])}; add it to [prices]"


def _process(process: Result) -> str:
    restarts = _count(process["restarts"], "restart") + (f": {process['reason']}" if process.get("reason") else "")
    if process["pid"] is None:
        return f"{process['state']}{restarts}"
    figures = f"pid {process['pid']}, {process['rss_kib'] / 1024:.0f} MiB, {process['cpu_s']:.1f} s CPU"
    return f"{process['state']:<9} {figures}{restarts}"


def _devices(result: Result) -> Iterator[str]:
    for direction in ("input", "output"):
        rows = result.get(direction, [])
        yield f"{direction}:" if rows else f"{direction}: none"
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            mark = "*" if row.get("in_use") else " "
            facts = [f"{row['channels']} ch" if "channels" in row else "", f"{row['rate']} Hz" if "rate" in row else ""]
            facts += [row.get("host_api", ""), "default" if row.get("default") else ""]
            yield f" {mark} {row.get('number', ''):>3}  {row['name']:<{width}}  {', '.join(fact for fact in facts if fact)}".rstrip()


def _transcript(result: Result) -> Iterator[str]:
    if not result["turns"]:
        yield "nothing was said yet"
    for turn in result["turns"]:
        who = {"user": "you", "assistant": "voiced"}.get(turn.get("role", ""), turn.get("role", "?"))
        cut = ""
        if turn.get("interrupted"):
            played_ms = turn.get("played_ms")
            cut = "  [interrupted]" if played_ms is None else f"  [interrupted after {_ms(played_ms)}]"
        yield f"{who:>7}: {turn.get('text', '')}{cut}"


def _describe(result: Result) -> Iterator[str]:
    yield "commands:"
    for name, command in result["commands"].items():
        yield f"  {name:<14}{command['doc']}"
        for arg, facts in command["args"].items():
            yield f"  {'':<14}{arg} ({facts['type']}{'' if facts['required'] else ', optional'}): {facts['doc']}"
    yield "events:"
    for name, topic in result["events"].items():
        yield f"  {name:<22}{topic['doc']} {', '.join(topic['fields'])}"


def _event(event: Event) -> str:
    data = event.data
    if event.topic == "status":
        data = {"state": data["state"], "muted": data["muted"]}
    fields = "  ".join(f"{name}={_value(value)}" for name, value in data.items() if value is not None)
    return f"{time.strftime('%H:%M:%S', time.localtime(event.time))}  {event.topic:<20}  {fields}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value) if isinstance(value, dict | list) else str(value)


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def _duration(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _count(number: int, what: str) -> str:
    return f", {number} {what}{'s' if number > 1 else ''}" if number else ""


#: By command; what has no entry is printed field by field.
_LINES: dict[str, Callable[[Result], Iterator[str]]] = {
    "ping": _ping,
    "status": _status,
    "mute": _muted,
    "unmute": _muted,
    "toggle_mute": _muted,
    "interrupt": _interrupt,
    "ask": _accepted,
    "say": _accepted,
    "talk": _talk,
    "wake": _wake,
    "volume": _volume,
    "devices": _devices,
    "transcript": _transcript,
    "usage": _usage,
    "tool_result": _answered,
    "approve": _answered,
    "reload": _reload,
    "profile": _profile,
    "record": _record,
    "restart": _restart,
    "shutdown": _stopping,
    "describe": _describe,
}
