"""What Azure's live test suites import as `devtools_testutils`, written anew.

Microsoft's own package of this name is not published; it records traffic through a proxy and plays it back. Nothing here records: a
test talks to the server that `AZURE_KEYVAULT_URL` or `AZURE_AUTHORITY_HOST` names, always ("live"). What only concerns recordings is accepted and does nothing.
"""

import asyncio
import functools
import hashlib
import inspect
import os

import pytest


def is_live():
    """Always: there is no recording to play."""
    return True


def _nothing(*_args, **_kwargs):
    """Would tell the proxy how to clean or compare a recording."""


add_body_key_sanitizer = _nothing
add_general_regex_sanitizer = _nothing
add_general_string_sanitizer = _nothing
add_header_regex_sanitizer = _nothing
add_oauth_response_sanitizer = _nothing
add_remove_header_sanitizer = _nothing
remove_batch_sanitizers = _nothing
set_bodiless_matcher = _nothing
set_custom_default_matcher = _nothing


@pytest.fixture(scope="session")
def test_proxy():
    """The suites' set-up asks for the proxy by this name; there is none."""
    return None


@pytest.fixture
def recorded_test():
    """A test that asks for it would be recorded; here it only runs."""


class EnvironmentVariables:
    """The settings of a test: variables of the environment, none of which is hidden from a recording."""

    sanitize_batch = staticmethod(_nothing)

    @staticmethod
    def get(name):
        return os.environ[name]


@pytest.fixture(scope="session")
def environment_variables():
    return EnvironmentVariables()


def wanted(function, arguments):
    """Those arguments that a test takes: what prepares a test passes more than most tests want."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return arguments
    names = {parameter.name for parameter in parameters}
    return {name: value for name, value in arguments.items() if name in names}


def recorded_by_proxy(test):
    """Would record the test; here it only runs it."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        return test(*args, **wanted(test, kwargs))

    return run


def PowerShellPreparer(_directory, **playback):
    """Passes settings to a test: each argument's value is in the variable of the same name. What is given is for playback only."""

    def prepare(test):
        # Not `wraps`: pytest would read the test's parameters and look for fixtures of these names.
        def _preparer(self):
            return test(self, **{name: os.environ[name.upper()] for name in playback})

        return _preparer

    return prepare


class AzureMgmtPreparer:
    """Would make a vault by the resource manager. The suites still derive classes from it, and use none of them."""

    def __init__(self, *_args, **_kwargs):
        raise NotImplementedError("vaults are made by `cargo xtask conformance`, not by a test")


class AzureRecordedTestCase:
    """Base of the tests, and of what prepares them."""

    is_live = True

    @staticmethod
    def await_prepared_test(test):
        """Runs a coroutine's test to its end: the secrets suite has them without a mark that would make pytest do so."""

        @functools.wraps(test)
        def run(*args, **kwargs):
            return asyncio.run(test(*args, **kwargs))

        return run

    def is_playback(self):
        return False

    def get_credential(self, _client_class, is_async=False, **kwargs):
        """The app's own identity, as its users get it: a default credential of azure-identity, with nothing passed by us.

        It is the managed identity's and not `DefaultAzureCredential`: the keys suite empties `AZURE_CLIENT_ID` and its like, and the
        latter then stops at the first of its credentials, with "client_id should be the id of a Microsoft Entra application".
        """
        from azure import identity
        from azure.identity import aio

        return (aio if is_async else identity).ManagedIdentityCredential(**kwargs)

    def create_client_from_credential(self, client_class, credential, **kwargs):
        """A client at its defaults, except for the log of bodies, which the suites' logging tests read."""
        kwargs.setdefault("logging_enable", True)
        return client_class(credential=credential, **kwargs)

    def get_resource_name(self, name):
        """The same name whenever the same test asks, another for each other test: they share a vault, as on Azure."""
        test = os.environ["PYTEST_CURRENT_TEST"].rsplit(" ", 1)[0]
        return name + hashlib.sha256(test.encode()).hexdigest()[:8]

    def fail(self, why):
        pytest.fail(why)
