"""As the package, for coroutines."""

import functools

from . import wanted


def recorded_by_proxy_async(test):
    """Would record the test; here it only runs it."""

    @functools.wraps(test)
    async def run(*args, **kwargs):
        return await test(*args, **wanted(test, kwargs))

    return run
