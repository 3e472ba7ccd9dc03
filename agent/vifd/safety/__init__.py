"""What keeps the process whole and small: the system's limits, threads that go on, foreign text
made safe, packages loaded as far as they are used."""
