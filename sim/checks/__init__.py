"""What ``sim.invariants`` asks for, each about one promise.

watched    the members' own core, state machine and log, which show all of it to the watch
doubts     who hears its leader keeps to it
sessions   what clients are told of their sessions
ages       reads of an age are no older
limits     what a limit drops is over it, and what is over it is dropped
"""
