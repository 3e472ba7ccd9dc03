"""Two agents that tell each other when a guest stops on one host, to go on on the other.

Off by default. TLS 1.3 with certificates of both sides; see docs/migration.md.
"""
