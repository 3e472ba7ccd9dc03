"""Causes that are no error of this host, and why: what a reader of the list may look for."""

from __future__ import annotations

#: code: who decides it, and what vifd does instead
ELSEWHERE: dict[str, str] = {
    "E_AGENT_ABSENT": "decided by the network service, which keeps the list of hosts",
    "E_AGENT_DEAD": "decided by the network service, which counts heartbeats",
    "E_DRV_EXCEPTION": (
        "a driver of the network service. A plugin of vifd that raises gives E_INTERNAL with the "
        "exception under cause"
    ),
    "E_IP_EXHAUSTED": "decided by the address management of the network service",
    "E_IP_HOST_INCOMPATIBLE": (
        "decided by the network service, which knows the segments of all hosts. This host refuses "
        "an address of another segment with E_IP_WRONG_SEGMENT"
    ),
    "E_MIG_SOURCE_MISMATCH": "concerns macvtap devices, which no plugin in the tree makes",
    "E_QOS_RP_AMBIGUOUS": "decided by the network service with the resource providers of placement",
    "E_QOS_RP_UNKNOWN": "decided by the network service with the resource providers of placement",
    "E_REC_ORPHAN": (
        "an orphan is no answer to a call: the events orphan-found and gc-removed tell of it"
    ),
    "E_SEG_HOST_UNMAPPED": "decided by the network service, which maps segments to hosts",
    "E_SEG_LEVELS_EXCEEDED": "decided by the network service, which counts binding levels",
    "E_SEG_NONE": "a document without a segment is E_DOC_INVALID at network.segment",
    "E_STATE_ACTIVE": "activating a port that is open changes nothing and succeeds",
    "E_STATE_EXISTS": "a repeated PUT of the same document changes nothing and succeeds",
    "E_UNPLUG_BUSY": (
        "a removal waits for what runs on its port, and is never refused for it; what could not be "
        "removed is E_UNPLUG_PARTIAL"
    ),
    "E_VNIC_EXTERNAL_PORT": "decided by the network service, which serves such ports elsewhere",
    "E_VNIC_SMARTNIC_AGENT": "an option of the network service",
    "E_WIRE_EVIDENCE_CONTRADICTS": (
        "vifd takes nobody's word that a port is wired: a fact that stays other than wanted is "
        "E_WIRE_TIMEOUT, which names it; one that changes later is E_REC_DRIFT"
    ),
    "E_WIRE_REPORTED_FAILED": "a report of the network service, to which vifd is the source",
}
