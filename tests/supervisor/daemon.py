"""The real daemon with small children in place of those with devices: `python -m tests.supervisor.daemon`.

TEST_TABLE changes rows: a JSON map of name -> {"limits": {...}, "module": ..., "settings": {...}}.
"""

import json
import os
import sys
from typing import Any

from voiced.cli import guarded, serve
from voiced.supervisor.policy import Limits
from voiced.supervisor.processes import Row, World, table
from voiced.supervisor.provider import Provider


def _table(provider: Provider) -> list[Row]:
    return [_changed(row, json.loads(os.environ.get("TEST_TABLE", "{}")).get(row.name, {})) for row in table(provider)]


def _changed(row: Row, change: dict[str, Any]) -> Row:
    def settings(world: World) -> dict[str, Any] | None:
        made = row.settings(world)
        return made if made is None else made | change.get("settings", {})

    limits = row.limits._replace(delays_s=(0.0, 0.05, 0.05), silent_s=1.5, **change.get("limits", {}))
    module = str(change.get("module", f"tests.supervisor.children.{row.name}"))
    return row._replace(module=module, limits=Limits(*limits), settings=settings)


if __name__ == "__main__":
    quiet = "TEST_QUIET" in os.environ
    sys.exit(guarded(lambda: serve(None, verbose=not quiet, table=_table)))
