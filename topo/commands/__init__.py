"""The commands of `switchraft`, one module for each kind. Each imports what it needs when it runs, not before.

labs, nodes, members, faults, features, limits
                                          the lab, and what is done to it
state, tools, follow, metrics             what is seen of it
values                                    what clients do
simulator, soaks                          runs under faults
view, web                                 in a browser
exercises, lessons                        the course
numbers                                   what options take that are numbers
"""
