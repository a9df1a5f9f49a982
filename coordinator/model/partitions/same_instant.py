"""``SameInstant``: the same moment, spelled otherwise by the upstream and by the downstream."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from coordinator.model.partitions.refusal import MappingError
from coordinator.model.partitions.spelling import in_words, require_readable, spelling


@dataclass(frozen=True, slots=True)
class SameInstant:
    """Airflow's ``IdentityMapper`` over two spellings: ``2026-11-20T00:00:00``, as its timetables spell partition keys,
    and ``2026-11-20T00:00:00Z``.

    :ivar input_format: how the upstream's partitions spell instants; ``None``: as ``partitions.format_instant``.
    :ivar output_format: how the downstream's partitions do.
    :raises MappingError: both are the same, the time zone is unknown, or a format cannot be read back.
    """

    timezone: str = "UTC"
    input_format: str | None = None
    output_format: str | None = None

    def __post_init__(self) -> None:
        require_readable(self.input_format, self.timezone, field="input_format")
        require_readable(self.output_format, self.timezone, field="output_format")
        if self.input_format == self.output_format:
            field = "timezone" if self.input_format is None else "output_format"
            raise MappingError(field, "says nothing, as both formats are the same; expected 'identity' alone")

    def upstreams(self, downstream: str) -> tuple[str, ...]:
        """The upstream partitions of the moment that a downstream partition names; none when it names none."""
        return _respelled(self.timezone, self.output_format, self.input_format, downstream)

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        """The downstream partitions of the moment that an upstream partition names; none when it names none."""
        return _respelled(self.timezone, self.input_format, self.output_format, upstream)

    def __str__(self) -> str:
        place = "" if self.timezone == "UTC" else f" ({self.timezone})"
        return f"identity{place}{in_words(self.input_format, self.output_format)}"


@lru_cache(maxsize=16384)
def _respelled(timezone: str, here: str | None, there: str | None, key: str) -> tuple[str, ...]:
    names = spelling(there, timezone)
    keys = (names.key(instant) for instant in spelling(here, timezone).instants(key))
    return tuple(dict.fromkeys(key for key in keys if key is not None))
