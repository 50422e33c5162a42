"""The way to the server: `uplink` the connection of now and the next, `connection` one of them, `wire` an open WebSocket, `frames` its
bytes, `connecting` its handshake, `reach` the way through DNS, proxies and TLS, `credentials` the key, `inbox` what was received,
`flow` how much of that may come, `reconnect` when to try again."""
