"""What the server says no to, in the words of the API's `error` event."""

from voiced.network.events import ErrorDetail


class Refused(Exception):
    """A client event that can't be obeyed; nothing has changed. Codes: realtime-protocol 1.8."""

    def __init__(self, message: str, code: str | None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param

    def detail(self, event_id: str | None) -> ErrorDetail:
        """The body of the `error` event; `event_id` is that of the client event at fault, where it had one."""
        return ErrorDetail(type="invalid_request_error", code=self.code, message=self.message, param=self.param, event_id=event_id)
