"""Items: a pipeline that runs once for each row of its partition (docs/architecture.md#items).

An item is a pipeline of its own, ``load[orders]``, with a state, a trigger record and orders. Its one input are the
rows, which stand in the trigger record of the pipeline ``load``.
"""
