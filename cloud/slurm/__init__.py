"""A job for a Slurm cluster: its text, settings that it has not, what a person is told of it."""
