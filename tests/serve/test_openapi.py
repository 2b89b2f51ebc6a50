"""The OpenAPI document, and that the API does what it says."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from serve.stand_in import StandIn

from fgsbir.serve.app import create_app
from fgsbir.serve.limits import Limits

SCHEMA = schemathesis.openapi.from_asgi(
    "/api/v1/openapi.json", create_app(StandIn(), Limits(rate=1e6, burst=10**6, points=500))
)
load_all_checks()
PROMISES = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
        "negative_data_rejection",
    ]
)
OPERATIONS = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations()}


def test_the_document_is_valid_and_names_every_refusal():
    SCHEMA.validate()
    assert set(OPERATIONS) == {
        "POST /api/v1/search",
        "POST /api/v1/explain",
        "POST /api/v1/sketch",
        "GET /api/v1/photos/{photo}/thumbnail",
        "GET /api/v1/info",
        "GET /healthz",
        "GET /metrics",
    }
    paths = SCHEMA.raw_schema["paths"]
    for name, statuses in (
        ("search", "400 408 413 422 429 503"),
        ("explain", "400 404 408 413 422 429 503"),
        ("sketch", "408 413 415 422 429 503"),
    ):
        responses = paths[f"/api/v1/{name}"]["post"]["responses"]
        for status in statuses.split():
            assert responses[status]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")


CASES = [(label, schemathesis.GenerationMode.POSITIVE) for label in OPERATIONS]
CASES += [(label, schemathesis.GenerationMode.NEGATIVE) for label in ("POST /api/v1/search", "POST /api/v1/explain")]


@pytest.mark.slow
@pytest.mark.parametrize(("label", "mode"), CASES, ids=lambda value: getattr(value, "value", value))
def test_made_up_requests_are_answered_as_documented(label, mode):
    @given(case=OPERATIONS[label].as_strategy(mode))
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case):
        case.call_and_validate(checks=PROMISES)

    run()
