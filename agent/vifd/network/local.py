"""No network service: the journal and the event stream are all there is to tell."""

from __future__ import annotations

from collections.abc import Sequence

from vifd.network import NetworkService
from vifd.store import Outgoing


class LocalNetworkService(NetworkService):
    """Takes every status; callers read it from the API."""

    name = "local"

    def report(self, statuses: Sequence[Outgoing]) -> Sequence[Outgoing]:
        return statuses
