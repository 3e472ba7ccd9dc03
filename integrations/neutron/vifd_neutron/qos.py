"""What hosts of vifd enforce of QoS policies, said to the QoS plugin: a rule of another type is
refused for their ports where no other driver takes it, and is not promised."""

from __future__ import annotations

from typing import Any

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.db import constants as numbers
from neutron_lib.services.qos import base
from neutron_lib.services.qos import constants as qos

_NUMBER = {"type:range": [0, numbers.DB_INTEGER_MAX_VALUE]}
_DIRECTION = {"type:values": constants.VALID_DIRECTIONS}
#: By type of rule, the values of its fields.
RULES: dict[str, dict[str, Any]] = {
    qos.RULE_TYPE_BANDWIDTH_LIMIT: {
        qos.MAX_KBPS: _NUMBER, qos.MAX_BURST: _NUMBER, qos.DIRECTION: _DIRECTION,
    },
    qos.RULE_TYPE_PACKET_RATE_LIMIT: {
        qos.MAX_KPPS: _NUMBER, qos.MAX_BURST_KPPS: _NUMBER, qos.DIRECTION: _DIRECTION,
    },
    qos.RULE_TYPE_DSCP_MARKING: {qos.DSCP_MARK: {"type:values": constants.VALID_DSCP_MARKS}},
}  # fmt: skip
_registered: list[base.DriverBase] = []


def register() -> None:
    """Tell the QoS plugin, once in a process."""
    if not _registered:
        _registered.append(base.DriverBase(
            "vifd", [portbindings.VIF_TYPE_OVS, portbindings.VIF_TYPE_VHOST_USER],
            [portbindings.VNIC_NORMAL], RULES, requires_rpc_notifications=True,
        ))  # fmt: skip
