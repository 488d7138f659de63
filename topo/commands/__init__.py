"""The commands of `switchraft`, one module for each kind. Each imports what it needs when it runs, not before."""
