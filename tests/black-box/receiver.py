"""A receiver of webhooks that verifies with the library for Python.

Reads the keys to trust from its input, a JSON array a line. Says on its output on which port it listens, when it has
taken new keys, and what it received, one JSON document a line. For each delivery it tries every forgery that differs in
one byte; the library has to refuse them all.
"""

import base64
import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook

webhooks = []
output = threading.Lock()


def say(**what):
    with output:
        print(json.dumps(what))


def other(byte):
    """Another byte of the same kind, so that nothing but the signature can tell."""
    if 0x30 <= byte <= 0x39:
        return 0x30 if byte == 0x39 else byte + 1
    return 0x62 if byte == 0x61 else 0x61


def altered(data, index):
    copy = bytearray(data)
    copy[index] = other(copy[index])
    return bytes(copy)


def forgeries(body, headers):
    dice = hashlib.sha256(headers["webhook-id"].encode()).digest()
    places = {0, len(body) - 1} | {int.from_bytes(dice[at : at + 4], "little") % len(body) for at in (0, 4, 8, 12)}
    for place in places:
        yield f"body byte {place}", altered(body, place), headers

    def changed(name, place):
        return {**headers, name: altered(headers[name].encode(), place).decode()}

    yield "id", body, changed("webhook-id", dice[16] % len(headers["webhook-id"]))
    yield "timestamp", body, changed("webhook-timestamp", len(headers["webhook-timestamp"]) - 1)
    # The same byte of every signature there is. The last characters of base64 hold bits that no decoder looks at.
    place = 4 + dice[17] % 38
    signatures = [altered(one.encode(), place).decode() for one in headers["webhook-signature"].split(" ")]
    yield "signature", body, {**headers, "webhook-signature": " ".join(signatures)}
    yield "scheme", body, {**headers, "webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")}


def problem(webhook, body, headers):
    try:
        webhook.verify(body, headers)
    except Exception as error:  # a forged body may not even be text
        return f"{type(error).__name__}: {error}"
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        name = headers["webhook-id"]
        problems = []
        for webhook in list(webhooks):
            wrong = problem(webhook, body, headers)
            if wrong:
                problems.append(f"{name} is not taken for genuine: {wrong}")
            for what, forged_body, forged_headers in forgeries(body, headers):
                if problem(webhook, forged_body, forged_headers) is None:
                    problems.append(f"{name} with another {what} is taken")
        self.send_response(400 if problems else 200)
        self.send_header("content-length", "0")
        self.end_headers()
        say(id=name, headers=headers, body=base64.b64encode(body).decode(), problems=problems)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
say(port=server.server_address[1])
for line in sys.stdin:
    webhooks[:] = [Webhook(key) for key in json.loads(line)]
    say(trusted=len(webhooks))
