"""HTTP in front of a door that speaks lines: lets the conformance suite, which knows HTTP alone, try raw TCP.

over_tcp.py HOST:PORT   prints its URL and runs until its input ends

Every session, and every request of 2026-07-28, is a connection of its own. What HTTP asks for beside the messages (statuses, headers,
Host and Origin) is answered here, so a run through this shows what the lines say and nothing about our HTTP.
"""

import json
import queue
import socket
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODERN = "2026-07-28"
STATUS = {-32601: 404, -32022: 400, -32021: 400, -32020: 400, -32700: 400, -32600: 400}


class Lines:
    """A connection to the door; answers go to who asked, all else to who asked last."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.waiting = {}
        self.last = None
        self.lock = threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, message, answers=None):
        with self.lock:
            if answers is not None:
                self.waiting[json.dumps(message["id"])] = answers
                self.last = answers
            self.socket.sendall((json.dumps(message) + "\n").encode())

    def read(self):
        try:
            for line in self.socket.makefile("r"):
                message = json.loads(line)
                answers = self.last
                if "method" not in message and json.dumps(message.get("id")) in self.waiting:
                    answers = self.waiting.pop(json.dumps(message["id"]))
                if answers is not None:
                    answers.put(message)
        except OSError:
            pass
        for answers in list(self.waiting.values()):
            answers.put(None)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def end(self, status, message=None, **headers):
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def error(self, status, code, why, ident=None, **data):
        error = {"code": code, "message": why, **({"data": data} if data else {})}
        self.end(status, {"jsonrpc": "2.0", "id": ident, "error": error})

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def trusted(self):
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        return host.split(":")[0] in ("localhost", "127.0.0.1") and (origin is None or origin.split("://")[-1] == host)

    def do_GET(self):
        self.end(405)

    def do_DELETE(self):
        lines = self.server.sessions.pop(self.headers.get("Mcp-Session-Id", ""), None)
        if lines:
            lines.close()
        self.end(200 if lines else 404)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.trusted():
            return self.error(403, -32600, "a foreign Host or Origin")
        ident, method, params = message.get("id"), message.get("method"), message.get("params") or {}
        header = self.headers.get("MCP-Protocol-Version")
        named = (params.get("_meta") or {}).get("io.modelcontextprotocol/protocolVersion")
        modern = header == MODERN or named is not None
        if modern and ident is not None and method is not None:
            if named is not None and header != named:
                return self.error(400, -32020, "MCP-Protocol-Version says something else", ident)
            if self.headers.get("Mcp-Method") != method:
                return self.error(400, -32020, "Mcp-Method says something else", ident)
        new = method == "initialize" and not modern
        if modern or new:
            lines = Lines(self.server.door)
        else:
            lines = self.server.sessions.get(self.headers.get("Mcp-Session-Id", ""))
            if lines is None:
                return self.error(404, -32600, "there is no such session", ident)
        if ident is None or method is None:
            lines.send(message)
            return self.end(202)
        answers = queue.Queue()
        lines.send(message, answers)
        first = answers.get(timeout=60)
        session = {}
        if new and first and "result" in first:
            session = {"Mcp_Session_Id": uuid.uuid4().hex}
            self.server.sessions[session["Mcp_Session_Id"]] = lines
        if first is None or "method" not in first:
            code = ((first or {}).get("error") or {}).get("code")
            status = STATUS.get(code, 200) if modern else 200
            if modern and code == -32602 and (named is None or "clientCapabilities" in first["error"]["message"]):
                status = 400
            self.end(status, first, **session)
        else:
            self.stream()
            try:
                while first is not None:
                    self.chunk(b"event: message\ndata: " + json.dumps(first).encode() + b"\n\n")
                    if "method" not in first:
                        break
                    first = answers.get(timeout=60)
                self.chunk(b"")
            except (OSError, queue.Empty):
                self.close_connection = True
        if modern:
            lines.close()


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that goes away while it is answered is no error here."""


server = Server(("127.0.0.1", 0), Handler)
server.daemon_threads = True
server.door = sys.argv[1]
server.sessions = {}
print(f"http://127.0.0.1:{server.server_port}/mcp", flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
