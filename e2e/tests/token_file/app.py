"""A web app that runs what it is told to, in its own cgroup and under its own account. Standard library only."""
import http.server
import json
import os
import signal
import subprocess
import threading
import urllib.parse


def run(query):
    try:
        ended = subprocess.run(query["argument"], capture_output=True, text=True, timeout=50)
    except OSError as error:
        return {"status": None, "stdout": "", "stderr": str(error)}
    return {"status": ended.returncode, "stdout": ended.stdout, "stderr": ended.stderr}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        told = run(urllib.parse.parse_qs(url.query)) if url.path == "/run" else dict(os.environ)
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
