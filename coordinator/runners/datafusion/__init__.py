"""Pipelines of Cloud Data Fusion, and of any CDAP, as pipelines: the kind ``datafusion`` (docs/runners.md).

``runner``     implements the port with the modules below
``settings``   what ``[environments.<name>]`` may contain
``client``     the requests to CDAP, and its answers
``arguments``  the runtime arguments by which a run is found again
``attempts``   the attempts of a run, among the runs that CDAP lists
``listing``    the runs of a program, listed in part, and remembered
``absence``    when a run that is not listed counts as one that does not exist

What CDAP does, as far as this package rests on it:

- ``POST /v3/namespaces/<ns>/start`` with a list of ``appId``, ``programType``, ``programId`` and ``runtimeargs``
  answers 200 with an entry for each: ``statusCode``, and ``runId`` or ``error``. An entry can fail with 400, 404 and
  409; a missing right (403) and too many runs (429) fail the whole request. ``POST .../workflows/<program>/start``
  answers without the run's id. (Lifecycle Microservices, https://cdap.atlassian.net/wiki/spaces/DOCS/pages/477560983;
  ``ProgramLifecycleHttpHandler.startPrograms`` of https://github.com/cdapio/cdap.)
- CDAP makes the run's id itself, a UUID, and takes no other one: two equal requests make two runs
  (``ProgramLifecycleService.runInternal``).
- The start is answered once a message about it is kept. The run is listed, and can be asked for, only after another
  thread has read that message (``provisionerNotifier.provisioning``, and what subscribes to it). Nothing bounds that
  time.
- Where there are too many runs (429), a run record REJECTED with the request's arguments is made all the same.
- ``GET .../workflows/<program>/runs?start=&end=&limit=`` lists run records: first those that have not ended, in no
  order by time, then the others. ``start`` (inclusive) and ``end`` (exclusive) are seconds and are compared with
  ``starting``. ``limit`` is 100 where none is given. 404: there is no such app or program.
  (``AppMetadataStore.getRuns``.)
- A record has ``runid``, ``status``, the seconds ``starting``, ``start`` (it runs) and ``end``, and ``properties``. In
  these, ``runtimeArgs`` is a JSON text with all of its arguments (``RunRecord``,
  ``AppMetadataStore.getRecordProperties``).
- ``POST .../runs/<runid>/stop`` stops this run; 400 where it is not running.
- Only COMPLETED, FAILED, KILLED and REJECTED are ends (``ProgramRunStatus``).
- Requests to Data Fusion go to the instance's ``apiEndpoint``, with a token of Google as bearer
  (https://cloud.google.com/data-fusion/docs/reference/cdap-reference).
"""
