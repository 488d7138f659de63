"""``python -m tests.live.reader ADDRESS``: reads the stream of the living page as the page does, and draws nothing.

Prints a line when it is told the first thing, and how many bytes it was told when its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

import aiohttp


async def read(address: str) -> int:
    """Read until standard input ends; the bytes of all messages."""
    ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    count = 0
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        page = await (await session.get(address)).text()
        (key,) = re.findall(r'"switchraft-key", "([\w-]+)"', page)
        at = address.partition("/open")[0]
        async with session.ws_connect(f"{at}/stream", headers={"Origin": at}, max_msg_size=0) as stream:
            await stream.send_str(json.dumps({"key": key}))
            while not ended.done():
                receiving = asyncio.ensure_future(stream.receive())
                await asyncio.wait([receiving, ended], return_when=asyncio.FIRST_COMPLETED)
                if not receiving.done():
                    receiving.cancel()
                    break
                message = receiving.result()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise SystemExit(f"the stream has ended: {message}")
                if not count:
                    print("reading", flush=True)
                count += len(message.data)
    return count


if __name__ == "__main__":
    print(asyncio.run(read(sys.argv[1])), flush=True)
