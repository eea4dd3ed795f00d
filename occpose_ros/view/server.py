"""The web server of the viewer: viser's, on one address and port, and on no other."""

from __future__ import annotations

import contextlib
import errno
import io
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from occpose_ros.view.source import ViewError

if TYPE_CHECKING:
    from viser import ViserServer

LOCALHOST = "127.0.0.1"
_FIRST_PORT = 8080
_PORTS = 100  # that are tried, if none is named


@contextlib.contextmanager
def open_server(host: str = LOCALHOST, port: int | None = None) -> Iterator[ViserServer]:
    """A running server. port: None takes the first that is free from 8080 on.

    Raises ViewError if the port is taken, the address is not one of this machine, or viser is not installed.
    """
    try:
        import viser
    except ImportError as error:
        raise ViewError(f"the viewer needs the package {error.name!r}: pip install 'occpose[view]'") from error

    class Server(viser.ViserServer):
        def request_share_url(self, verbose: bool = True) -> None:
            """A page may ask for a tunnel to the internet. There is none: people's poses stay on this machine."""

    chosen = _free_port(host) if port is None else port
    _check_free(host, chosen)  # viser would silently take another
    with contextlib.redirect_stdout(io.StringIO()):  # what it says about its address is said better
        server = Server(host=host, port=chosen, label="occpose", verbose=False)
    try:
        if server.get_port() != chosen:
            raise _taken(host, chosen)
        yield server
    finally:
        with contextlib.redirect_stdout(io.StringIO()):
            server.stop()


def _free_port(host: str) -> int:
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        with contextlib.suppress(_TakenError):
            _check_free(host, port)
            return port
    raise ViewError(
        f"all ports of {host} from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1} are taken: name a free one with --port"
    )


class _TakenError(ViewError):
    pass


def _taken(host: str, port: int) -> _TakenError:
    return _TakenError(f"port {port} of {host} is taken, maybe by another viewer: name a free one with --port")


def _check_free(host: str, port: int) -> None:
    """Raise ViewError, with the remedy, if nobody can listen there."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server: what was just closed is free
            probe.bind(address)
            probe.listen()
    except OSError as error:  # socket.gaierror is one
        if error.errno == errno.EADDRINUSE:
            raise _taken(host, port) from None
        if error.errno == errno.EACCES:
            raise ViewError(f"port {port} needs the rights of an administrator: name one above 1023") from None
        raise ViewError(
            f"{host!r} is not an address of this machine: give {LOCALHOST} for this machine alone, or 0.0.0.0 for"
            " every network that it is in"
        ) from None
