"""Asset events: what one environment emits, others are given, and pipelines wait for (docs/architecture.md#assets).

``names``        the pipelines that stand for the events of an environment, for their deliveries to another one, and for
    an asset that others wait for
``events``       an event, and its state
``bridges``      which environment hands on which events to which others
``completions``  an asset as an upstream: its newest event in a partition, and which runs emit it
"""
