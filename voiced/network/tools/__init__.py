"""What the model calls: `calls` decides who answers and when the server is told, `approvals` the same for MCP servers, `programs`
runs those of the settings."""
