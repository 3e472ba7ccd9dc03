"""Sockets of the switch that the daemon may not use, in words that say what to do."""

from __future__ import annotations

import socket

from vifd.safety import limits


def denied(path: str) -> str:
    """The sentence for a socket on which the kernel refuses the daemon."""
    return (
        f"permission denied on {path}: vifd may not write to it. Open vSwitch runs as root here: "
        "install the unit's drop-in openvswitch-as-root.conf, or give Open vSwitch a user and "
        "vifd its group (SupplementaryGroups=)"
    )


def why(remote: str, otherwise: str) -> str:
    """Why a database at ``unix:PATH`` cannot be had, where it is for want of a right."""
    kind, _, path = remote.partition(":")
    if kind != "unix":
        return otherwise
    try:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError as error:
        return limits.word(error) or otherwise
    with made as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except PermissionError:
            return denied(path)
        except OSError as error:
            return limits.word(error) or otherwise
    return otherwise
