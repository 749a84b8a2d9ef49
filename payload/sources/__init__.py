"""A module per data set: where its files come from, and how to know that they are the right ones."""
