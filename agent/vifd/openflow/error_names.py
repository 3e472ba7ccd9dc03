"""The names of OpenFlow errors, by type and code (OpenFlow 1.4 section 7.5.4)."""

from __future__ import annotations

_BAD_REQUEST = (
    "BAD_VERSION BAD_TYPE BAD_MULTIPART BAD_EXPERIMENTER BAD_EXP_TYPE EPERM BAD_LEN BUFFER_EMPTY "
    "BUFFER_UNKNOWN BAD_TABLE_ID IS_SLAVE BAD_PORT BAD_PACKET MULTIPART_BUFFER_OVERFLOW "
    "MULTIPART_REQUEST_TIMEOUT MULTIPART_REPLY_TIMEOUT"
)
_BAD_ACTION = (
    "BAD_TYPE BAD_LEN BAD_EXPERIMENTER BAD_EXP_TYPE BAD_OUT_PORT BAD_ARGUMENT EPERM TOO_MANY "
    "BAD_QUEUE BAD_OUT_GROUP MATCH_INCONSISTENT UNSUPPORTED_ORDER BAD_TAG BAD_SET_TYPE BAD_SET_LEN "
    "BAD_SET_ARGUMENT"
)
_BAD_INSTRUCTION = (
    "UNKNOWN_INST UNSUP_INST BAD_TABLE_ID UNSUP_METADATA UNSUP_METADATA_MASK BAD_EXPERIMENTER "
    "BAD_EXP_TYPE BAD_LEN EPERM DUP_INST"
)
_BAD_MATCH = (
    "BAD_TYPE BAD_LEN BAD_TAG BAD_DL_ADDR_MASK BAD_NW_ADDR_MASK BAD_WILDCARDS BAD_FIELD BAD_VALUE "
    "BAD_MASK BAD_PREREQ DUP_FIELD EPERM"
)
_FLOW_MOD = (
    "UNKNOWN TABLE_FULL BAD_TABLE_ID OVERLAP EPERM BAD_TIMEOUT BAD_COMMAND BAD_FLAGS CANT_SYNC "
    "BAD_PRIORITY"
)
_METER = (
    "UNKNOWN METER_EXISTS INVALID_METER UNKNOWN_METER BAD_COMMAND BAD_FLAGS BAD_RATE BAD_BURST "
    "BAD_BAND BAD_BAND_VALUE OUT_OF_METERS OUT_OF_BANDS"
)
_BUNDLE = (
    "UNKNOWN EPERM BAD_ID BUNDLE_EXIST BUNDLE_CLOSED OUT_OF_BUNDLES BAD_TYPE BAD_FLAGS MSG_BAD_LEN "
    "MSG_BAD_XID MSG_UNSUP MSG_CONFLICT MSG_TOO_MANY MSG_FAILED TIMEOUT BUNDLE_IN_PROGRESS"
)

#: Per error type: the prefix of its codes, and the codes in order.
_CODES: dict[int, tuple[str, list[str]]] = {
    0: ("OFPHFC", ["INCOMPATIBLE", "EPERM"]),
    1: ("OFPBRC", _BAD_REQUEST.split()),
    2: ("OFPBAC", _BAD_ACTION.split()),
    3: ("OFPBIC", _BAD_INSTRUCTION.split()),
    4: ("OFPBMC", _BAD_MATCH.split()),
    5: ("OFPFMFC", _FLOW_MOD.split()),
    12: ("OFPMMFC", _METER.split()),
    17: ("OFPBFC", _BUNDLE.split()),
}

#: Error types whose codes this module does not name.
_TYPES = {
    6: "OFPET_GROUP_MOD_FAILED",
    7: "OFPET_PORT_MOD_FAILED",
    8: "OFPET_TABLE_MOD_FAILED",
    9: "OFPET_QUEUE_OP_FAILED",
    10: "OFPET_SWITCH_CONFIG_FAILED",
    11: "OFPET_ROLE_REQUEST_FAILED",
    13: "OFPET_TABLE_FEATURES_FAILED",
    14: "OFPET_BAD_PROPERTY",
    15: "OFPET_ASYNC_CONFIG_FAILED",
    16: "OFPET_FLOW_MONITOR_FAILED",
}

EXPERIMENTER = 0xFFFF
NICIRA = 0x2320

#: Errors of the Nicira extension, by number.
_NICIRA_NAMES = {
    2: "NXBRC_NXM_INVALID",
    3: "NXBRC_NXM_BAD_TYPE",
    4: "NXBRC_MUST_BE_ZERO",
    10: "NXBRC_UNENCODABLE_ERROR",
    11: "NXBAC_MUST_BE_ZERO",
    12: "NXFMFC_HARDWARE",
    13: "NXFMFC_BAD_TABLE_ID",
    15: "NXBAC_BAD_CONJUNCTION",
    22: "OFPBFC_BAD_VERSION",
    42: "NXBAC_CT_DATAPATH_SUPPORT",
}


def name(kind: int, code: int) -> str:
    """The name of an error as the specification writes it, or its numbers where it has none."""
    prefix, codes = _CODES.get(kind, ("", []))
    if code < len(codes):
        return f"{prefix}_{codes[code]}"
    return f"{_TYPES.get(kind, f'type {kind}')} code {code}"


def nicira(number: int) -> str:
    """The name of an error of the Nicira extension."""
    return _NICIRA_NAMES.get(number, f"Nicira error {number}")
