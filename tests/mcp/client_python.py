"""The Python SDK against a running engine: begins, lists, calls, reads, subscribes, changes, hears of it, and cleans up behind itself.

client_python.py MODE WAY ADDRESS TOKEN_FILE
  MODE  legacy, auto, or 2026-07-28
  WAY   http (ADDRESS is an URL), tcp (HOST:PORT), or stdio (ADDRESS is the program, "--" and its arguments, joined by spaces)
Prints one line of JSON.
"""

import asyncio
import contextlib
import json
import sys

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from mcp.shared.message import SessionMessage

TOKEN_KEY = "swarmcast/authorization"


@contextlib.asynccontextmanager
async def over_tcp(address, token):
    """The SDK's transport over a bare socket: one message a line. The token goes first, as the bridge sends it."""
    host, port = address.rsplit(":", 1)
    stream = await anyio.connect_tcp(host, int(port))
    hello = {"jsonrpc": "2.0", "id": "auth", "method": "swarmcast/authenticate", "params": {"token": token}}
    await stream.send((json.dumps(hello) + "\n").encode())
    to_session, from_server = anyio.create_memory_object_stream(0)
    to_server, from_session = anyio.create_memory_object_stream(0)

    async def read():
        buffer, known = b"", False
        async with to_session:
            with contextlib.suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
                while True:
                    buffer += await stream.receive()
                    *lines, buffer = buffer.split(b"\n")
                    for line in lines:
                        if not known:
                            assert "result" in json.loads(line), line
                            known = True
                            continue
                        message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                        await to_session.send(SessionMessage(message))

    async def write():
        async with from_session:
            async for sent in from_session:
                text = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
                await stream.send((text + "\n").encode())

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        group.start_soon(write)
        try:
            yield from_server, to_server
        finally:
            await stream.aclose()
            group.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def over_http(url, token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with create_mcp_http_client(headers=headers) as http:
        async with streamable_http_client(url, http_client=http) as streams:
            yield streams


def transport(way, address, token_file):
    token = open(token_file).read().strip() if token_file else ""
    if way == "http":
        return over_http(address, token)
    if way == "tcp":
        return over_tcp(address, token)
    command, *arguments = address.split(" ")
    return stdio_client(StdioServerParameters(command=command, args=arguments))


async def structured(client, tool, arguments):
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, (tool, result)
    assert result.structured_content is not None, tool
    return result.structured_content


async def main(mode, way, address, token_file):
    heard = asyncio.Event()

    async def message(received):
        if isinstance(received, types.ResourceUpdatedNotification) and received.params.uri == "graph://overview":
            heard.set()

    client = Client(transport(way, address, token_file), mode=mode, message_handler=message, read_timeout_seconds=30)
    async with client:
        modern = client.protocol_version == "2026-07-28"
        assert modern == (mode != "legacy"), client.protocol_version
        tools = (await client.list_tools()).tools
        names = {tool.name for tool in tools}
        assert {"graph_overview", "find_nodes", "upsert_nodes", "render_view"} <= names, names
        before = await structured(client, "graph_overview", {})
        resources = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates
        prompts = (await client.list_prompts()).prompts
        assert resources and templates and prompts
        overview = await client.read_resource("graph://overview")
        assert json.loads(overview.contents[0].text)["nodes"] == before["nodes"]
        prompt = await client.get_prompt("explore_graph", {"question": "what is here?"})
        assert prompt.messages
        picture = await client.call_tool("render_view", {"width": 64, "height": 64})
        assert picture.content[0].type == "image", picture
        wrong = await client.call_tool("get_nodes", {"ids": 7})
        assert wrong.is_error
        key = f"python-{mode}-{way}"

        async def change():
            done = await structured(client, "upsert_nodes", {"nodes": [{"id": key, "label": "Python"}]})
            assert done["created"] == [key], done

        if modern:
            async with client.listen(resource_subscriptions=["graph://overview"]) as listened:
                await change()
                async with asyncio.timeout(20):
                    await anext(aiter(listened))
        else:
            await client.set_logging_level("warning")
            await client.send_ping()
            await client.subscribe_resource("graph://overview")
            await change()
            await asyncio.wait_for(heard.wait(), 20)
            await client.unsubscribe_resource("graph://overview")
        after = await structured(client, "graph_overview", {})
        assert after["nodes"] == before["nodes"] + 1, (before, after)
        await structured(client, "delete_items", {"nodes": [key]})
        print(json.dumps({"ok": True, "version": client.protocol_version, "tools": len(tools)}))


asyncio.run(main(*sys.argv[1:4], sys.argv[4] if len(sys.argv) > 4 else ""))
