"""What the tests of this tree and the demo need, and authors of plugins do not."""
