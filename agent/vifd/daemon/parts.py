"""What the daemon is put together from, as the configuration says."""

from __future__ import annotations

import grp
import logging
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from oslo_config import cfg

from vifd import errors
from vifd.api.auth import Policy
from vifd.daemon import config
from vifd.drivers import Drivers
from vifd.drivers.bridging import Bridging as KernelBridging
from vifd.drivers.hearing import KernelHearing
from vifd.drivers.links import Links as KernelLinks
from vifd.drivers.nft.driver import Nft as KernelNft
from vifd.drivers.nft.objects import ANSWERED, TABLE
from vifd.drivers.openflow import LocalOpenFlow
from vifd.drivers.ovsdb import Ovsdb as LocalOvsdb
from vifd.drivers.tracer import LocalTracer
from vifd.engine import Settings
from vifd.engine.garbage import options as garbage_options
from vifd.guests import StartPolicy
from vifd.guests.booting import seconds_since_first_start
from vifd.migration.peers.peers import Settings as Peering
from vifd.negotiation.offering import Terms
from vifd.network import GROUP as NETWORK_GROUP
from vifd.network import NetworkService
from vifd.plugin import GROUP as PLUGIN_GROUP
from vifd.plugin import registry
from vifd.plugin.sources import GROUP as SOURCE_GROUP

LOG = logging.getLogger(__name__)


def local_drivers(conf: Any) -> tuple[Drivers, list[Callable[[], None]]]:
    """The drivers of this host, and how to close them, in the order they were made."""
    options = conf.openvswitch
    links = KernelLinks()
    ovsdb = LocalOvsdb(options.ovsdb_connection, timeout=options.timeout)
    openflow = LocalOpenFlow(options.rundir, options.timeout)
    tracer = LocalTracer(options.rundir, options.timeout)
    bridging, nft = KernelBridging(), KernelNft(hold=conf.nftables.hold_tables)
    for table in (TABLE, ANSWERED):
        nft.take(table)
    hearing = KernelHearing() if conf.migration.guest_frames else None
    closers = [
        links.close, ovsdb.close, openflow.close, tracer.close, bridging.close, nft.close,
        *([hearing.close] if hearing is not None else []),
    ]  # fmt: skip
    return Drivers(links, ovsdb, openflow, tracer, bridging, nft, hearing), closers


def start_policy(conf: Any) -> StartPolicy:
    options = conf.libvirt
    since = seconds_since_first_start(Path(conf.state_path))
    window = options.start_window - since if options.start_guests else 0.0
    return StartPolicy(window, options.start_limit, options.start_parallel)


def settings(conf: Any) -> Settings:
    return Settings(
        verify=conf.engine.verify_timeout,
        hang=conf.plugins.call_timeout,
        terms=Terms(conf.negotiation.unenforced == "refuse", conf.negotiation.offer_ttl),
        retry_first=conf.engine.retry_first,
        retry_longest=conf.engine.retry_longest,
        repair=conf.engine.repair,
        hostname=conf.host or os.uname().nodename,
        alone=conf.network.service == "local",
        prewire=conf.engine.prewire_timeout,
        intents=Path(conf.state_path) / "opening",
    )


@dataclass(frozen=True)
class Changeable:
    """What may change at run time, as one configuration says it.

    :param policy: who may do what at the API
    :param check_interval: seconds; 0 for never
    :param reassert_interval: seconds; 0 for never
    :param budget: seconds that a port may take to be opened in a migration; 0 for no limit
    :param arrivals: whether ports are opened on the hypervisor's word
    :param remove_failed: seconds until a port of a failed migration goes; 0 for never
    """

    settings: Settings
    policy: Policy
    garbage: garbage_options.Settings
    check_interval: float
    reassert_interval: float
    budget: float
    arrivals: bool
    remove_failed: float

    @classmethod
    def of(cls, conf: Any) -> Changeable:
        """Every value is looked at, so that a bad one is met here."""
        return cls(
            settings(conf),
            policy(conf),
            garbage_options.settings(conf.garbage),
            float(conf.engine.check_interval),
            float(conf.network.reassert_interval),
            conf.migration.budget_ms / 1000,
            bool(conf.migration.libvirt),
            float(conf.migration.remove_failed),
        )


def peers(conf: Any) -> Peering:
    """Which other agents are told of migrations.

    :raises cfg.Error: what is said of them cannot be used
    """
    try:
        return Peering.of(conf.migration)
    except ValueError as error:
        raise cfg.Error(str(error)) from error


def elsewhere() -> set[str]:
    """Groups of options of what is installed and may not be in use."""
    groups = (PLUGIN_GROUP, SOURCE_GROUP)
    names = {point.name for group in groups for point in registry.installed(group)}
    services = {f"network_{point.name}" for point in registry.installed(NETWORK_GROUP)}
    return names | services


def network_service(conf: Any) -> NetworkService:
    name = conf.network.service
    loading = registry.load(NETWORK_GROUP, (name,))
    point = next((p for p in loading.points if p.name == name), None)
    have = sorted({p.name for p in loading.points})
    if point is None or point in loading.failed:
        reason = f"it cannot be imported: {loading.failed[point]}" if point else "not installed"
        raise errors.PluginRefused(
            facts={"plugin": name, "distribution": "[network] service", "wanted": name,
                   "have": have, "reason": f"{reason} (have {have})"},
        )  # fmt: skip
    cls = cast(type[NetworkService], loading.loaded[point])
    return cls(config.register_network(conf, cls))


def policy(conf: Any) -> Policy:
    """Numbers and names from the options; a name that does not exist is said and left out."""

    def numbers(option: str, find: Callable[[str], int]) -> frozenset[int]:
        found = set()
        for entry in getattr(conf.api, option):
            try:
                found.add(int(entry) if entry.isdigit() else find(entry))
            except KeyError:
                LOG.warning("[api] %s: %r does not exist on this host; ignored", option, entry)
        return frozenset(found)

    def user(name: str) -> int:
        return pwd.getpwnam(name).pw_uid

    def group(name: str) -> int:
        return grp.getgrnam(name).gr_gid

    return Policy(
        own_uid=os.geteuid(),
        admin_uids=numbers("admin_uids", user),
        admin_gids=numbers("admin_gids", group),
        compute_uids=numbers("compute_uids", user),
        compute_gids=numbers("compute_gids", group),
        network_uids=numbers("network_uids", user),
        network_gids=numbers("network_gids", group),
        reader_uids=numbers("reader_uids", user),
        reader_gids=numbers("reader_gids", group),
    )
