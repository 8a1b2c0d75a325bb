"""moto's S3 server in a process of its own: `python moto_process.py PORT`.

A PUT of `/_fill/<bucket>/<n>` puts n small objects straight into its store: 10,000 requests would take a minute.
"""

from __future__ import annotations

import logging
import sys

from moto.backends import get_backend
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def fill(bucket: str, n_keys: int) -> None:
    """Objects `many/00000.mp4` … of a few bytes."""
    store = get_backend("s3")["123456789012"]["aws"]
    for number in range(n_keys):
        store.put_object(bucket, f"many/{number:05d}.mp4", b"%05d" % number)


def main() -> None:
    """Serve until killed."""
    served = DomainDispatcherApplication(create_backend_app)

    def application(environ, start_response):  # type: ignore[no-untyped-def]
        path = environ["PATH_INFO"]
        if path.startswith("/_fill/"):
            _, _, bucket, n_keys = path.split("/")
            fill(bucket, int(n_keys))
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        return served(environ, start_response)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line a request
    make_server("127.0.0.1", int(sys.argv[1]), application, threaded=True).serve_forever()


if __name__ == "__main__":
    main()
