"""Reading the configuration of other systems that start DAGs, to come over from them. Pure.

``playground``  one JSON file: child to parent, or to a list of parents
``composer``    Cloud Composer's two kinds of files: a mapping for each workflow, and the addresses of environments
``imported``    what both become
"""
