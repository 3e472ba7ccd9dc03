"""The way back of a half-done operation."""

from __future__ import annotations

from collections.abc import Callable

from vifd.safety.plain import said


class Undo:
    """A stack of ways back.

    Push an entry on the line after each effect; :meth:`run` walks them in reverse and goes on past
    one that fails, so that the first error is never masked; :meth:`keep` forgets them.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[str, Callable[[], object]]] = []

    def push(self, label: str, back: Callable[[], object]) -> None:
        """Remember how to take an effect back; ``label`` names the effect."""
        self._entries.append((label, back))

    def keep(self) -> None:
        """The operation succeeded: forget the ways back."""
        self._entries.clear()

    @property
    def labels(self) -> list[str]:
        """The effects that would be taken back, oldest first."""
        return [label for label, _ in self._entries]

    def run(self) -> list[str]:
        """Take everything back, newest first.

        :returns: a line for each entry that failed; whoever asked knows whose it is, and tells it
        """
        failed: list[str] = []
        while self._entries:
            label, back = self._entries.pop()
            try:
                back()
            except BaseException as error:  # noqa: BLE001 - the rest must be undone as well
                failed.append(f"{label}: {said(error) or type(error).__name__}")
        return failed
