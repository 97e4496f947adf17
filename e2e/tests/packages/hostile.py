"""Zips that nobody should unpack, each into a file of its name: hostile.py FOLDER."""
import stat
import sys
import zipfile

FOLDER = sys.argv[1]
START = ("app.py", b"import time\ntime.sleep(600)\n")


def made(name, *entries):
    with zipfile.ZipFile(f"{FOLDER}/{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(*START)
        for entry, data in entries:
            archive.writestr(entry, data)


def link(name, target):
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry, target


made("traversal", ("../../../../escaped", b"x"))
made("absolute", ("/tmp/keyless-escaped", b"x"))
made("backslash", ("..\\..\\escaped", b"x"))
made("link-out", link("out", "/etc/passwd"))
made("link-up", link("out", "../../../../../../etc"))
made("through", link("here", "below"), ("here/escaped", b"x"))
made("twice", ("escaped", b"x"), ("escaped", b"y"))

with zipfile.ZipFile(f"{FOLDER}/many.zip", "w") as archive:
    archive.writestr(*START)
    for number in range(100_001):
        archive.writestr(zipfile.ZipInfo(f"e/{number}"), b"")

with zipfile.ZipFile(f"{FOLDER}/bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
    archive.writestr(*START)
    piece = bytes(1 << 24)
    for number in range(3):
        with archive.open(f"zeros-{number}", "w", force_zip64=True) as file:
            for _ in range(44):
                file.write(piece)
