"""The upgrade guard: what a new version would change on the host is shown before it is changed."""
