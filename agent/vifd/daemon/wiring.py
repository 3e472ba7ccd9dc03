"""Who is called back by whom: the one place where it is said."""

from __future__ import annotations

from vifd.daemon.agent import Agent
from vifd.daemon.hostview import HostView
from vifd.engine import Engine
from vifd.engine.hooks import Hooks
from vifd.engine.upgrade.guard import Guard
from vifd.engine.watcher import Watcher
from vifd.guests.holding import holder
from vifd.network.reporter import StatusReporter


def wire(
    engine: Engine,
    agent: Agent,
    *,
    guard: Guard | None = None,
    reporter: StatusReporter | None = None,
    view: HostView | None = None,
    watcher: Watcher | None = None,
) -> None:
    """Tell the engine whom it calls; who is not given is not called."""
    hooks = Hooks(adopt=agent.adoption.requested, extra_evidence=agent.guests.evidence)
    hooks.noted = agent.migrations.noted
    hooks.moved = agent.moves.follow
    hooks.holder = holder
    if guard is not None:
        hooks.may, hooks.on_tick = guard.may, guard.turn
    if reporter is not None:
        hooks.outbox_changed, hooks.awaited = reporter.notify, reporter.awaited
        if not reporter.told:
            hooks.statuses = lambda _old, _new: ()
    if watcher is not None:
        hooks.wake = watcher.wake
    if view is not None:
        hooks.health_changed, hooks.inventory = view.health_changed, lambda: view.inventory
        engine.reconsider(view.second_look())
    engine.hooks = hooks
