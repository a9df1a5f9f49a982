"""All faults. Importing this package puts them into the registry."""

from tests.faults.strikes import watchers as watchers
