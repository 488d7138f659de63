"""The durable log: what a member has promised survives a crash, a power loss and, if not, is noticed.

log                  the log: term, vote, entries; and its snapshot
frames, mark, sums   its bytes: framed, with chained CRCs, and how far they were durable
replay, verify       reading it back, and looking without touching
log_writer           the storage thread; `snapshot_writer`: the snapshot thread
snapshots            snapshots on disk
disk, folders, atomic_file
                     the seam to the operating system; folders and small files that survive a power loss
folder_owner, sudo_owner
                     whose log a folder holds, and whose files those are
moves, readdress     members at other addresses than the log says
errors               what can go wrong, in words
"""
