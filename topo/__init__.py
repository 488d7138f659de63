"""The Mininet lab, topology files, scenarios and the `switchraft` command."""
