"""The option group ``[ovn]`` of agent.conf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from vifd.plugin.guest.options import MAX_QUEUES, TAP_OWNER
from vifd_ovn.jsonrpc import NO_TLS, Tls
from vifd_ovs.bridge.options import PORT_TIMEOUT

OPTIONS = (
    cfg.StrOpt(
        "rundir",
        default="/var/run/ovn",
        help="Where ovn-controller keeps its pid file and its control socket.",
    ),
    cfg.FloatOpt(
        "installed_timeout",
        default=5.0,
        min=0.1,
        max=300.0,
        help="Seconds that ovn-controller has to wire a port. After that the port is told to wait "
        "for OVN: device and switch port stay, and it is active as soon as OVN has wired it.",
    ),
    cfg.FloatOpt(
        "southbound_timeout",
        default=1.0,
        min=0.1,
        max=30.0,
        help="Seconds that OVN's southbound database has to answer when somebody asks why a port "
        "does not work, and before a port whose binding is not active is plugged. Nothing else "
        "waits for it.",
    ),
    cfg.StrOpt(
        "southbound_private_key",
        default="",
        help="Private key, a PEM file, for a southbound database at ssl:ADDRESS:PORT. Without the "
        "three files such a database is not read.",
    ),
    cfg.StrOpt(
        "southbound_certificate",
        default="",
        help="The certificate of that key, a PEM file.",
    ),
    cfg.StrOpt(
        "southbound_ca_cert",
        default="",
        help="Certificates of the authority that the database's own is signed by, a PEM file.",
    ),
    TAP_OWNER,
    MAX_QUEUES,
    PORT_TIMEOUT,
)


@dataclass(frozen=True)
class Settings:
    """The options, read once; times are in seconds."""

    rundir: str
    installed_timeout: float
    southbound_timeout: float
    tap_owner: int | None
    max_queues: int
    port_timeout: float
    tls: Tls = NO_TLS


def settings(conf: Any) -> Settings:
    """Read the option group."""
    return Settings(
        rundir=conf.rundir,
        installed_timeout=conf.installed_timeout,
        southbound_timeout=conf.southbound_timeout,
        tap_owner=conf.tap_owner,
        max_queues=conf.max_queues,
        port_timeout=conf.port_timeout,
        tls=Tls(conf.southbound_private_key, conf.southbound_certificate, conf.southbound_ca_cert),
    )
