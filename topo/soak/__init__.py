"""Minutes of load and faults on a running lab, and the proof from what the clients saw that nothing went wrong."""
