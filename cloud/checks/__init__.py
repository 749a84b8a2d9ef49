"""What can be wrong with a template, one file per kind."""
