"""The P4Runtime server over TLS, with and without certificates asked of clients: BMv2's flags."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest
from finsy.proto import p4r, p4r_grpc

from tests.p4switch.test_process import Process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates: ca, and server and client signed by it."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "2", "-extfile", "names", "-out", f"{name}.pem"),
        )
    return folder


async def version(address: str, credentials: grpc.ChannelCredentials | None) -> str:
    """What Capabilities answers."""
    channel = grpc.aio.secure_channel(address, credentials) if credentials else grpc.aio.insecure_channel(address)
    async with channel:
        stub: Any = p4r_grpc.P4RuntimeStub(channel)  # type: ignore[no-untyped-call]
        return str((await stub.Capabilities(p4r.CapabilitiesRequest(), timeout=10)).p4runtime_api_version)


def switch(folder: Path, *flags: str) -> Process:
    files = ("--grpc-server-cert", str(folder / "server.pem"), "--grpc-server-key", str(folder / "server.key"))
    return Process("--no-p4", "--", "--grpc-server-addr", "127.0.0.1:0", "--grpc-server-ssl", *files, *flags)


async def test_tls_shuts_out_plain_clients(folder: Path) -> None:
    running = await asyncio.to_thread(switch, folder)
    try:
        trusted = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes())
        assert await version(running.address, trusted) == "1.4.0"
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await version(running.address, None)
    finally:
        assert running.end() == (0, "")


async def test_mutual_tls_shuts_out_clients_without_a_certificate(folder: Path) -> None:
    flags = ("--grpc-server-cacert", str(folder / "ca.pem"), "--grpc-server-with-client-auth")
    running = await asyncio.to_thread(switch, folder, *flags)
    try:
        ca, key, chain = ((folder / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem"))
        assert await version(running.address, grpc.ssl_channel_credentials(ca, key, chain)) == "1.4.0"
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await version(running.address, grpc.ssl_channel_credentials(ca))
    finally:
        assert running.end() == (0, "")
