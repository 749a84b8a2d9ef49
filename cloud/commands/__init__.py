"""One module per command: options -> the functions that do the work -> what is shown."""
