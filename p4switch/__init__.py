"""A v1model switch: BMv2 JSON to C, the packet loop, a P4Runtime server, and an STF runner."""
