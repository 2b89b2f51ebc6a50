"""`fgsbir serve`: a page to draw on that finds photos, and an API."""

from __future__ import annotations

import socket
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

from fgsbir.commands.parser import CommandParser
from fgsbir.errors import InputError
from fgsbir.search.first_stage import BACKEND_HELP, DEPTH
from fgsbir.search.searcher import Searcher
from fgsbir.serve.limits import Limits

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_CONNECTIONS = 500  # most open connections; further ones are answered 503 before anything is read


def run(argv: list[str]) -> None:
    """Runs the command until Ctrl-C.

    Args:
        argv: its options, without its name.

    Raises:
        InputError: if the index cannot be opened, a limit is not positive, the port is taken, or packages are missing.
    """
    description = "Serves a page to draw on that finds the photos of an index, and an API; see docs/how-to/serve.md."
    parser = CommandParser("fgsbir serve", description)
    parser.add_argument("index", metavar="INDEX", type=Path, help="folder of an index, made by fgsbir index")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; default: %(default)s, this machine only"
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="port to listen on, 0 to 65535; 0 takes a free one; default: %(default)s"
    )
    parser.add_argument("--name", action="append", default=[], help="further host name of the server; may be repeated")
    parser.add_argument(
        "--proxy", metavar="ADDRESS", help="trusted reverse proxy whose X-Forwarded-For header is honoured"
    )
    parser.add_argument(
        "--run", type=Path, help="folder of the run, if it was moved; default: the one that the index names"
    )
    parser.add_argument("--depth", type=int, help=f"number of candidates to match; default: {DEPTH}")
    parser.add_argument("--recall", type=float, help="measured recall to reach, (0, 1], in place of --depth")
    parser.add_argument("--backend", default="faiss", help=BACKEND_HELP)
    limits = parser.add_argument_group("limits")
    for limit in fields(Limits):
        text = f"{limit.metadata['help']}; default: %(default)s"
        limits.add_argument(f"--{limit.name}", type=type(limit.default), default=limit.default, help=text)
    options = parser.parse_args(argv)
    chosen = Limits(**{limit.name: getattr(options, limit.name) for limit in fields(Limits)})

    if missing := [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]:
        raise InputError("fgsbir serve", f"{', '.join(missing)} not installed", "pip install 'fgsbir[search]'")

    import uvicorn

    from fgsbir.serve.app import create_app

    listener = _listen(options.host, options.port)
    with listener:
        searcher = Searcher.open(options.index, options.run, options.depth, options.recall, options.backend)
        # A server on all addresses has host names that cannot be known here.
        anywhere = options.host in ("0.0.0.0", "::") and not options.name
        hosts = None if anywhere else {name.lower() for name in (*_LOOPBACK, *options.name, _in_url(options.host))}
        config = uvicorn.Config(
            create_app(searcher, chosen, hosts),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=options.proxy is not None,
            forwarded_allow_ips=options.proxy,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=5,
        )
        port = listener.getsockname()[1]
        print(f"{len(searcher)} photos: http://{_in_url(options.host)}:{port}  (Ctrl-C ends it)", flush=True)
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn raises it again after the last answer
            print("\nEnded.")


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. It is opened before the index is loaded, so that a port in use shows at once.

    Raises:
        InputError: if the address does not exist, or the port is taken.
    """
    if not 0 <= port < 2**16:
        raise InputError("--port", f"{port} is not a port", "use 0 to 65535")
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"--host {host} --port {port}", f"no such address ({error})", "choose another") from None
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        problem = error.strerror or str(error)
        raise InputError(f"--host {host} --port {port}", f"cannot listen there ({problem})", "choose another") from None
    return listener


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
