"""What is asked for: the table of settings, their rules and defaults, and the file that holds them."""
