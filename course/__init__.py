"""For a course: exercises in which a part of the project is written anew, and lessons that lead through a run.

exercises     which there are: what is blanked, what shows a mistake
blanks        cutting a part out of a source
packets       packets for switch s1 and what it must do with them: the given tests of the P4 exercises
entries       messages for a follower and what it must answer: the given tests of the Python exercise
working_copy  a student's folder
build         the project with a student's files in place of its own
packet_tests  packet tests, with a mistake told in words
seeds, trial  simulated seeds with a student's work, in a process of its own
check         all of it, one after the other

lessons       which there are: their runs, and their texts with what each says of the run
scripts       what happens in the runs
stage         the simulator, with what befalls a small cluster scripted
telling       what a text may say of a run
history       a recorded run, event by event
lesson_run    a lesson's run, recorded, told, and put on a page
"""
