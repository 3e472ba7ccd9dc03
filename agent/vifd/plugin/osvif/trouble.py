"""What a classic plugin raises, as an error with a code."""

from __future__ import annotations

import errno

from vifd.errors import (
    BackendError,
    BackendUnavailable,
    DeviceError,
    PrivilegeMissing,
    VifError,
)

_DENIED = (errno.EPERM, errno.EACCES)
#: Classes of libraries that a plugin may or may not use, by name: none of them is imported here.
_UNREACHABLE = frozenset({"TimeoutException", "TimeoutError", "ConnectionError"})


def known(error: BaseException, plugin: str, verb: str, device: str) -> VifError:
    """The error for an exception of ``plugin`` in ``verb``; the exception is its cause."""
    if isinstance(error, VifError):
        return error
    found = _known(error, plugin, verb, device)
    found.__cause__ = error
    return found.at(f"os-vif {verb}")


def _known(error: BaseException, plugin: str, verb: str, device: str) -> VifError:
    backend = f"os-vif plugin {plugin}"
    names = {cls.__name__ for cls in type(error).__mro__}
    number = _number(error, names)
    if number in _DENIED:
        return PrivilegeMissing(facts={"action": f"{verb} {device or 'the port'}: {error}"})
    if "ProcessExecutionError" in names:
        return BackendError(facts={"backend": backend, "problem": _command(error)})
    if names & _UNREACHABLE:
        return BackendUnavailable(facts={"backend": backend, "problem": str(error)})
    if number is not None or "NetworkInterfaceNotFound" in names:
        return DeviceError(facts={"device": device, "problem": str(error)})
    problem = f"{type(error).__name__}: {error}"
    return BackendError(facts={"backend": backend, "problem": problem})


def _number(error: BaseException, names: set[str]) -> int | None:
    """The number of an error of the kernel."""
    if isinstance(error, OSError):
        return error.errno
    if "NetlinkError" in names:
        code = getattr(error, "code", None)
        return code if isinstance(code, int) else None
    return None


def _command(error: BaseException) -> str:
    command = getattr(error, "cmd", "a command")
    lines = str(getattr(error, "stderr", "") or error).strip().splitlines()
    code = getattr(error, "exit_code", "?")
    return f"{command} ended with {code}: {lines[-1] if lines else 'no words'}"
