"""Runs `az` with the words of the query, and answers how it ended. For tests: it does whatever anybody asks."""
import http.server
import json
import os
import subprocess
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        words = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["word"]
        ended = subprocess.run(["az", *words], capture_output=True, text=True, timeout=100)
        told = {"code": ended.returncode, "out": ended.stdout, "err": ended.stderr}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
