"""In what a request differs from the port that is there."""

from __future__ import annotations

from vifd import model
from vifd.model import Document, PortRecord
from vifd.negotiation.token import Claims


def differences(old: Document, new: Document) -> list[str]:
    """The paths at which two documents differ in what this version understands."""
    found = model.differences(old.attachment, new.attachment)
    return [p for p in found if p not in ("plugin", "vif_type", "version")]


def other_candidate(claims: Claims | None, present: PortRecord) -> list[str]:
    """A token for another candidate than the one that serves the port. One for the same is spent,
    and repeating the call that spent it is no error, whatever became of the host since."""
    have = (present.plugin, present.vif_type)
    return [] if claims is None or (claims.plugin, claims.vif_type) == have else ["token"]


def other_choice(doc: Document, present: PortRecord) -> list[str]:
    """A wish for another plugin or VIF type than the one that serves the port."""
    wishes = {"plugin": present.plugin, "vif_type": present.vif_type}
    return [
        name for name, have in wishes.items() if getattr(doc.attachment, name) not in (None, have)
    ]
