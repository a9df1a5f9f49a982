"""All faults. Importing this package puts them into the registry."""

from tests.faults.strikes import answers as answers
from tests.faults.strikes import assets as assets
from tests.faults.strikes import certificates as certificates
from tests.faults.strikes import clocks as clocks
from tests.faults.strikes import environments as environments
from tests.faults.strikes import etcd as etcd
from tests.faults.strikes import late_reports as late_reports
from tests.faults.strikes import lines as lines
from tests.faults.strikes import masses as masses
from tests.faults.strikes import people as people
from tests.faults.strikes import publications as publications
from tests.faults.strikes import refused_reports as refused_reports
from tests.faults.strikes import reporters as reporters
from tests.faults.strikes import tasks as tasks
from tests.faults.strikes import tokens as tokens
from tests.faults.strikes import watchers as watchers
from tests.faults.strikes import wide_roots as wide_roots
