"""What git tells about a repository before anything is written."""
