"""Values of properties that nova does not know: they have no effect, and that should be said."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vifd.model import Instance
from vifd.plugin.guest.memory import page_size
from vifd.plugin.guest.precedence import FALSE, PROPERTIES, TRUE, Precedence

_TRUTH = TRUE | FALSE
#: By property, the words it may be. One that is not here may be anything, or is refused elsewhere.
_WORDS: dict[str, Collection[str]] = {
    "locked_memory": _TRUTH,
    "mem_encryption": _TRUTH,
    "vif_multiqueue_enabled": _TRUTH,
    "virtio_packed_ring": _TRUTH,
    "cpu_realtime": _TRUTH,
    "mem_page_size": ("small", "large", "any"),
    "cpu_policy": ("shared", "dedicated", "mixed"),
    "pci_numa_affinity_policy": ("required", "preferred", "legacy", "socket"),
    "emulator_threads_policy": ("isolate", "share"),
}


def misspelt(instance: Instance) -> Iterator[str]:
    """Each value that is none of its property's, in words."""
    places = (
        ("flavor extra spec", instance.flavor_extra_specs, Precedence.IMAGE),
        ("image property", instance.image_properties, Precedence.FLAVOR),
    )
    for name, words in _WORDS.items():
        rule = PROPERTIES[name]
        for kind, stated, unread in places:
            key = rule.image_key if kind == "image property" else rule.flavor_key
            value = stated.get(key)
            if value is None or rule.precedence is unread or _fits(name, value, words):
                continue
            known = "true or false" if words is _TRUTH else ", ".join(words)
            size = " or a size" if name == "mem_page_size" else ""
            yield f"{kind} {key}: {str(value)!r:.64} is none of {known}{size}"


def _fits(name: str, value: object, words: Collection[str]) -> bool:
    text = str(value).strip().lower()
    if name == "mem_page_size" and page_size(text):
        return True
    return text in words or not text
