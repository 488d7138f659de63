"""What ``sim.invariants`` asks for, each about one promise.

doubts     who hears its leader keeps to it
sessions   what clients are told of their sessions
"""
