"""Where the viewer listens, and what it says when it cannot."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from occpose_ros.view.server import LOCALHOST, open_server
from occpose_ros.view.source import ViewError

pytest.importorskip("viser", reason="the viewer needs viser: pip install 'occpose[view]'")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server((LOCALHOST, 0)) as other:
        yield other.getsockname()[1]


def free_port() -> int:
    with socket.create_server((LOCALHOST, 0)) as other:
        port: int = other.getsockname()[1]
    return port


def test_it_serves_its_page_on_the_port_that_was_named() -> None:
    port = free_port()
    with open_server(port=port) as server:
        assert server.get_port() == port
        connection = http.client.HTTPConnection(LOCALHOST, port, timeout=10)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 200 and b"<title>" in answer.read()
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOCALHOST, port), timeout=10).close()


def test_only_this_machine_can_open_it() -> None:
    """It listens on one address; on every other one of this machine, also of the loopback, nobody answers."""
    with open_server() as server:
        port = server.get_port()
        socket.create_connection((LOCALHOST, port), timeout=10).close()
        others = {address[4][0] for address in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        for address in {"127.0.0.2", *others} - {LOCALHOST}:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, port), timeout=10).close()


def test_everybody_can_if_that_is_wanted() -> None:
    with open_server("0.0.0.0") as server:
        socket.create_connection(("127.0.0.2", server.get_port()), timeout=10).close()


def test_there_is_no_way_out_to_the_internet() -> None:
    """viser's page can ask for a public address; this server has none to give."""
    with open_server() as server:
        assert server.request_share_url() is None


def test_without_a_name_it_takes_a_port_that_is_free() -> None:
    with open_server() as first, open_server() as second:
        assert first.get_port() != second.get_port()


def test_a_port_that_is_taken(taken: int) -> None:
    with pytest.raises(ViewError, match=f"port {taken} of 127.0.0.1 is taken.*--port"), open_server(port=taken):
        pytest.fail("it was opened")


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("192.0.2.1", id="of-another-machine"),  # a documentation address: nobody has it
        pytest.param("no such host", id="no-address"),
    ],
)
def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(ViewError, match="is not an address of this machine.*127.0.0.1"), open_server(host):
        pytest.fail("it was opened")


def test_what_to_install_is_said_in_one_sentence() -> None:
    """In a Python where viser cannot be imported."""
    code = "import sys; sys.modules['viser'] = None; from occpose_ros.cli import main; sys.exit(main(['view']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "occpose view: the viewer needs the package 'viser': pip install 'occpose[view]'\n"


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_what_is_no_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    from occpose_ros.cli import main

    with pytest.raises(SystemExit) as raised:
        main(["view", f"--port={port}"])
    assert raised.value.code == 2 and "give a number from 1 to 65535" in capsys.readouterr().err
