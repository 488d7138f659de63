"""The P4Runtime controller: desired entries, reconciliation, leader tracking, link probes."""
