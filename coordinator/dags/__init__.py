"""DAG files: made from templates and a configuration, checked, and brought to where Airflow reads them (docs/dags.md).

``configuration``  what dags.yaml says
``templating``     from a template and values to Python code
``generating``     from the configuration to files, and what would change on disk
``linting``        what a DAG file may not do when Airflow imports it
``deploying``      from a directory to another one, or to an object store
``finding``        what is wrong, and where
``marker``         by which line a file that was generated is known
``ignored``        what .airflowignore keeps Airflow from reading
``ignore_child``   the process in which its patterns are matched
``limits``         of the processes in which the files of others are used
``errors``         why a deploy does not happen

Nothing here knows etcd. It needs the extra ``dags``; the commands import it when they run.
"""
