"""Every error that voiced tells anybody about: one tree, whose branches say whose fault it is.

    VoicedError
      SettingsError    the user's settings       config_invalid, runtime_dir_unusable, already_running, not_running, device_unknown,
                                                 key_refused, key_unavailable, url_invalid, host_unknown, host_refused
      PeerError        the Realtime server       server_unreachable, model_refused, quota_exhausted, session_refused, protocol_violated
      MachineError     this machine              device_unavailable, device_rate_refused, device_lost, socket_failed,
                                                 package_missing, resources_short, books_incomplete
      InternalError    us                        internal, child_died
      ControlError     a control request         the codes of the control contract

Each leaf has a stable `code` (seen in events, status and logs) and an `exit_status` (sysexits.h where one fits).
A message is one line and says what to do next. What is no VoicedError is a bug of ours and is reported as `internal`.
"""

from typing import ClassVar


class VoicedError(Exception):
    """An expected failure: one line for people, a code for programs."""

    code: ClassVar[str] = "internal"
    exit_status: ClassVar[int] = 70
    fault: ClassVar[str] = "voiced"
    #: Trying again cannot help until somebody changes something.
    fatal: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SettingsError(VoicedError):
    fault = "settings"
    exit_status = 78  # EX_CONFIG


class ConfigInvalid(SettingsError):
    code = "config_invalid"


class RuntimeDirUnusable(SettingsError):
    code = "runtime_dir_unusable"
    exit_status = 73  # EX_CANTCREAT


class AlreadyRunning(SettingsError):
    code = "already_running"
    exit_status = 75  # EX_TEMPFAIL: it may be gone in a moment


class NotRunning(SettingsError):
    """For clients: there is no daemon."""

    code = "not_running"
    exit_status = 69  # EX_UNAVAILABLE
    fatal = False


class DeviceUnknown(SettingsError):
    code = "device_unknown"


class KeyRefused(SettingsError):
    code = "key_refused"
    exit_status = 77  # EX_NOPERM


class KeyUnavailable(SettingsError):
    """The program that knows the key does not tell it now; it may later, when a keyring is unlocked."""

    code = "key_unavailable"
    exit_status = 77  # EX_NOPERM
    fatal = False


class UrlInvalid(SettingsError):
    code = "url_invalid"


class HostUnknown(SettingsError):
    """For clients: no daemon or machine of that name is known here."""

    code = "host_unknown"
    exit_status = 64  # EX_USAGE
    fatal = False


class HostRefused(SettingsError):
    """For clients: the daemon on another machine does not let us in."""

    code = "host_refused"
    exit_status = 77  # EX_NOPERM
    fatal = False


class PeerError(VoicedError):
    fault = "server"
    exit_status = 69  # EX_UNAVAILABLE


class ServerUnreachable(PeerError):
    code = "server_unreachable"
    fatal = False

    def __init__(self, message: str, *, nobody: bool = False) -> None:
        super().__init__(message)
        #: Nobody was reached whom another attempt could be too much for.
        self.nobody = nobody


class ModelRefused(PeerError):
    code = "model_refused"


class QuotaExhausted(PeerError):
    code = "quota_exhausted"


class SessionRefused(PeerError):
    code = "session_refused"


class ProtocolViolated(PeerError):
    code = "protocol_violated"
    exit_status = 76  # EX_PROTOCOL
    fatal = False


class MachineError(VoicedError):
    fault = "machine"
    exit_status = 71  # EX_OSERR


class DeviceUnavailable(MachineError):
    code = "device_unavailable"


class DeviceRateRefused(MachineError):
    code = "device_rate_refused"


class DeviceLost(MachineError):
    code = "device_lost"
    fatal = False


class SocketFailed(MachineError):
    code = "socket_failed"


class PackageMissing(MachineError):
    """A Python package that only some settings need."""

    code = "package_missing"


class ResourcesShort(MachineError):
    """Memory, descriptors or processes: there may be more in a moment."""

    code = "resources_short"
    fatal = False


class BooksIncomplete(MachineError):
    """What was said, or what it cost, can't be written down or counted; the conversation goes on."""

    code = "books_incomplete"
    fatal = False


class InternalError(VoicedError):
    code = "internal"


class ChildDied(InternalError):
    code = "child_died"


class ControlError(VoicedError):
    """A control request that is answered with an error; `field` names the argument at fault, if one is."""

    fault = "client"
    fatal = False

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class BadRequest(ControlError):
    code = "bad_request"


class UnsupportedVersion(ControlError):
    code = "unsupported_version"


class UnknownCommand(ControlError):
    code = "unknown_command"


class BadArgument(ControlError):
    code = "bad_argument"


class NotNow(ControlError):
    code = "not_now"


class Unavailable(ControlError):
    code = "unavailable"


class TimedOut(ControlError):
    code = "timeout"


class InternalControlError(ControlError):
    code = "internal"


def _leaves(branch: type[VoicedError]) -> list[type[VoicedError]]:
    below = branch.__subclasses__()
    return [leaf for sub in below for leaf in _leaves(sub)] if below else [branch]


#: code -> class, for errors that crossed a process boundary. Control codes apart: `internal` exists in both worlds.
BY_CODE: dict[str, type[VoicedError]] = {
    leaf.code: leaf
    for branch in (SettingsError, PeerError, MachineError, InternalError)
    for leaf in (branch, *_leaves(branch))
    if "code" in vars(leaf)
}
CONTROL_BY_CODE: dict[str, type[ControlError]] = {leaf.code: leaf for leaf in ControlError.__subclasses__()}
