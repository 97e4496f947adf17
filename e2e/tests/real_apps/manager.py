"""Plays a resource manager without subscriptions: the one question that `az login --identity` asks of it."""
import http.server
import os


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_asked = self.path.startswith("/subscriptions?") and self.headers.get("Authorization", "").startswith("Bearer ")
        body = b'{"value": []}' if is_asked else b'{"error": {"code": "NotFound", "message": "not played"}}'
        self.send_response(200 if is_asked else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
