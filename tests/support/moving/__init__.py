"""Two hosts between which a guest moves, a third place that talks to it, and what was seen."""
