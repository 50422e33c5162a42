"""The parent process: starts the others, watches them, restarts what dies, owns control and events, talks to systemd.

`policy` and `status` decide and are pure, `processes` and `provider` say what is started with which settings, `spawn`,
`runtime`, `notify`, `log` and `server` touch the system, `instruments` (`metrics`, `scrapes`, `flights`) show how all of it does,
`supervisor` wires them. Imports no sound, websocket or numeric code.
"""
