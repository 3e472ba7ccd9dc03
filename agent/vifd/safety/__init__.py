"""What keeps the process whole: the system's limits, threads that go on, foreign text made safe."""
