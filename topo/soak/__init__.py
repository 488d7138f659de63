"""Minutes of load and faults on a running lab, and the proof from what the clients saw that nothing went wrong.

command            `switchraft soak`
conductor          load and faults, then what the nodes hold in the end
load, crowd        clients in processes, and in threads of one process
faults             what is broken, and how it is mended
resizing, features changes of the group's size, and of what the switches do
history, verdict   what happened, and what that proves
"""
