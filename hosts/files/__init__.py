"""Files that people write: read with care, checked against a model, refused in one line with their place.

checked_file   the reader
strict_yaml    YAML as far as all its readers agree on it
fields         the kinds of fields that cluster, topology and network files have
"""
