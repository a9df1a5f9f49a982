"""Asset events: what one environment emits and others are given (docs/architecture.md#assets).

``names``    the pipelines that stand for the events of an environment, and for their deliveries to another one
``events``   an event, and its state
``bridges``  which environment hands on which events to which others
"""
