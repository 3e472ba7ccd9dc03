"""A kill at one effect after the other of something that a daemon is asked for."""

from __future__ import annotations

from collections.abc import Callable

from vifd.testing.contract_kill import MOST, Scene


def each_effect(
    scene: Scene, when: str, prepare: Callable[[], object], act: Callable[[], object],
    then: Callable[[], object], gone: Callable[[], object] = lambda: None,
) -> int:  # fmt: skip
    """How many effects there were.

    :param when: "before" or "after" the effect
    :param then: looks at what a kill led to, once the daemon has run again
    :param gone: looks whether anything is left of the ports that were unplugged then
    """
    for fatal in range(1, MOST):
        with scene.running():
            prepare()
        killed = scene.interrupt(act, fatal, when)
        with scene.running():
            scene.converge(f"after a kill at effect {fatal}")
            then()
            scene.unplug()
            gone()
        if not killed:
            return fatal - 1
    raise AssertionError("there are more effects than were tried")
