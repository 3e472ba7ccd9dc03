"""What is asked of a port and would not be enforced."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class FeatureUnenforced(VifError):
    """A feature is required, and no candidate on this host would enforce it.

    ``facts.note`` says why not, as what the kernel lacks; the message says it too.
    """

    code = "E_FEATURE_UNENFORCED"
    reached = "required.features names it, or unenforced = refuse, and no plugin enforces it"
    klass = "feature"
    http = 409
    cni = 2
    owner: ClassVar[Owner] = "operator"
    template = "{feature} is asked for and would not be enforced by plugin {plugin!r} (have {have})"
    remediation = "use a plugin that enforces the feature, or do not ask for it on this port"

    def _sentence(self) -> str:
        sentence, note = super()._sentence(), self.facts.get("note")
        return f"{sentence}: {note}" if note and str(note) not in sentence else sentence
