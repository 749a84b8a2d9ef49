"""A reviewed template -> a stack: what a cloud says to it first, its making, following it to the end."""
