"""What the OpenAPI document promises: requests made from it by schemathesis find no error of the server's."""

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error

EXAMPLES = 30
"""Requests to every operation."""


def test_no_request_that_the_document_allows_is_an_error_of_the_server(address: str) -> None:
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        tried.add(operation.path)

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(case=operation.as_strategy())
        def send(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=[not_a_server_error], timeout=60)

        send()
    assert {"/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/audio/transcriptions"} <= tried
