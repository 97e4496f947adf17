"""Keyless on a stock Debian: a real systemd, cgroup v2 with its controllers, a boot. Each check is one function here, in the order in which
they are played; `cargo xtask machine` starts this in the guest and prints what it says.
"""
import json
import pathlib
import shutil
import stat
import threading
import time
import urllib.parse

from guest import (CGROUPS, HERE, PLACE, ask, boot, cgroup, check, endpoint, fetch, kept, keyless, limits, pid, play, ready, reboot,
                   refusals, run, show, steal, stolen, uid, unit, until, works)

MIB = 1 << 20
LIMITS = ("--memory", "96", "--cpu", "0.5", "--processes", "40")
LIMITS_SET = {"memory.max": str(96 * MIB), "memory.swap.max": "0", "cpu.max": "50000 100000", "pids.max": "40"}
# An image of one program: it listens, and lets itself be asked by `podman exec`.
SERVE = "mkdir -p /tmp/w && echo served > /tmp/w/index.html && exec httpd -f -p \"$PORT\" -h /tmp/w"
INSIDE = ("wget -q -O - --header \"X-IDENTITY-HEADER: $IDENTITY_HEADER\" "
          "\"$IDENTITY_ENDPOINT?api-version=2019-08-01&resource=https://vault.azure.net\"")


def package(name):
    """A folder with the app of the scenarios, as an ordinary user has it, too."""
    folder = PLACE / name
    folder.mkdir(exist_ok=True, parents=True)
    shutil.copy(HERE / "app.py", folder / "app.py")
    return folder


def set_up(user="root"):
    """A vault with a secret, and two apps that may read it."""
    keyless("vault", "create", "shop", user=user)
    keyless("secret", "set", "shop", "db", user=user, input="s3cret")
    for app in ("web", "other"):
        keyless("app", "create", app, user=user)
        keyless("app", "identity", "assign", app, user=user)
        keyless("vault", "policy", "set", "shop", "--app", app, "--secrets", "get", user=user)
        keyless("app", "deploy", app, "--dir", str(package("app")), user=user)
        ready(app, user)


# 1. The service of the system


@check("service install --socket --now: active, and enabled for the next boot")
def _():
    for user in ("alice", "mallory"):
        run("useradd", "--create-home", "--shell", "/bin/bash", user)
    keyless("service", "install", "--socket", "--now")
    for name in ("keyless.service", "keyless.socket"):
        assert run("systemctl", "is-active", name).stdout.strip() == "active"
        assert run("systemctl", "is-enabled", name).stdout.strip() == "enabled"
    key = pathlib.Path("/var/lib/keyless/recovery.key").stat()
    assert stat.S_IMODE(key.st_mode) == 0o600 and key.st_uid == 0


@check("status and doctor: the kernel enforces all of it")
def _():
    for word in ("status", "doctor"):
        said = keyless(word)
        assert "enforced" in said and "unenforced" not in said, said


@check("systemd-analyze security: the unit's exposure")
def _():
    last = run("systemd-analyze", "security", "--no-pager", "keyless.service").stdout.strip().splitlines()[-1]
    assert "Overall exposure level" in last, last
    return last.split(": ", 1)[1].strip()


@check("an app is deployed from a folder, gets a token and reads a secret, under the hardening of the unit")
def _():
    set_up()
    works("web")
    state = pathlib.Path(f"/proc/{pid('web')}/status").read_text()
    assert "\nNoNewPrivs:\t1\n" in state and "\nCapEff:\t0000000000000000\n" in state and "\nUid:\t0" not in state, state


@check("no unit of the machine has failed")
def _():
    failed = run("systemctl", "--failed", "--plain", "--no-legend").stdout
    assert not failed, failed


# 2. Limits


@check("memory.max, cpu.max and pids.max stand in the app's cgroup")
def _():
    keyless("app", "configure", "web", *LIMITS)
    hosted = ready("web")
    assert hosted["unenforced"] == [], hosted
    process = pid("web")
    assert limits(process) == LIMITS_SET, limits(process)
    assert ask("web", "read", path=str(cgroup(process) / "memory.max")) == {"read": f"{96 * MIB}\n"}, "it can look that up itself"


@check("an app that takes all memory is killed for it and comes back; nothing else suffers")
def _():
    before, others, server = pid("web"), pid("other"), unit("MainPID")
    assert ask("web", "hog", mib=300) is None
    until("another instance", lambda: show("web")["instances"] and pid("web") != before)
    assert "memory" in show("web")["last_failure"], show("web")
    works("web")
    works("other")
    assert (pid("other"), unit("MainPID")) == (others, server)


def start_anew(app, user="root"):
    """It does not wait for the children that it has made, which count for as long as it runs."""
    before = pid(app, user)
    keyless("app", "restart", app, user=user)
    until("another instance", lambda: pid(app, user) != before)
    works(app, user)


@check("a fork bomb is held at the limit; nothing else suffers")
def _():
    others, server = pid("other"), unit("MainPID")
    bombed = ask("web", "bomb")
    assert bombed and bombed["errno"] and bombed["made"] < 40, bombed
    works("other")
    start_anew("web")
    assert (pid("other"), unit("MainPID")) == (others, server)


@check("half a processor is half a processor")
def _():
    counted = cgroup(pid("web")) / "cpu.stat"
    used = lambda: int(counted.read_text().split("usage_usec ")[1].split()[0])
    before, began = used(), time.monotonic()
    spin = "import time\nend = time.monotonic() + 4\nwhile time.monotonic() < end: pass"
    ran = ask("web", "run", argument=["python3", "-c", spin])
    assert ran["status"] == 0, ran
    share = (used() - before) / 1e6 / (time.monotonic() - began)
    assert share < 0.6, share
    return f"{share:.2f}"


# 3. Thieves


@check("with the stolen endpoint and secret: root elsewhere, another user and another app are refused, and audited")
def _():
    given, before = endpoint("web"), refusals()
    assert steal(given) == 403
    assert steal(given, user="mallory") == 403
    assert ask("other", "token", **stolen(given))["status"] == 403
    assert ask("web", "token", **stolen(given))["status"] == 200, "the owner"
    assert refusals() == before + 3
    assert given["IDENTITY_HEADER"] not in keyless("audit", "tail", "-n", "1000")
    keyless("audit", "verify")


# 4. Restarts


def runs_on(end, user="root"):
    """The same process of the app is served by another one of the server, by the endpoint that it has."""
    app, server, given = pid("web", user), unit("MainPID", user=user), endpoint("web", user)
    end()
    until("another server", lambda: unit("MainPID", user=user) not in ("0", server))
    keyless("status", "--wait", "90", user=user)
    assert pid("web", user) == app
    assert endpoint("web", user) == given
    works("web", user)
    assert steal(given, user=user) == 403


@check("systemctl restart: the app runs on, is adopted, and its endpoint works")
def _():
    runs_on(lambda: run("systemctl", "restart", "keyless"))
    assert limits(pid("web")) == LIMITS_SET


@check("kill -9: systemd starts the server again, and the app runs on")
def _():
    runs_on(lambda: run("kill", "-9", unit("MainPID")))
    assert unit("NRestarts") == "1", unit("NRestarts")
    assert limits(pid("web")) == LIMITS_SET


@check("systemctl stop leaves apps running; the next connection starts the server")
def _():
    runs_on(lambda: (run("systemctl", "stop", "keyless.service"), ask("web", "who")))


@check("while the server is restarted each connection is answered")
def _():
    ended, told = threading.Event(), []

    def connect():
        while not ended.is_set():
            told.append(fetch("web", "who"))

    threads = [threading.Thread(target=connect) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    run("systemctl", "restart", "keyless")
    time.sleep(1)
    ended.set()
    for thread in threads:
        thread.join()
    unanswered = [one for one in told if one[0] != 200]
    assert len(told) > 5 and not unanswered, (len(told), unanswered)
    return f"{len(told)} requests"


# 5. Units that Keyless did not start


def worker(given):
    """What the worker is answered at an endpoint."""
    url = "http://127.0.0.1:7070/token?" + urllib.parse.urlencode(stolen(given))
    return json.loads(run("curl", "-sS", "--max-time", "20", url).stdout)["status"]


def attached():
    keyless("attach", "--app", "worker", "--unit", "worker.service", "--env-file", "/run/worker.env")
    lines = dict(line.split("=", 1) for line in pathlib.Path("/run/worker.env").read_text().splitlines() if "=" in line)
    return {name: lines[name] for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")}


@check("attach --unit: a unit of systemd gets tokens, a stranger does not")
def _():
    pathlib.Path("/etc/systemd/system/worker.service").write_text(
        "[Service]\nDynamicUser=yes\nEnvironment=PORT=7070 IDENTITY_ENDPOINT=none IDENTITY_HEADER=none\n"
        f"ExecStart=/usr/bin/python3 {package('app')}/app.py\n")
    PLACE.chmod(0o755)
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "worker")
    until("the worker listens", lambda: run("curl", "-s", "http://127.0.0.1:7070/who", ok=False).stdout)
    given = kept["worker"] = attached()
    assert worker(given) == 200
    assert steal(given) == 403 and steal(given, user="mallory") == 403


@check("a restart of the server keeps what is attached; a restart of the unit ends it, until it is attached again")
def _():
    run("systemctl", "restart", "keyless")
    assert worker(kept["worker"]) == 200
    run("systemctl", "restart", "worker")
    until("the worker listens", lambda: run("curl", "-s", "http://127.0.0.1:7070/who", ok=False).stdout)
    until("its endpoint is gone", lambda: steal(kept["worker"]) == 0)
    assert worker(attached()) == 200
    run("systemctl", "stop", "worker")


# 6. A user's service


@check("loginctl enable-linger, service install --user --now: active, and the kernel enforces all of it")
def _():
    pathlib.Path("/home/alice/keyless.toml").write_text("port = 9443\n")
    # The machine is slow where it is emulated, and the bus gives up after 25 seconds.
    until("she may linger", lambda: run("loginctl", "enable-linger", "alice", ok=False).returncode == 0)
    until("her manager runs", lambda: unit("ActiveState", f"user@{uid('alice')}.service") == "active")
    keyless("service", "install", "--user", "--now", user="alice")
    assert unit("ActiveState", user="alice") == "active"
    # Asked from where she has no cgroup of hers: what apps can be given is of the server's place.
    said = keyless("doctor", user="alice")
    for limit in ("memory limit", "processor limit", "process limit"):
        assert f"{limit}, for a hosted app: enforced by the kernel" in said, said
    said = keyless("status", user="alice")
    assert "enforced" in said and "unenforced" not in said, said
    return (CGROUPS / f"user.slice/user-{uid('alice')}.slice/user@{uid('alice')}.service/cgroup.controllers").read_text().strip()


@check("her app runs in mode user, gets a token and reads a secret; other users, root and her other programs are refused")
def _():
    set_up("alice")
    works("web", "alice")
    hosted = show("web", "alice")
    assert hosted["isolation"].startswith("user"), hosted["isolation"]
    given, before = endpoint("web", "alice"), refusals("alice")
    assert [steal(given, user=user) for user in ("mallory", "root", "alice")] == [403, 403, 403]
    assert ask("other", "token", "alice", **stolen(given))["status"] == 403
    assert refusals("alice") == before + 4
    return hosted["isolation"]


@check("the controllers that systemd delegates limit her app")
def _():
    keyless("app", "configure", "web", *LIMITS, user="alice")
    hosted = ready("web", "alice")
    assert hosted["unenforced"] == [], hosted["unenforced"]
    process = pid("web", "alice")
    assert limits(process) == LIMITS_SET, limits(process)
    assert ask("web", "hog", "alice", mib=300) is None
    until("another instance", lambda: show("web", "alice")["instances"] and pid("web", "alice") != process)
    bombed = ask("web", "bomb", "alice")
    assert bombed and bombed["errno"] and bombed["made"] < 40, bombed
    start_anew("web", "alice")


@check("systemctl --user restart, and kill -9: her app runs on under its limits")
def _():
    runs_on(lambda: run("systemctl", "--user", "restart", "keyless", user="alice"), "alice")
    runs_on(lambda: run("kill", "-9", unit("MainPID", user="alice")), "alice")
    assert limits(pid("web", "alice")) == LIMITS_SET


# 7. Containers


def container(user):
    """An image is imported from a tar and deployed; what its container gets at its endpoint."""
    image = PLACE / "image"
    (image / "bin").mkdir(parents=True, exist_ok=True)
    for folder in ("etc", "proc", "sys", "dev", "tmp"):
        (image / folder).mkdir(exist_ok=True)
    shutil.copy("/bin/busybox", image / "bin/busybox")
    for name in ("sh", "wget", "mkdir", "echo", "httpd"):
        (image / "bin" / name).unlink(missing_ok=True)
        (image / "bin" / name).symlink_to("busybox")
    run("tar", "-C", image, "-cf", PLACE / "image.tar", ".")
    run("podman", "import", "--quiet", PLACE / "image.tar", "keyless-machine", user=user)
    keyless("app", "deploy", "box", "--image", "keyless-machine", "--command", SERVE, "--timeout", "120", user=user)
    keyless("app", "configure", "box", *LIMITS, user=user)
    hosted = ready("box", user)
    assert hosted["enforced"] and hosted["unenforced"] == [], hosted
    podman = ("podman", "--cgroup-manager", "cgroupfs")
    name = run(*podman, "ps", "--quiet", user=user).stdout.split()[0]
    process = run(*podman, "inspect", "--format", "{{.State.Pid}}", name, user=user).stdout.strip()
    # The container's own cgroup is below the app's.
    around = cgroup(process).parent
    assert {file: (around / file).read_text().strip() for file in LIMITS_SET} == LIMITS_SET
    told = json.loads(run(*podman, "exec", name, "sh", "-c", INSIDE, user=user).stdout)
    assert told["access_token"]
    return hosted["isolation"]


@check("an image is imported and deployed as a container: a token from inside, limits around it")
def _():
    return container("root")


@check("the same as an ordinary user")
def _():
    return container("alice")


# 8. A reboot


@check("the machine is started again")
def _():
    kept["endpoint"] = endpoint("web")
    reboot()


@check("after the boot services, apps, containers, limits and secrets are there without a hand, the user's too")
def _():
    assert boot() != kept["boot"]
    for user in ("root", "alice"):
        until(f"the service of {user} answers", lambda: "enforced" in keyless("status", user=user, ok=False))
        for app in ("web", "other", "box"):
            ready(app, user)
        works("web", user)
        works("other", user)
        assert limits(pid("web", user)) == LIMITS_SET
    assert unit("ActiveState", "keyless.socket") == "active"
    assert endpoint("web")["IDENTITY_HEADER"] != kept["endpoint"]["IDENTITY_HEADER"]
    failed = run("systemctl", "--failed", "--plain", "--no-legend").stdout
    assert not failed, failed


# 9. The end


def is_gone(user, place):
    """Nothing of a user's service runs, and no cgroup of its apps is left."""
    names = [path.name for path in place.glob("**/keyless*") if path.is_dir()] if place.exists() else []
    assert not names, names
    assert run("podman", "ps", "--all", "--quiet", user=user).stdout == ""


@check("service uninstall --user: apps end, no unit, process or cgroup is left")
def _():
    app = pid("web", "alice")
    keyless("service", "uninstall", "--user", user="alice")
    assert not pathlib.Path(f"/proc/{app}").exists()
    assert not list(pathlib.Path("/home/alice/.config/systemd/user").glob("**/keyless*"))
    assert run("pgrep", "-u", "alice", "keyless|python3|httpd", ok=False).stdout == ""
    is_gone("alice", CGROUPS / "user.slice")


@check("service uninstall: apps end, no unit, process or cgroup is left, and the data stays")
def _():
    app = pid("web")
    keyless("service", "uninstall")
    assert not pathlib.Path(f"/proc/{app}").exists()
    assert not list(pathlib.Path("/etc/systemd/system").glob("**/keyless.*"))
    assert run("pgrep", "keyless$|httpd", ok=False).stdout == ""
    is_gone("root", CGROUPS / "keyless")
    assert not list((CGROUPS / "system.slice").glob("keyless.s*"))
    assert pathlib.Path("/var/lib/keyless").is_dir()


play()
