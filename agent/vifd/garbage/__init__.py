"""Garbage: what bears our mark, belongs to no port, is held by nobody, and stays so.

``sightings`` and ``limits`` decide, ``collector`` acts, ``shelf`` keeps what was removed.
"""
