"""The options of agent.conf.

Every group is described here or by the plugin and network-service class that owns it. ``python -m
vifd.daemon.config`` prints the complete sample.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg
from oslo_log import log as oslo_log

from vifd import __version__, network, plugin
from vifd.capabilities import options as capability_options
from vifd.daemon import packetlogging, scraping, tracing
from vifd.drivers import options as switch_options
from vifd.engine.garbage import options as garbage_options
from vifd.engine.upgrade import options as upgrade_options
from vifd.hypervisor import options as libvirt_options
from vifd.migration import options as migration_options
from vifd.plugin import judging, registry, sharing, sources
from vifd.plugin.sources import Source

DEFAULT = [
    cfg.StrOpt(
        "state_path",
        default="/var/lib/vifd",
        help="Directory of the journal and the lock. The journal holds every port of this host; "
        "it belongs on a disk that survives a reboot.",
    ),
    cfg.StrOpt(
        "host",
        sample_default="the host's name",
        help="The name under which the network service knows this host.",
    ),
]

PLUGINS = [
    cfg.ListOpt(
        "enabled_plugins",
        default=[],
        help="Plugins to admit, in order of preference. Empty admits all that are installed, "
        "by name.",
    ),
    cfg.BoolOpt(
        "strict",
        default=False,
        help="Refuse to start when a plugin is refused. Otherwise it is logged, listed as refused, "
        "and the others work.",
    ),
    cfg.IntOpt(
        "call_timeout",
        default=60,
        min=1,
        mutable=True,
        help="Seconds in which a plugin must get one step further with what it does. Then it is "
        "quarantined: its ports get an error, it is offered no new ones, and it is used again once "
        "it answers.",
    ),
]

ENGINE = [
    cfg.FloatOpt(
        "verify_timeout",
        default=10.0,
        min=0.1,
        mutable=True,
        help="Seconds that a port may take from made to proven. Then it is undone and reported as "
        "ERROR with the finding that stood in the way.",
    ),
    cfg.FloatOpt(
        "retry_first",
        default=1.0,
        min=0.01,
        mutable=True,
        help="Seconds before a failed port is tried again. The pause doubles each time.",
    ),
    cfg.FloatOpt(
        "retry_longest",
        default=60.0,
        min=0.1,
        mutable=True,
        help="The longest such pause, seconds.",
    ),
    cfg.FloatOpt(
        "prewire_timeout",
        default=600.0,
        min=0.0,
        mutable=True,
        help="Seconds that a port which was made ahead of compute waits, closed, for an instance. "
        "Then it is taken down, and made again when compute plugs it. 0 keeps it for as long as "
        "the network service has it here.",
    ),
    cfg.IntOpt(
        "check_interval",
        default=60,
        min=0,
        mutable=True,
        help="Seconds between two checks of every port against what was plugged, besides those "
        "caused by events. 0 checks on events only.",
    ),
    cfg.BoolOpt(
        "repair",
        default=True,
        mutable=True,
        help="Bring back what another program changed of a port. Without it such a port is "
        "reported as DEGRADED and left as it is, for somebody who wants to look at it; what is "
        "asked for through the API is carried out all the same.",
    ),
]

API = [
    cfg.StrOpt("socket", default="/run/vifd/vifd.sock", help="The unix socket of the API."),
    cfg.StrOpt("socket_mode", default="0660", regex="^0?[0-7]{3}$", help="Its mode, octal."),
    cfg.StrOpt("socket_group", default="", help="Its group; empty keeps the daemon's own."),
    cfg.ListOpt(
        "admin_uids",
        default=[],
        mutable=True,
        help="Users, by number or name, that may do everything. root and the daemon's own user "
        "always may.",
    ),
    cfg.ListOpt("admin_gids", default=[], mutable=True, help="The same for groups."),
    cfg.ListOpt(
        "compute_uids",
        default=[],
        mutable=True,
        help="Users, by number or name, that may say compute's part of ports (plug and unplug), "
        "have a guest's ports prepared and looked at, and read: nova's user needs no more.",
    ),
    cfg.ListOpt("compute_gids", default=[], mutable=True, help="The same for groups."),
    cfg.ListOpt(
        "network_uids",
        default=[],
        mutable=True,
        help="Users that may say the network's part of ports and their roles, and shared sets "
        "(security groups, address groups, forwarding), and read: what a network service needs.",
    ),
    cfg.ListOpt("network_gids", default=[], mutable=True, help="The same for groups."),
    cfg.ListOpt("reader_uids", default=[], mutable=True, help="Users that may read."),
    cfg.ListOpt("reader_gids", default=[], mutable=True, help="Groups that may read."),
    cfg.StrOpt(
        "metrics_address",
        default="",
        help="Where metrics are served over TCP as well, for a scraper that cannot ask a unix "
        "socket: an address of loopback with a port, such as 127.0.0.1:9779. Whoever "
        "can connect there may read them. Empty: nowhere.",
    ),
]

NEGOTIATION = [
    cfg.StrOpt(
        "unenforced",
        default="report",
        choices=("report", "refuse"),
        mutable=True,
        help="What becomes of a port that asks for a feature which no plugin would enforce. "
        "'report' says so in the port's enforcement report, 'refuse' refuses the port "
        "(E_FEATURE_UNENFORCED). In what order plugins are preferred is said by "
        "[plugins] enabled_plugins.",
    ),
    cfg.FloatOpt(
        "offer_ttl",
        default=300.0,
        min=1.0,
        max=86400.0,
        mutable=True,
        help="Seconds for which the tokens of an offer hold, as long as the host stays as it is.",
    ),
]

NETWORK = [
    cfg.StrOpt(
        "service",
        default="local",
        help="The network service's driver, an entry point of vifd.network. 'local' tells nobody: "
        "statuses are in the journal and the event stream.",
    ),
    cfg.IntOpt(
        "reassert_interval",
        default=300,
        min=0,
        mutable=True,
        help="Seconds after which every status is told again, so that one that the service lost "
        "does not stay lost. 0 for never.",
    ),
]

GROUPS: dict[str | None, Sequence[cfg.Opt]] = {
    None: DEFAULT,
    "plugins": PLUGINS,
    "engine": ENGINE,
    "api": API,
    "negotiation": NEGOTIATION,
    "network": NETWORK,
    "openvswitch": switch_options.OPTIONS,
    "nftables": switch_options.NFT_OPTIONS,
    "garbage": garbage_options.OPTIONS,
    "upgrade": upgrade_options.OPTIONS,
    "libvirt": libvirt_options.OPTIONS,
    "migration": migration_options.OPTIONS,
    "capabilities": capability_options.OPTIONS,
    "packet_log": packetlogging.OPTIONS,
    "tracing": tracing.OPTIONS,
}


def load(argv: Sequence[str], conf: Any = None) -> Any:
    """Read command line and files.

    :param conf: a ConfigOpts; the process's own by default, because libraries (the message bus of
        a network service) register their options there
    :raises SystemExit: on ``--help``, ``--version`` and a bad command line, which stderr explains
    :raises cfg.Error: a file cannot be read or holds a bad value; the text says which and where
    """
    conf = cfg.CONF if conf is None else conf
    oslo_log.register_options(conf)
    for group, options in GROUPS.items():
        conf.register_opts(options, group=group)
    files = cfg.find_config_files(project="vifd", prog="agent") or None
    conf(list(argv), project="vifd", prog="vifd", version=__version__, default_config_files=files)
    validate(conf)
    return conf


def validate(conf: Any) -> None:
    """Read every value once: oslo.config looks at a value only when somebody asks for it.

    :raises cfg.Error: the first bad one
    """
    for group, options in GROUPS.items():
        for option in options:
            value = conf[group][option.dest] if group else conf[option.dest]
            if isinstance(value, float) and not math.isfinite(value):
                raise cfg.ConfigFileValueError(f"[{group}] {option.name}: {value} is no time")
    scraping.address(conf.api.metrics_address)


def register_plugin(
    conf: Any, cls: type[plugin.VifPlugin], shared: Sequence[sharing.Pair] = ()
) -> Any:
    """Register a plugin's own options and return its group.

    :param shared: see :func:`share`
    """
    name = cls.plugin_name
    conf.register_group(cfg.OptGroup(name))
    conf.register_opts(judging.sound_options(cls.options()), group=name)
    pair = next((p for p in shared if name in (p.group, p.sharing.plugin)), None)
    return sharing.SharedGroup(conf, name, pair) if pair is not None else conf[name]


def share(conf: Any, classes: Sequence[type[plugin.VifPlugin]]) -> list[sharing.Pair]:
    """The plugins in use that share options, with the options of both registered.

    :raises cfg.Error: they say different things of one object; the text names the options
    """
    found = []
    by_name = {cls.plugin_name: cls for cls in classes}
    for pair in sharing.pairs(classes):
        try:
            for name in (pair.group, pair.sharing.plugin):
                register_plugin(conf, by_name[name])
        except Exception:  # noqa: BLE001, S112 - that plugin is refused when it is made
            continue
        found.append(pair)
    agree(conf, found)
    return found


def agree(conf: Any, shared: Sequence[sharing.Pair]) -> None:
    """See that groups which share options do not contradict each other.

    :raises cfg.Error: they do; the text names the options
    """
    if texts := list(sharing.contradictions(conf, shared)):
        raise cfg.ConfigFileValueError("; ".join(texts))


def register_source(conf: Any, cls: type[Source]) -> Any:
    """Register a plugin source's own options and return all options."""
    conf.register_group(cfg.OptGroup(cls.name))
    conf.register_opts(list(cls.options()), group=cls.name)
    return conf


def register_network(conf: Any, cls: type[network.NetworkService]) -> Any:
    """Register a network service's own options and return its group."""
    group = f"network_{cls.name}"
    conf.register_group(cfg.OptGroup(group))
    conf.register_opts(list(cls.options()), group=group)
    return conf[group]


def list_opts() -> list[tuple[str | None, Sequence[cfg.Opt]]]:
    """For oslo.config's generator: every group, those of installed plugins included."""
    groups: list[tuple[str | None, Sequence[cfg.Opt]]] = list(GROUPS.items())
    groups += [(name, source.options()) for name, source in sources.installed().items()]
    for found in registry.discover():
        if found.cls is not None and found.cls.options():
            groups.append((found.name, found.cls.options()))
    services = registry.load(network.GROUP)
    for point in sorted(services.loaded, key=lambda p: p.name):
        cls = services.loaded[point]
        if isinstance(cls, type) and issubclass(cls, network.NetworkService) and cls.options():
            groups.append((f"network_{point.name}", cls.options()))
    return groups


def sample() -> str:
    """The complete sample of agent.conf."""
    from oslo_config import generator  # which no daemon needs

    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--namespace", "vifd", "--namespace", "oslo.log", "--wrap-width", "90"], project="vifd")
    out = io.StringIO()
    generator.generate(conf, output_file=out)
    return out.getvalue()


if __name__ == "__main__":
    sys.stdout.write(sample())
