"""What a group does for its clients. In the order in which a request meets it:

requests          the payloads of requests, replies and log entries
checking, admission
                  whether bytes are a value, found out in steps, and who waits for that
values            typed values
machine           the replicated state machine
sessions          a retry is answered, never carried out twice
pending_reads     reads that take no log entry
snapshots         when they are taken and loaded; `machine_snapshot` is their content, `retries` their second tries
"""
