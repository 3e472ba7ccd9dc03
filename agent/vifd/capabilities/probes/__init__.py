"""The places where capabilities are read, one module each. They read and change nothing."""
