"""The real BMv2 and p4c beside this project's switch and compiler: the same entries, the same packets, compared."""
