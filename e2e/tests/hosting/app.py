"""A web app that tells what it has, for the scenarios of hosted apps. Standard library only."""
import atexit
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request


def token(query):
    """What the app's own endpoint answers, or another one with another secret."""
    endpoint = query.get("endpoint", [os.environ["IDENTITY_ENDPOINT"]])[0]
    header = query.get("secret", [os.environ["IDENTITY_HEADER"]])[0]
    resource = urllib.parse.quote(query["resource"][0], safe="")
    request = urllib.request.Request(
        f"{endpoint}?resource={resource}&api-version=2019-08-01", headers={"X-IDENTITY-HEADER": header})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return {"status": answer.status, "body": json.load(answer)}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}


def read(query):
    try:
        with open(query["path"][0], "rb") as file:
            return {"read": file.read(4096).decode("latin-1")}
    except OSError as error:
        return {"errno": error.strerror}


def bomb(_):
    """As many processes as there may be; they end by themselves."""
    made = 0
    try:
        while made < 2000:
            if os.fork() == 0:
                time.sleep(2)
                os._exit(0)
            made += 1
    except OSError as error:
        return {"made": made, "errno": error.strerror}
    return {"made": made, "errno": None}


def hog(query):
    kept = []
    for _ in range(int(query["mib"][0])):
        kept.append(bytearray(os.urandom(1 << 20)))
    return {"mib": len(kept)}


def fetch(query):
    """What another address answers; in this process, so by sockets of the app's own."""
    headers = dict(header.split(": ", 1) for header in query.get("header", []))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(query["url"][0], headers=headers), timeout=5) as answer:
            return {"status": answer.status, "body": answer.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}
    except OSError as error:
        return {"status": 0, "body": str(error)}


def run(query):
    """How a program ended, which has this one's environment but for some variables."""
    environment = {name: value for name, value in os.environ.items() if name not in query.get("without", [])}
    try:
        ended = subprocess.run(query["argument"], env=environment, capture_output=True, text=True, timeout=100)
    except OSError as error:
        return {"status": None, "stdout": "", "stderr": str(error)}
    return {"status": ended.returncode, "stdout": ended.stdout, "stderr": ended.stderr}


def say(query):
    """As much as is wanted, to standard output and so to the log."""
    try:
        left = memoryview(b"x" * int(query["bytes"][0]))
        while left:
            left = left[os.write(1, left):]
    except OSError as error:
        return {"errno": error.strerror}
    return {"said": int(query["bytes"][0])}


def slow(query):
    time.sleep(float(query["seconds"][0]))
    return {"slept": True}


WHAT = {
    "env": lambda _: dict(os.environ),
    "who": lambda _: {"uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "pid": os.getpid(),
                      "version": VERSION},
    "token": token,
    "read": read,
    "bomb": bomb,
    "hog": hog,
    "say": say,
    "slow": slow,
    "fetch": fetch,
    "run": run,
    "exit": lambda query: os._exit(int(query["status"][0])),
}
VERSION = os.environ.get("VERSION_OF", "1")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        what = WHAT.get(url.path.strip("/"))
        told = what(urllib.parse.parse_qs(url.query)) if what else {"path": self.path}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128


server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
if os.environ.get("IGNORES_TERM"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
# After the threads that answer have ended, and so their connections.
atexit.register(lambda: print("version", VERSION, "ends by itself", flush=True))
try:
    print("version", VERSION, "listens", flush=True)
except OSError:
    # The disk may be full; this app bears that.
    pass
server.serve_forever()
