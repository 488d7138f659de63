"""Runs that are too long, or need too much from elsewhere, for `make test`."""
