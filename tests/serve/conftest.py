"""An application over made-up photos."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi.testclient import TestClient
from serve.stand_in import StandIn

from fgsbir.serve.app import create_app
from fgsbir.serve.limits import Limits

collect_ignore = ["fuzz.py", "load.py", "running.py"]  # programs, not tests


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Makes a client of an application with some limits; the searcher is its attribute `searcher`."""
    with ExitStack() as stack:

        def make(searcher: Any = None, hosts: Any = None, **limits: Any) -> Any:
            searcher = searcher or StandIn()
            app = create_app(searcher, Limits(**({"rate": 1e6, "burst": 10**6} | limits)), hosts)
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            client.searcher = searcher
            return client

        yield make
