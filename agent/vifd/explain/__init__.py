"""Why a port works or does not: the steps from what is wanted to the guest, in the order of the
path that a frame takes, and the first one that is broken.

Pure but for :mod:`vifd.explain.examiner`, which reads the host, and :mod:`vifd.explain.offline`,
which reads the journal of a daemon that does not run.
"""

from vifd.explain.explainer import explain
from vifd.explain.explanation import Explanation, Happening, State, Step
from vifd.explain.subject import Serving, Subject
from vifd.explain.unmade import explain_unmade

__all__ = [
    "Explanation",
    "Happening",
    "Serving",
    "State",
    "Step",
    "Subject",
    "explain",
    "explain_unmade",
]
