"""The published JSON Schemas of manifests, state, journal, plan, events and apply reports: the content of `specs/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from dbc_iac.kinds import MODELS
from dbc_iac.manifest.schema import schemas
from dbc_iac.state.document import State
from dbc_iac.state.records import journal_schema
from dbc_iac.views.json.events import event_schema
from dbc_iac.views.json.schemas import plan_schema, report_schema


@cache
def contracts() -> Mapping[str, str]:
    """The text of every schema, by file name. Deterministic."""
    documents = dict(schemas(MODELS))
    documents["state.schema.json"] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **State.model_json_schema(by_alias=True),
    }
    documents["plan.schema.json"] = plan_schema()
    documents["report.schema.json"] = report_schema()
    documents["event.schema.json"] = event_schema()
    documents["journal.schema.json"] = journal_schema()
    return {
        name: json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }
