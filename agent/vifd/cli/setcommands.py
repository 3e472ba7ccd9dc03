"""The commands for shared sets, one per verb and kind."""

from __future__ import annotations

from vifd.cli.sets import (
    AG,
    NETWORK,
    SG,
    AddSet,
    DeleteSet,
    ListSets,
    ReduceSet,
    ShowSet,
    WantSet,
)


class SgList(ListSets):
    """List the security groups of this host: who said them, and what they hold."""

    kind = SG


class SgShow(ShowSet):
    """Show a security group with its rules and members."""

    kind = SG


class SgSet(WantSet):
    """Want a security group to be this, whole: rules that are not named go."""

    kind = SG


class SgAdd(AddSet):
    """Add rules and members to a security group."""

    kind = SG


class SgRemove(ReduceSet):
    """Remove rules and members from a security group; a rule by its id or in words."""

    kind = SG


class SgDelete(DeleteSet):
    """Delete a security group that nothing refers to."""

    kind = SG


class AddressGroupList(ListSets):
    """List the address groups of this host."""

    kind = AG


class AddressGroupShow(ShowSet):
    """Show an address group with its addresses."""

    kind = AG


class AddressGroupSet(WantSet):
    """Want an address group to be this, whole."""

    kind = AG


class AddressGroupAdd(AddSet):
    """Add addresses to an address group."""

    kind = AG


class AddressGroupRemove(ReduceSet):
    """Remove addresses from an address group."""

    kind = AG


class AddressGroupDelete(DeleteSet):
    """Delete an address group that nothing refers to."""

    kind = AG


class NetworkList(ListSets):
    """List the networks whose tunnel endpoints are known here."""

    kind = NETWORK


class NetworkShow(ShowSet):
    """Show a network's tunnel endpoints and who is behind each."""

    kind = NETWORK


class NetworkSet(WantSet):
    """Want a network's forwarding to be this, whole."""

    kind = NETWORK


class NetworkAdd(AddSet):
    """Add tunnel endpoints to a network, and ports behind them."""

    kind = NETWORK


class NetworkRemove(ReduceSet):
    """Remove tunnel endpoints from a network, or ports from behind them."""

    kind = NETWORK


class NetworkDelete(DeleteSet):
    """Delete a network's forwarding."""

    kind = NETWORK
