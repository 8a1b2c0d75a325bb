"""A web server that is told when jobs end, and believes only what is signed with the webhook's secret.

    SECRET=whsec_... python examples/webhook_receiver.py 9000

The secret is shown once, by `POST /v1/webhooks`. Framehouse sends to a private address only where the setting
FRAMEHOUSE_SOURCE__PRIVATE_NETWORKS names it, for example '["127.0.0.1/32"]'.
"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

TOLERANCE_S = 300
KNOWN: set[str] = set()


def is_genuine(secret: str, header: str, body: bytes, now_s: float) -> bool:
    """Whether a body was signed with the secret, not long ago. `header` is X-Framehouse-Signature: t=…,v1=…"""
    fields = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    if not fields.get("t", "").isdigit() or abs(now_s - int(fields["t"])) > TOLERANCE_S:
        return False
    expected = hmac.new(secret.encode(), f"{fields['t']}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, fields.get("v1", ""))


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is genuine, 403 to the rest. An event may come twice: its id tells."""

    def do_POST(self) -> None:
        """Take one event."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        genuine = is_genuine(os.environ["SECRET"], self.headers.get("X-Framehouse-Signature", ""), body, time.time())
        self.send_response(204 if genuine else 403)
        self.end_headers()
        event = json.loads(body) if genuine else {}
        if genuine and event["id"] not in KNOWN:
            KNOWN.add(event["id"])
            print(f"{event['type']} {event['job_id']}", flush=True)


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
