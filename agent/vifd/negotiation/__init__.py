"""Which plugin serves an attachment on this host, and why the others do not. Pure.

====================  ==============================================================================
:mod:`~.candidate`    what is known of a plugin, and what became of it
:mod:`~.acceptable`   what the network side takes, in its order, with ranges of versions
:mod:`~.refusing`     every reason against one candidate, and how far it got
:mod:`~.choosing`     the order of those that can, and one error where none can
:mod:`~.token`        what an offer depended on, to be held against the host later
:mod:`~.offer`        the answer to a caller who asks before anything is bound
====================  ==============================================================================
"""

from __future__ import annotations

from vifd.negotiation.acceptable import Acceptable, AcceptableProfile
from vifd.negotiation.candidate import Candidate, Choice, Refused, Usable
from vifd.negotiation.choosing import choose, no_common_vif, refusal_of, refuse, undecided
from vifd.negotiation.offer import CONTRACT_VERSIONS, Offer, offer, spoken

__all__ = [
    "CONTRACT_VERSIONS",
    "Acceptable",
    "AcceptableProfile",
    "Candidate",
    "Choice",
    "Offer",
    "Refused",
    "Usable",
    "choose",
    "no_common_vif",
    "offer",
    "refusal_of",
    "refuse",
    "spoken",
    "undecided",
]
