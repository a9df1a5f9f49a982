"""Random worlds on virtual time: graphs, people and faults by the thousand, each with a seed that repeats it."""
