"""Garbage: what bears our mark, belongs to no port, is held by nobody, and stays so.

``tracker`` and ``limits`` decide, ``collector`` acts, ``undo_store`` keeps what was removed.
"""
