#!/usr/bin/env python3
"""Does to a running server what no good client does, and holds it to an answer that is polite, exact and final.

    abuse.py --http 127.0.0.1:7400 --tcp 127.0.0.1:7401 [--only ws,handshake,http,tcp] [--case NAME] [--handshake-timeout 5]

One line a case on stderr, a JSON summary on stdout; exit 0 when every case passed. Python standard library only.
"""

import argparse
import concurrent.futures
import json
import os
import re
import struct
import sys
import time

import rawsocket
from rawsocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Ended, Stream, Tcp, WebSocket, frame

CASES = []


def case(group, name=None):
    def add(function):
        CASES.append((group, name or function.__name__, function))
        return function

    return add


def must(condition, text):
    if not condition:
        raise AssertionError(text)


# WebSocket, after a good handshake


def closes_with(group, name, code, *chunks):
    def job(server):
        with WebSocket(server.http) as ws:
            ws.read_text("connection_established")
            for chunk in chunks:
                ws.send(chunk() if callable(chunk) else chunk)
            got = ws.read_close()
            must(got == code, f"closed with {got}, not {code}")

    CASES.append((group, name, job))


closes_with("ws", "message_of_65537_bytes", 1009, lambda: frame(TEXT, b"x" * 65_537))
closes_with("ws", "length_of_1_TiB_claimed", 1009, frame(TEXT, b"xx", said=1 << 40))
closes_with(
    "ws", "fragments_over_65536_bytes", 1009,
    lambda: frame(TEXT, b"x" * 40_000, fin=False) + frame(CONTINUATION, b"x" * 40_000),
)
closes_with("ws", "text_not_utf8", 1007, frame(TEXT, b'{"type":"\xff\xfe"}'))
closes_with("ws", "text_with_surrogate", 1007, frame(TEXT, b'{"type":"\xed\xa0\x80"}'))
closes_with("ws", "text_ends_inside_a_character", 1007, frame(TEXT, b'"\xe2\x82'))
closes_with("ws", "unmasked", 1002, frame(TEXT, b"ping", mask=False))
closes_with("ws", "reserved_bit", 1002, frame(TEXT, b"ping", rsv=4))
closes_with("ws", "reserved_opcode", 1002, frame(3, b"ping"))
closes_with("ws", "reserved_control_opcode", 1002, frame(11, b"ping"))
closes_with("ws", "fragmented_ping", 1002, frame(PING, b"a", fin=False))
closes_with("ws", "ping_of_126_bytes", 1002, frame(PING, b"a" * 126))
closes_with("ws", "continuation_of_nothing", 1002, frame(CONTINUATION, b"ping"))
closes_with("ws", "text_inside_a_fragmented_text", 1002, frame(TEXT, b"pi", fin=False) + frame(TEXT, b"ng"))
closes_with("ws", "close_of_1_byte", 1002, frame(CLOSE, b"\x03"))
closes_with("ws", "close_with_1005", 1002, frame(CLOSE, struct.pack(">H", 1005)))
closes_with("ws", "close_with_999", 1002, frame(CLOSE, struct.pack(">H", 999)))
closes_with("ws", "close_reason_not_utf8", 1007, frame(CLOSE, struct.pack(">H", 1000) + b"\xff"))
closes_with("ws", "binary_message", 1003, frame(BINARY, b"\x5a\x01\x02"))
closes_with("ws", "close_1000_is_echoed", 1000, frame(CLOSE, struct.pack(">H", 1000) + b"done"))
closes_with("ws", "close_4321_is_echoed", 4321, frame(CLOSE, struct.pack(">H", 4321)))


@case("ws")
def message_of_5000_bytes_is_an_error_only(server):
    with WebSocket(server.http) as ws:
        ws.send(frame(TEXT, b'{"type":"ping","x":"' + b"y" * 5000 + b'"}'))
        ws.send(frame(TEXT, b'{"type":"ping","timestamp":5}'))
        must(ws.read_text("pong")["timestamp"] in (5, None), "the connection was not kept")


@case("ws")
def ping_while_big_frames_are_on_their_way(server):
    """Pongs come in order, and no frame is cut by one: `read` fails on the first byte out of place."""
    with WebSocket(server.http) as ws:
        hello = ws.read_text("connection_established")
        size, frames, pongs, sent = 64 + 28 * hello["node_count"], 0, [], 0
        deadline = time.monotonic() + 20
        while (frames < 30 or len(pongs) < 60) and time.monotonic() < deadline:
            if sent < 60:
                ws.send(frame(PING, b"%d" % sent))
                sent += 1
            opcode, payload = ws.read()
            if opcode == BINARY:
                must(len(payload) == size and payload[:4] == b"SWMC", f"a frame of {len(payload)} bytes, not {size}")
                frames += 1
            elif opcode == PONG:
                pongs.append(int(payload))
            must(opcode in (BINARY, PONG), f"opcode {opcode} came")
        must(pongs == list(range(60)), f"pongs for 60 pings: {pongs}")
        must(frames >= 30, f"{frames} frames came")


@case("ws")
def ping_inside_a_fragmented_text(server):
    with WebSocket(server.http) as ws:
        ws.read_text("connection_established")
        ws.send(frame(TEXT, b'{"type":"pi', fin=False) + frame(PING, b"between"))
        ws.send(frame(CONTINUATION, b'ng","timesta', fin=False) + frame(CONTINUATION, b'mp":8}'))
        seen = []
        while len(seen) < 2:
            opcode, payload = ws.read()
            if opcode != BINARY:
                seen.append((opcode, payload))
        must(seen[0] == (PONG, b"between"), f"first came {seen[0]}")
        must(json.loads(seen[1][1])["timestamp"] == 8, f"then came {seen[1]}")


@case("ws")
def one_byte_at_a_time(server):
    with WebSocket(server.http, drip=1) as ws:
        for byte in frame(TEXT, b'{"type":"ping","timestamp":9}'):
            ws.send(bytes([byte]))
        must(ws.read_text("pong")["timestamp"] == 9, "pong")


@case("ws")
def hundred_messages_in_one_write(server):
    with WebSocket(server.http) as ws:
        ws.send(b"".join(frame(TEXT, b'{"type":"ping","timestamp":%d}' % i) for i in range(100)))
        got = [ws.read_text("pong")["timestamp"] for _ in range(100)]
        must(got == list(range(100)), f"pongs came as {got}")


@case("ws")
def unasked_pong_is_ignored(server):
    with WebSocket(server.http) as ws:
        ws.send(frame(PONG, b"nobody asked") + frame(TEXT, b'{"type":"ping","timestamp":1}'))
        must(ws.read_text("pong")["timestamp"] == 1, "pong")


@case("ws")
def gone_without_a_word(server):
    """Resets in the middle of frames: the server goes on for others."""
    for _ in range(20):
        ws = WebSocket(server.http)
        ws.socket.setsockopt(rawsocket.socket.SOL_SOCKET, rawsocket.socket.SO_LINGER, struct.pack("ii", 1, 0))
        ws.close()
    with WebSocket(server.http) as ws:
        ws.read_text("connection_established")
        while ws.read()[0] != BINARY:
            pass


BAD_MESSAGES = {
    "array": b"[]", "number": b"5", "no_type": b"{}", "type_number": b'{"type":5}', "empty": b"", "null": b"null",
    "nul_bytes": b"\x00\x00", "deep": b"[" * 2000, "drag_nan": b'{"type":"nodeDragStart","nodeId":1,"position":{"x":NaN,"y":0,"z":0}}',
    "drag_no_node": b'{"type":"nodeDragStart","nodeId":4000000000,"position":{"x":0,"y":0,"z":0}}',
    "drag_negative_node": b'{"type":"nodeDragStart","nodeId":-1,"position":{"x":0,"y":0,"z":0}}',
    "drag_huge_number": b'{"type":"nodeDragStart","nodeId":1,"position":{"x":1e400,"y":0,"z":0}}',
    "drag_outside": b'{"type":"nodeDragStart","nodeId":1,"position":{"x":10001,"y":0,"z":0}}',
    "rate_0": b'{"type":"subscribe_position_updates","rate":0}',
    "rate_1000": b'{"type":"subscribe_position_updates","rate":1000}',
    "rate_text": b'{"type":"subscribe_position_updates","rate":"fast"}',
    "binary_false": b'{"type":"subscribe_position_updates","rate":10,"binary":false}',
    "pin_no_field": b'{"type":"pinNode"}',
}


@case("messages")
def bad_messages_are_answered_with_error_and_kept(server):
    wrong = []
    with WebSocket(server.http) as ws:
        ws.read_text("connection_established")
        for name, text in BAD_MESSAGES.items():
            ws.send(frame(TEXT, text) + frame(TEXT, b'{"type":"ping","timestamp":77}'))
            seen = []
            while "pong" not in seen:
                opcode, payload = ws.read()
                must(opcode != CLOSE, f"{name}: closed")
                if opcode == TEXT:
                    seen.append(json.loads(payload)["type"])
            if seen != ["error", "pong"]:
                wrong.append(f"{name}: {seen}")
    must(not wrong, "; ".join(wrong))


# Handshakes over HTTP


def http(server, data, seconds=5):
    """Sends bytes, reads one answer: (status, headers in lower case, body). Status 0 when there was none."""
    with Stream(server.http) as stream:
        stream.send(data)
        return answer_of(stream, seconds, data.startswith(b"HEAD"))


def answer_of(stream, seconds, head_only=False):
    deadline = time.monotonic() + seconds
    try:
        while b"\r\n\r\n" not in stream.pending:
            stream.more(max(0.01, deadline - time.monotonic()))
        head, _, _ = bytes(stream.pending).partition(b"\r\n\r\n")
        del stream.pending[: len(head) + 4]
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            must(colon, f"answer has a header line {line!r}")
            headers[name.lower()] = value.strip()
        must(re.match(r"HTTP/1\.[01] \d{3} ", lines[0] + " "), f"status line {lines[0]!r}")
        body = b""
        if not head_only and "content-length" in headers:
            body = stream.take(int(headers["content-length"]), deadline)
        return int(lines[0].split(" ")[1]), headers, body
    except Ended:
        must(not stream.pending, f"the answer broke off: {bytes(stream.pending[:200])!r}")
        return 0, {}, b""
    except TimeoutError:
        return -1, {}, b""


def refused_handshake(name, wanted, change=None, path="/stream", method="GET", version="HTTP/1.1"):
    def job(server):
        _, headers = rawsocket.handshake_lines(path, server.host)
        for key, value in (change or {}).items():
            headers.pop(key, None)
            if value is not None:
                headers[key] = value
        status, _, body = http(server, rawsocket.request(method, path, headers, version))
        must(status in wanted, f"answered {status} ({body[:100]!r}), not {wanted}")

    CASES.append(("handshake", name, job))


refused_handshake("no_key", (400,), {"Sec-WebSocket-Key": None})
refused_handshake("short_key", (400,), {"Sec-WebSocket-Key": "c2hvcnQ="})
refused_handshake("key_not_base64", (400,), {"Sec-WebSocket-Key": "!" * 24})
refused_handshake("version_8", (400, 426), {"Sec-WebSocket-Version": "8"})
refused_handshake("no_version", (400, 426), {"Sec-WebSocket-Version": None})
refused_handshake("no_upgrade", (400, 426), {"Upgrade": None})
refused_handshake("upgrade_to_h2c", (400, 426), {"Upgrade": "h2c"})
refused_handshake("post", (400, 405), method="POST")
refused_handshake("http_1_0", (400, 426, 505), version="HTTP/1.0")
refused_handshake("two_profiles", (400,), {"Sec-WebSocket-Protocol": "v2"}, "/stream?profile=v1")
refused_handshake("unknown_profile_in_query", (400,), path="/stream?profile=v9")
refused_handshake("rate_0_in_query", (400,), path="/stream?rate=0")
refused_handshake("rate_1000_in_query", (400,), path="/stream?rate=1000")
refused_handshake("rate_text_in_query", (400,), path="/stream?rate=fast")
refused_handshake("unknown_path", (404, 400, 426), path="/no/such/stream")


@case("handshake")
def first_known_protocol_wins(server):
    _, headers = rawsocket.handshake_lines("/stream", server.host, "chat, v3, v2")
    status, answer, _ = http(server, rawsocket.request("GET", "/stream", headers))
    must((status, answer.get("sec-websocket-protocol")) == (101, "v3"), f"{status} {answer}")


@case("handshake")
def frames_behind_the_handshake_in_one_write(server):
    """A client may send before it has read the 101: the bytes after the head are its first frame."""
    with Stream(server.http) as stream:
        _, headers = rawsocket.handshake_lines("/stream", server.host)
        stream.send(rawsocket.request("GET", "/stream", headers) + frame(TEXT, b'{"type":"ping","timestamp":3}'))
        deadline = time.monotonic() + 5
        while b'"pong"' not in stream.pending:
            stream.more(max(0.01, deadline - time.monotonic()))


@case("handshake")
def other_paths_are_streams_too(server):
    for path in ("/ws", "/wss"):
        with WebSocket(server.http, path) as ws:
            ws.read_text("connection_established")


# HTTP


def answers(name, data, wanted, check=None, seconds=5):
    def job(server):
        status, headers, body = http(server, data(server) if callable(data) else data, seconds)
        must(status in wanted, f"answered {status} ({body[:120]!r}), not {wanted}")
        if check:
            must(check(headers, body), f"{status} with {headers} {body[:300]!r}")

    CASES.append(("http", name, job))


def get(path, **headers):
    return lambda server: rawsocket.request("GET", path, {"Host": server.host} | headers)


def send(method, path, headers=None, body=b""):
    return lambda server: rawsocket.request(method, path, {"Host": server.host} | (headers or {})) + body


def is_json(*fields):
    return lambda headers, body: "json" in headers.get("content-type", "") and all(f in json.loads(body) for f in fields)


answers("root_as_json", get("/", Accept="application/json"), (200,), is_json("name", "version"))
answers("root_as_html", get("/", Accept="text/html"), (200,), lambda headers, body: b"<" in body)
answers("healthz", get("/healthz"), (200,))
answers("readyz", get("/readyz"), (200,))
answers("metrics", get("/metrics"), (200,), lambda headers, body: b"# TYPE" in body)
answers("no_such_path", get("/no/such/path"), (404,))
answers("head", send("HEAD", "/healthz"), (200,), lambda headers, body: body == b"")
answers("post_to_health", send("POST", "/healthz", {"Content-Length": "0"}), (405,), lambda h, b: "allow" in h)
answers("delete_of_data", send("DELETE", "/api/graph/data"), (405,), lambda h, b: "allow" in h)
answers("method_that_is_none", send("BREW", "/healthz"), (400, 405, 501))
answers("header_of_100_kB", get("/healthz", X="y" * 100_000), (431,))
answers("thousand_headers", get("/healthz", **{f"X-{i}": "y" for i in range(1000)}), (431,))
answers("path_of_100_kB", get("/" + "a" * 100_000), (414, 431))
answers("no_such_class", get("/api/graph/data?class=65000"), (400, 404))
answers("class_of_letters", get("/api/graph/data?class=abc"), (400,))
answers("content_length_of_letters", send("POST", "/api/graph/data", {"Content-Length": "abc"}), (400, 405))
answers("content_length_negative", send("POST", "/api/graph/data", {"Content-Length": "-5"}), (400, 405))
answers(
    "length_and_chunked", send("POST", "/mcp", {"Content-Length": "5", "Transfer-Encoding": "chunked"}, b"0\r\n\r\n"),
    (400, 404, 405, 501),
)
answers("body_of_1_TB_claimed", send("POST", "/api/graph/data", {"Content-Length": str(10**12)}), (405, 411, 413))
answers("http_0_9", b"GET /\r\n\r\n", (0, 400, 505))
answers("http_2_preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (0, 400, 405, 505))
answers("tls_hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500) + b"\r\n\r\n", (0, 400))
answers("zero_bytes", b"\x00" * 1000 + b"\r\n\r\n", (0, 400))
answers("header_without_colon", b"GET /healthz HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", (400,))
answers("header_with_nul", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", (400,))
answers("space_before_colon", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n", (400,))
for number, path in enumerate((
    "/../../../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2f..%2f..%2fetc/passwd",
    "//etc/passwd", "/viewer/../../../../etc/passwd", "/..\\..\\..\\etc\\passwd", "/%00/etc/passwd", "/assets/%c0%ae%c0%ae/etc/passwd",
)):
    answers(f"traversal_{number}", get(path), (400, 403, 404), lambda h, b: b"root:" not in b)


@case("http")
def two_requests_in_one_write(server):
    one = rawsocket.request("GET", "/healthz", {"Host": server.host})
    with Stream(server.http) as stream:
        stream.send(one + one)
        got = [answer_of(stream, 5)[0] for _ in range(2)]
        must(got in ([200, 200], [200, 0]), f"answers {got}")
        if got[1] == 0:
            return "the server closes after each answer"
    return None


@case("http")
def half_a_request_is_ended(server):
    with Stream(server.http) as stream:
        stream.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        start = time.monotonic()
        _, how = stream.until_end(server.handshake_timeout + 3)
        must(how is not None, f"still open after {server.handshake_timeout + 3:g} s")
        return f"{time.monotonic() - start:.1f} s"


@case("http")
def a_request_one_byte_a_second_is_ended(server):
    with Stream(server.http) as stream:
        deadline = time.monotonic() + server.handshake_timeout + 4
        for byte in b"GET /healthz HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxxx\r\n":
            if stream.until_end(1)[1] is not None:
                return None
            must(time.monotonic() < deadline, "drops of a request keep a connection open past the handshake timeout")
            stream.send(bytes([byte]))
        must(False, "the connection was kept until the request was whole")


# Raw TCP


def refused_hello(name, line, *words):
    """The hello is answered with a text that has all the words, and the connection is closed."""

    def job(server):
        with Tcp(server.tcp, line) as stream:
            texts = []
            try:
                while True:
                    kind, body = stream.record()
                    must(kind == "text", f"a frame of {len(body)} bytes was sent for that hello")
                    must(body["type"] in ("error", "goodbye"), f"answered with {body}")
                    texts.append(body)
            except Ended as error:
                must(error.how == "end" or texts, "reset without an answer")
            except TimeoutError:
                must(False, f"not closed; answered with {texts}")
            must(texts, "closed without an answer")
            said = json.dumps(texts).replace(",", "").lower()
            lacking = [word for word in words if word not in said]
            must(not lacking, f"the answer does not name {lacking}: {texts}")
            return (texts[0].get("message") or texts[0].get("reason"))

    CASES.append(("tcp", name, job))


refused_hello("hello_not_json", b"hello there\n", "json")
refused_hello("hello_half_json", b'{"profile":"v1"\n', "json")
refused_hello("hello_empty_line", b"\n")
refused_hello("hello_array", b"[]\n")
refused_hello("hello_unknown_profile", b'{"profile":"v9"}\n', "profile", "v3")
refused_hello("hello_profile_number", b'{"profile":3}\n', "profile")
refused_hello("hello_rate_0", b'{"rate":0}\n', "rate", "1", "120")
refused_hello("hello_rate_1000", b'{"rate":1000}\n', "rate", "120")
refused_hello("hello_rate_negative", b'{"rate":-60}\n', "rate")
refused_hello("hello_rate_fraction", b'{"rate":2.5}\n', "rate")
refused_hello("hello_rate_text", b'{"rate":"60"}\n', "rate")
refused_hello("hello_of_5000_bytes", b'{"profile":"' + b"v" * 5000 + b'"}\n', "4096")
refused_hello("hello_of_1_MB_without_end", b"v" * 1_000_000, "4096")
refused_hello("hello_not_utf8", b'{"profile":"\xff\xfe"}\n')
refused_hello("hello_http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
refused_hello("hello_tls", b"\x16\x03\x01\x02\x00\x01\x00\n")


@case("tcp")
def hello_with_defaults(server):
    with Tcp(server.tcp, b"{}\n") as stream:
        hello = stream.read_text("connection_established")
        must(hello["profile"] == "swarmcast.v1" and hello["rate"] == hello["tick_rate"], f"{hello}")


@case("tcp")
def hello_in_drops(server):
    with Tcp(server.tcp) as stream:
        for byte in b'{"profile":"v2","rate":10}\r\n':
            stream.send(bytes([byte]))
            time.sleep(0.005)
        must(stream.read_text("connection_established")["profile"] == "v2", "profile")


@case("tcp")
def hello_and_ping_in_one_write(server):
    with Tcp(server.tcp, b'{}\n{"type":"ping","timestamp":4}\n') as stream:
        must(stream.read_text("pong")["timestamp"] == 4, "pong")


@case("tcp")
def no_hello_is_ended(server):
    with Tcp(server.tcp) as stream:
        start = time.monotonic()
        _, how = stream.until_end(server.handshake_timeout + 3)
        must(how is not None, f"still open after {server.handshake_timeout + 3:g} s of silence")
        return f"{time.monotonic() - start:.1f} s"


@case("tcp")
def half_a_hello_is_ended(server):
    with Tcp(server.tcp, b'{"profile":') as stream:
        start = time.monotonic()
        _, how = stream.until_end(server.handshake_timeout + 3)
        must(how is not None, f"still open after {server.handshake_timeout + 3:g} s")
        return f"{time.monotonic() - start:.1f} s"


@case("tcp")
def line_of_5000_bytes_is_an_error_only(server):
    with Tcp(server.tcp, b"{}\n") as stream:
        stream.read_text("connection_established")
        stream.send(b'{"type":"ping","x":"' + b"y" * 5000 + b'"}\n')
        stream.read_text("error")
        stream.send(b'{"type":"ping","timestamp":6}\n')
        must(stream.read_text("pong")["timestamp"] == 6, "pong")


def goodbye(name, code, data):
    def job(server):
        with Tcp(server.tcp, b"{}\n") as stream:
            stream.read_text("connection_established")
            stream.send(data)
            got = stream.read_text("goodbye")
            must(got["code"] == code and isinstance(got["reason"], str), f"{got}")
            _, how = stream.until_end(5)
            must(how is not None, "said goodbye and did not close")

    CASES.append(("tcp", name, job))


goodbye("line_over_65536_bytes", 1009, b"x" * 70_000)
goodbye("line_not_utf8", 1007, b'{"type":"\xff"}\n')


@case("tcp")
def blank_lines_and_crlf(server):
    with Tcp(server.tcp, b"{}\n") as stream:
        stream.read_text("connection_established")
        stream.send(b'{"type":"ping","timestamp":2}\r\n')
        must(stream.read_text("pong")["timestamp"] == 2, "pong")


class Server:
    def __init__(self, options):
        self.http, self.tcp = address(options.http), address(options.tcp)
        self.host = options.http
        self.handshake_timeout = options.handshake_timeout


def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def attempt(server, function):
    try:
        return True, function(server)
    except AssertionError as error:
        return False, str(error)
    except Ended as error:
        return False, f"the server closed the connection ({error.how})"
    except (OSError, ValueError, LookupError) as error:
        return False, f"{type(error).__name__}: {error}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--http", default="127.0.0.1:7400")
    parser.add_argument("--tcp", default="127.0.0.1:7401")
    parser.add_argument("--only", default="ws,messages,handshake,http,tcp")
    parser.add_argument("--case", help="only this one")
    parser.add_argument("--handshake-timeout", type=float, default=5, help="seconds; what the server is configured to")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--out", metavar="FILE")
    options = parser.parse_args()
    server = Server(options)
    groups = options.only.split(",")
    chosen = [c for c in CASES if c[0] in groups and options.case in (None, c[1])]
    if not chosen:
        parser.error("no such case")
    results = {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [(group, name, pool.submit(attempt, server, function)) for group, name, function in chosen]
        for group, name, job in jobs:
            passed, note = job.result()
            results[f"{group}.{name}"] = {"pass": passed} | ({"note": note} if note else {})
            print(f"{'pass' if passed else 'FAIL'} {group}.{name}{': ' + note if note else ''}", file=sys.stderr)
    if options.case is None and "ws" in groups:
        # After all that it must still serve.
        passed, note = attempt(server, gone_without_a_word)
        results["afterwards"] = {"pass": passed} | ({"note": note} if note else {})
    failed = sorted(name for name, result in results.items() if not result["pass"])
    summary = {"ok": not failed, "cases": len(results), "failed": failed, "results": results}
    line = json.dumps(summary)
    print(line)
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            file.write(line + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
