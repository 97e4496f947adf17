"""What the checks of a machine are written with: runs programs, asks apps, keeps what a reboot must not lose, says how each check ended.

Runs as root in the guest of `cargo xtask machine`, as a unit of systemd; standard library only.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import traceback
import urllib.parse

HERE = pathlib.Path(__file__).parent
PLACE = pathlib.Path("/var/lib/keyless-machine")
KEPT = PLACE / "kept.json"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
# Of a check. Ours: the guest may be emulated, ten times as slow as the machine.
SECONDS_MAX = 240
RESOURCE = "https://vault.keyless.localhost"
USERS = {"root": {"data": "/var/lib/keyless", "port": 8443},
         "alice": {"data": "/home/alice/.local/share/keyless", "port": 9443}}

checks = []
# What outlasts a reboot: which check is next, how many failed, and what checks put there.
kept = {"next": 0, "failed": 0}


def check(what):
    def add(function):
        checks.append((what, function))
        return function
    return add


def say(text):
    print(text, flush=True)


def play():
    """Plays the checks that are left, each with its end; after the last one the machine is switched off."""
    PLACE.mkdir(exist_ok=True)
    if KEPT.exists():
        kept.update(json.loads(KEPT.read_text()))
    signal.signal(signal.SIGALRM, too_long)
    while kept["next"] < len(checks):
        what, function = checks[kept["next"]]
        kept["next"] += 1
        began = time.monotonic()
        signal.alarm(SECONDS_MAX)
        try:
            told = function()
            signal.alarm(0)
            say(f"ok       {what}{f' ({told})' if told else ''} [{time.monotonic() - began:.0f} s]")
        except Exception:
            signal.alarm(0)
            kept["failed"] += 1
            say(f"FAILED   {what} [{time.monotonic() - began:.0f} s]")
            explain(traceback.format_exc())
        KEPT.write_text(json.dumps(kept))
    say(f"machine: {len(checks) - kept['failed']} passed, {kept['failed']} failed")
    run("systemctl", "poweroff")


def explain(why):
    journal = run("journalctl", "--no-pager", "-o", "cat", "--since", "-30s", "_COMM=keyless", ok=False).stdout
    for line in why.splitlines()[-8:] + ["journal:"] + journal.splitlines()[-12:]:
        say(f"         | {line}")


def too_long(*_):
    raise TimeoutError(f"more than {SECONDS_MAX} seconds")


def reboot():
    """The checks that are left are played after it."""
    kept["boot"] = boot()
    KEPT.write_text(json.dumps(kept))
    run("systemctl", "--no-block", "reboot")
    signal.pause()


def boot():
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def run(*command, user="root", ok=True, input="", seconds=120):
    """How a program ended, with what it said; anything but success is an error, unless it may be."""
    if user != "root":
        command = ("runuser", "-u", user, "--", "env", f"XDG_RUNTIME_DIR=/run/user/{uid(user)}",
                   f"HOME=/home/{user}", *command)
    ended = subprocess.run(command, capture_output=True, text=True, input=input, timeout=seconds, cwd="/")
    if ok and ended.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended


def keyless(*arguments, user="root", ok=True, input=""):
    config = ("--config", "/home/alice/keyless.toml") if user == "alice" else ()
    ended = run("keyless", *config, *arguments, user=user, ok=ok, input=input)
    return ended.stdout + ended.stderr


def uid(user):
    return int(run("id", "-u", user).stdout)


def until(what, is_so, seconds=90):
    """Waits until something is so, and hands back what it came to."""
    ends = time.monotonic() + seconds
    while True:
        came = is_so()
        if came:
            return came
        if time.monotonic() > ends:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.2)


def show(app, user="root"):
    return json.loads(keyless("app", "show", app, "-o", "json", user=user))["hosted"]


def ready(app, user="root"):
    """What `app show` says of it, once all of it is as desired and serves."""
    def is_ready():
        hosted = show(app, user)
        instances = hosted["instances"]
        done = instances and all(one["state"] == "ready" and one["revision"] == hosted["revision"] for one in instances)
        return hosted if done else None
    return until(f"{app} is ready", is_ready)


def pid(app, user="root"):
    return ready(app, user)["instances"][0]["process"]


def fetch(app, what, user="root", **query):
    """The status that an app is served with at its host name, what it says, and what curl says."""
    place, query = USERS[user], urllib.parse.urlencode(query, doseq=True)
    url = f"https://{app}.apps.keyless.localhost:{place['port']}/{what}?{query}"
    ended = run("curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", "--cacert", f"{place['data']}/ca.pem", url, ok=False)
    body, status = ended.stdout.rsplit("\n", 1)
    return int(status), body, ended.stderr.strip()


def ask(app, what, user="root", **query):
    """What an app answers; None if that is no success."""
    status, body, _ = fetch(app, what, user, **query)
    return json.loads(body) if status == 200 else None


def endpoint(app, user="root"):
    environment = ask(app, "env", user)
    return {name: environment[name] for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")}


def stolen(given):
    """By which an app asks at another one's endpoint."""
    return {"endpoint": given["IDENTITY_ENDPOINT"], "secret": given["IDENTITY_HEADER"], "resource": RESOURCE}


def token(app, user="root"):
    """A token that an app gets at its own endpoint."""
    told = ask(app, "token", user, resource=RESOURCE)
    assert told and told["status"] == 200, told
    return told["body"]["access_token"]


def secret(app, user="root"):
    """What an app reads in vault shop, by a token of its own."""
    url = f"https://shop.vault.keyless.localhost:{USERS[user]['port']}/secrets/db?api-version=7.4"
    told = ask(app, "fetch", user, url=url, header=f"Authorization: Bearer {token(app, user)}")
    assert told and told["status"] == 200, told
    return json.loads(told["body"])["value"]


def works(app, user="root"):
    assert secret(app, user) == "s3cret"


def steal(given, user="root"):
    """The status that a program outside of the app gets at its endpoint, by the right secret; 0 if nobody listens there."""
    url = f"{given['IDENTITY_ENDPOINT']}?resource={RESOURCE}&api-version=2019-08-01"
    header = f"X-IDENTITY-HEADER: {given['IDENTITY_HEADER']}"
    return int(run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, url, user=user, ok=False).stdout)


def cgroup(process):
    return CGROUPS / pathlib.Path(f"/proc/{process}/cgroup").read_text().split("0::/")[1].strip()


def limits(process):
    """What stands in the files of its cgroup, or of the one around it that has them."""
    place = cgroup(process)
    files = ("memory.max", "memory.swap.max", "cpu.max", "pids.max")
    return {file: (place / file).read_text().strip() if (place / file).exists() else None for file in files}


def unit(property, name="keyless.service", user="root"):
    manager = () if user == "root" else ("--user",)
    return run("systemctl", *manager, "show", "-p", property, "--value", name, user=user).stdout.strip()


def refusals(user="root"):
    """Records of the audit log that say that a token was refused."""
    return len(re.findall("refused", keyless("audit", "tail", "-n", "1000", user=user)))

