"""A wire between a client of MCP and the engine that is listened to: what goes by is held to the official schema of its revision.

tap.py HOST:PORT SCHEMA_FOLDER   prints its address; when its input ends, one line of JSON: how many messages of which kind went by, and
what of them is not as the schema says
"""

import asyncio
import json
import pathlib
import re
import sys

import jsonschema

LEGACY = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
MODERN = "2026-07-28"
HTTP = re.compile(rb"^(POST|GET|DELETE|HEAD) ")


class Official:
    """The schema of a revision: messages by their method."""

    def __init__(self, folder, version):
        whole = json.loads((folder / f"schema-{version}.json").read_text())
        self.key = "$defs" if "$defs" in whole else "definitions"
        self.whole, self.all, self.checks = whole, whole[self.key], {}
        self.by_method = {}
        for name, definition in self.all.items():
            method = definition.get("properties", {}).get("method", {}).get("const")
            if method:
                self.by_method[method] = name

    def errors(self, name, value):
        if name not in self.checks:
            schema = {**self.whole, "$ref": f"#/{self.key}/{name}"}
            schema.pop("anyOf", None)
            self.checks[name] = jsonschema.validators.validator_for(self.whole)(schema)
        return [f"{name}: {error.json_path}: {error.message[:200]}" for error in self.checks[name].iter_errors(value)]

    def result(self, method):
        stem = self.by_method.get(method, "").removesuffix("Request")
        names = [f"{stem}Result", f"{stem}ResultResponse", "EmptyResult", "Result"]
        return next(name for name in names if name in self.all)


class Wire:
    """What goes by on one connection, or in one session of HTTP."""

    def __init__(self, report):
        self.report, self.version, self.asked, self.seen = report, None, {}, None

    def message(self, value, from_client):
        method, ident = value.get("method"), json.dumps(value.get("id"))
        if method == "swarmcast/authenticate":
            self.asked[ident] = (None, method)
            return
        if from_client:
            meta = (value.get("params") or {}).get("_meta") or {}
            # A notification names no revision: it is of that of the requests before it.
            version = meta.get("io.modelcontextprotocol/protocolVersion") or self.version or self.seen
            self.seen = version
            if method == "initialize":
                # Until the server says otherwise: the two directions are looked at one after the other.
                version = self.version = value["params"]["protocolVersion"]
            if "id" in value and method:
                self.asked[ident] = (version, method)
        elif method is None:
            version, method = self.asked.pop(ident, (self.version, None))
            if method == "initialize" and "result" in value:
                version = self.version = self.report.sessions["last"] = value["result"]["protocolVersion"]
            if method == "swarmcast/authenticate":
                return
            method = None if method is None else ("answer", method)
        else:
            tagged = "io.modelcontextprotocol/subscriptionId" in ((value.get("params") or {}).get("_meta") or {})
            modern = tagged or method == "notifications/subscriptions/acknowledged"
            version = MODERN if modern else self.version or next((v for v, _ in self.asked.values()), None)
        self.report.check(version, method, value, from_client)


class Report:
    def __init__(self, folder):
        self.official = {version: Official(folder, version) for version in [*LEGACY, MODERN]}
        self.kinds, self.errors, self.messages, self.sessions = {}, [], 0, {}

    def check(self, version, method, value, from_client):
        self.messages += 1
        side = "client" if from_client else "server"
        version = version if version in self.official else self.sessions.get("last")
        if version is None:
            return self.errors.append(f"{side}: nobody knows the revision of {json.dumps(value)[:200]}")
        official = self.official[version]
        answer = isinstance(method, tuple)
        name = method[1] if answer else method
        self.kinds.setdefault(version, set()).add(f"{side} {name}")
        if "error" in value:
            found = official.errors("JSONRPCErrorResponse" if "JSONRPCErrorResponse" in official.all else "JSONRPCError", value)
        elif answer or method is None:
            found = official.errors(official.result(name), value.get("result"))
        elif method in official.by_method:
            found = official.errors(official.by_method[method], value)
        elif from_client and version == MODERN and method in ("initialize", "notifications/initialized"):
            found = []
        else:
            found = [f"{method} is not of {version}"]
        self.errors += [f"{version} {side} {name}: {error}" for error in found]


def bodies(data, is_response):
    """The bodies of HTTP messages one after the other, as far as they are whole, and whether they are events."""
    at = 0
    while True:
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return
        head = data[at:end].decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        at = end + 4
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                line = data.find(b"\r\n", at)
                if line < 0:
                    yield headers, body
                    return
                size = int(data[at:line], 16)
                body += data[line + 2 : line + 2 + size]
                at = line + 4 + size
                if size == 0:
                    break
        else:
            length = int(headers.get("content-length", "0"))
            body, at = data[at : at + length], at + length
        yield headers, body


def messages(data, from_client):
    if HTTP.match(data) or data.startswith(b"HTTP/"):
        for headers, body in bodies(data, not from_client):
            kind = headers.get("content-type", "")
            if kind.startswith("text/event-stream"):
                for line in body.split(b"\n"):
                    if line.startswith(b"data: ") and line[6:].strip():
                        yield headers, json.loads(line[6:])
            elif kind.startswith("application/json") and body.strip():
                yield headers, json.loads(body)
    else:
        for line in data.split(b"\n"):
            if line.strip():
                yield {}, json.loads(line)


async def main(upstream, folder):
    host, port = upstream.rsplit(":", 1)
    recorded = []

    async def pump(reader, writer, record):
        try:
            while data := await reader.read(65536):
                record.extend(data)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except (ConnectionError, OSError, RuntimeError):
            writer.close()

    async def serve(reader, writer):
        there, back = bytearray(), bytearray()
        recorded.append((there, back))
        from_server, to_server = await asyncio.open_connection(host, int(port))
        pumps = [pump(reader, to_server, there), pump(from_server, writer, back)]
        done, left = await asyncio.wait([asyncio.create_task(it) for it in pumps], return_when=asyncio.FIRST_COMPLETED)
        # HTTP: a client that is gone is to be seen as gone.
        if there.startswith((b"POST", b"GET", b"DELETE")):
            for task in left:
                task.cancel()
        else:
            await asyncio.wait(left, timeout=5)
        for end in (to_server, writer):
            end.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()
    report = Report(pathlib.Path(folder))
    # Sessions of HTTP are spread over connections: what was agreed on is known before what depends on it is looked at.
    shared = Wire(report)
    for there, back in recorded:
        wire = shared if HTTP.match(bytes(there)) else Wire(report)
        for from_client, data in ((True, bytes(there)), (False, bytes(back))):
            for headers, value in messages(data, from_client):
                version = headers.get("mcp-protocol-version")
                if version in LEGACY:
                    wire.version = version
                wire.message(value, from_client)
    kinds = {version: sorted(names) for version, names in report.kinds.items()}
    print(json.dumps({"ok": not report.errors, "messages": report.messages, "errors": report.errors[:20], "kinds": kinds}))


asyncio.run(main(*sys.argv[1:3]))
