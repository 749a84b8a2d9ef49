"""The pieces of a template: how it is written, and how it is read back."""
