"""The benchmark: peers and our programs in turn on one machine, and the page that says what came of it."""
