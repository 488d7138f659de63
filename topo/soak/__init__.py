"""Minutes of load and faults on a running lab, and the proof from what the clients saw that nothing went wrong.

command            `switchraft soak`
conductor          load and faults, then what the nodes hold in the end
load, crowd        clients in processes, and in threads of one process
faults, resizing   what is broken, and changes of the group's size
history, verdict   what happened, and what that proves
"""
