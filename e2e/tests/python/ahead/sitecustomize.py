"""A clock that is moved by the seconds in the file `KEYLESS_E2E_AHEAD`, for a program that checks tokens with PyJWT and does not know: both
the times in tokens and how long published keys are kept go by it."""
import datetime, os, time

import jwt.api_jwt

monotonic = time.monotonic


def ahead():
    with open(os.environ["KEYLESS_E2E_AHEAD"]) as file:
        return int(file.read())


class Ahead(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=ahead())


jwt.api_jwt.datetime = Ahead
time.monotonic = lambda: monotonic() + ahead()
