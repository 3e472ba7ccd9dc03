"""The plugin contract: the law for plugins in the tree and out of it.

A plugin is a class installed under the entry-point group ``vifd.plugins``. It turns attachments
into calls on the drivers of a :class:`Host`; it decides nothing about *when*. The verbs:

==============  ====================================================================================
``describe``    what it can do in principle; static
``probe``       whether it can work on this host now; reads only
``requires``    what it needs of host, flavor, image and instance for one attachment; pure
``obstacles``   what of a port that was made forbids a change of its document; optional
``name``        the names and numbers it will use; no effect, called before anything is made
``plug``        make it, closed; all or nothing per port; repeating it converges
``activate``    open traffic of plugged ports; repeating it changes nothing
``deactivate``  close traffic and keep everything; repeating it changes nothing
``check``       read everything back; changes nothing
``unplug``      remove it, from the stored names; best effort, repeatable, works on what is gone
``observe``     everything on this host that bears the plugin's mark; reads only
``recall``      names of a port that bears the mark and is in no journal, to be taken over; optional
``reconnected`` a switch restarted: bring back at once what it lost; optional
``refresh``     shared sets changed: bring what they made to what they are now; optional
``counters``    what was counted of the frames of ports; not on the lane; optional
``unlogged``    what its limit kept from the log of packets; not on the lane; optional
==============  ====================================================================================

All verbs of one plugin are called on one native thread, its lane, never two at once. A verb may
block; the engine bounds it with a deadline and quarantines a lane that exceeds it. The batch verbs
take every port that was waiting: one netlink batch, one flow bundle, one OVSDB transaction. They
report per port (:data:`Outcomes`): a port that fails must not cost the others, and a verb that
raises has failed for every port of the batch.

Effects are registered with :attr:`Item.undo` on the line after they happened, or before them where
their answer can be lost. Plugins import this package and what is in it, ``model``, ``errors``,
``drivers``, ``policy``, ``nft`` and ``openflow``; those on Open vSwitch also the library
that its plugin brings; never each other, nor anything else of the agent.
"""

from __future__ import annotations

from vifd.plugin.advert import ANSWERS, REPORTED, Advert
from vifd.plugin.base import CONTRACT_VERSION, GROUP, VERBS, VifPlugin
from vifd.plugin.health import UNPROBED, Health, Probe, Uplink
from vifd.plugin.host import Host
from vifd.plugin.item import Item, Observed, Outcomes, Recalled, Requirement
from vifd.plugin.ledger import Entry, NamingView
from vifd.plugin.mappings import apart, mappings
from vifd.plugin.sets import Behind, NoSets, SetChange, SetPart, Sets
from vifd.plugin.sharing import Sharing

__all__ = [
    "ANSWERS",
    "CONTRACT_VERSION",
    "GROUP",
    "REPORTED",
    "UNPROBED",
    "VERBS",
    "Advert",
    "Behind",
    "Entry",
    "Health",
    "Host",
    "Item",
    "NamingView",
    "NoSets",
    "Observed",
    "Outcomes",
    "Probe",
    "Recalled",
    "Requirement",
    "SetChange",
    "SetPart",
    "Sets",
    "Sharing",
    "Uplink",
    "VifPlugin",
    "apart",
    "mappings",
]
