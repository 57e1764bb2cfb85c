"""The limit: an MLLP server that appends each frame to a file, one fdatasync for all that wait, and acknowledges."""

from __future__ import annotations

import asyncio
import os
import sys


class _Peer(asyncio.Protocol):
    def __init__(self, log: _Log) -> None:
        self._log = log
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\x1c\r")) >= 0:
            self._log.append(self._buffer[1:end], self)
            self._buffer = self._buffer[end + 2 :]


class _Log:
    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._waiting: list[tuple[bytes, _Peer]] = []

    def append(self, message: bytes, peer: _Peer) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append((message, peer))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        os.write(self._file, b"".join(message for message, _ in waiting))
        os.fdatasync(self._file)
        for message, peer in waiting:
            control = message.split(b"|", 10)[9]
            peer.transport.write(b"\x0bMSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|AA|" + control + b"\r\x1c\r")


async def main(path: str) -> None:
    log = _Log(path)
    server = await asyncio.get_running_loop().create_server(lambda: _Peer(log), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
