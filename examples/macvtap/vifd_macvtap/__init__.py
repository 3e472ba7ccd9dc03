"""Guests on a network card of the host."""
