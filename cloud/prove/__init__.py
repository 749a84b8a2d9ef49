"""What `prove` does: a command under the probe, its records, a verdict."""
