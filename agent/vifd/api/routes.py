"""Every path of the API: the one place where a resource is named."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import falcon

from vifd import errors
from vifd.api import (
    batch,
    comparing,
    counters,
    events,
    explain,
    garbage,
    guests,
    host,
    meta,
    migrations,
    moving,
    offers,
    openapi,
    osvif,
    passing,
    ports,
    prechecks,
    query,
    reconcile,
    setbulk,
    sets,
    sides,
)
from vifd.api.described import ANY, Answer, Call, Calls
from vifd.api.resource import Resource, answer


class OpenApi(Resource):
    """``/v1/openapi.json``"""

    calls = Calls(get=Call("This document", {200: Answer("This document", schema=ANY)}))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query.params(req, ())
        answer(resp, 200, document())


ROUTES: Mapping[str, type[Resource]] = {
    "/v1/status": meta.DaemonStatus,
    "/v1/plugins": meta.PluginList,
    "/v1/plugins/{name}/verify": meta.VerifyPlugin,
    "/v1/host": host.Host,
    "/v1/host/refresh": host.Refresh,
    "/v1/openapi.json": OpenApi,
    "/v1/offers": offers.Offers,
    "/v1/ports": ports.PortList,
    "/v1/ports:plug": batch.Plug,
    "/v1/ports:unplug": batch.Unplug,
    "/v1/ports/{port_id}": ports.OnePort,
    "/v1/ports/{port_id}/instance": sides.ComputeSide,
    "/v1/ports/{port_id}/network": sides.NetworkSide,
    "/v1/compute:compare": comparing.CompareCompute,
    "/v1/network:compare": comparing.CompareNetwork,
    "/v1/ports/{port_id}/check": ports.Check,
    "/v1/ports/{port_id}/explain": explain.Explain,
    "/v1/ports/{port_id}/counters": counters.PortCounters,
    "/v1/counters": counters.EveryCounter,
    "/v1/ports/{port_id}/passes": passing.PortPassing,
    "/v1/ports/{port_id}/repair": guests.Repair,
    "/v1/ports/{port_id}/precheck": prechecks.Precheck,
    "/v1/ports/{port_id}/activate": ports.Activate,
    "/v1/ports/{port_id}/deactivate": ports.Deactivate,
    "/v1/migrations": migrations.MigrationList,
    "/v1/migrations/{number}": migrations.OneMigration,
    "/v1/guests:prepare": guests.Prepare,
    "/v1/ports/{port_id}/adopt": garbage.Adopt,
    "/v1/ports/{port_id}/release": garbage.Release,
    "/v1/ports/{port_id}/backend": moving.Backend,
    "/v1/reconcile": reconcile.Reconcile,
    "/v1/garbage": garbage.Garbage,
    "/v1/garbage/undo": garbage.Undo,
    "/v1/ports/{port_id}/vif": osvif.PortVif,
    "/v1/security-groups": sets.SecurityGroups,
    "/v1/security-groups/{set_id}": sets.OneSecurityGroup,
    "/v1/address-groups": sets.AddressGroups,
    "/v1/address-groups/{set_id}": sets.OneAddressGroup,
    "/v1/networks": sets.Networks,
    "/v1/networks/{set_id}/forwarding": sets.NetworkForwarding,
    "/v1/logs": sets.Logs,
    "/v1/logs/{set_id}": sets.OneLog,
    "/v1/sets:put": setbulk.PutMany,
    "/v1/sets:compare": setbulk.CompareSets,
    "/v1/events": events.Events,
    "/metrics": meta.Metrics,
}


def document() -> dict[str, Any]:
    """The OpenAPI document; plugins may have brought codes since it was asked for last."""
    return _document(tuple(sorted(errors.all_codes())))


@lru_cache(maxsize=2)
def _document(_codes: tuple[str, ...]) -> dict[str, Any]:
    return openapi.document({path: found.calls for path, found in ROUTES.items()})
