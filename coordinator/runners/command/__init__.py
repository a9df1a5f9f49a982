"""Commands of this host as pipelines: the kind ``command`` (docs/runners.md).

``runner``       implements the port with the modules below
``settings``     what ``[environments.<name>]`` may contain
``run_files``    the files of the runs: what exists, and how each attempt stands
``atomic``       files that are there as a whole, or not at all
``spawning``     starts the supervisor of an attempt
``supervisor``   a program: runs the command of one attempt, and keeps its exit status
``processes``    whether a process that was noted is still alive

Nothing is imported here: the supervisor starts without the rest of the coordinator.
"""
