"""The way to the server: `uplink` the connection of now and the next, `wire` an open WebSocket, `reach` the way through DNS,
proxies and TLS, `credentials` the key, `inbox` what was received, `reconnect` when to try again."""
