"""Clients of the resource manager and of whom they act for: what is in front of each script here.

All that the clients are told besides the usual is where the resource manager and the authority are, as for every
private cloud."""

import os
import time
import uuid

from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.web import WebSiteManagementClient

MANAGEMENT, AUTHORITY, TENANT = (os.environ[name] for name in ("MANAGEMENT", "AUTHORITY", "TENANT"))
SUBSCRIPTION = os.environ["SUBSCRIPTION"]
SUBSCRIPTION_ID = f"/subscriptions/{SUBSCRIPTION}"
AT = {"base_url": MANAGEMENT, "credential_scopes": [f"{MANAGEMENT}/.default"]}


class Who:
    """Somebody with a client secret, and clients that act for them."""

    def __init__(self, name, **told):
        client, secret, self.principal = os.environ[name.upper()].split(":")
        private = {"authority": AUTHORITY, "disable_instance_discovery": True}
        self.credential = ClientSecretCredential(TENANT, client, secret, **private)
        told = {**AT, **told}
        self.resources = ResourceManagementClient(self.credential, SUBSCRIPTION, **told)
        self.groups = self.resources.resource_groups
        self.vaults = KeyVaultManagementClient(self.credential, SUBSCRIPTION, **told).vaults
        msi = ManagedServiceIdentityClient(self.credential, SUBSCRIPTION, **told)
        self.identities, self.federated = msi.user_assigned_identities, msi.federated_identity_credentials
        roles = AuthorizationManagementClient(self.credential, SUBSCRIPTION, **told)
        self.assignments, self.definitions = roles.role_assignments, roles.role_definitions
        self.web = WebSiteManagementClient(self.credential, SUBSCRIPTION, **told)
        self.sites, self.plans = self.web.web_apps, self.web.app_service_plans

    def secrets(self, vault):
        return SecretClient(vault.properties.vault_uri, self.credential)


def full(value, names):
    """What a user reads of an answer is there, each by its dotted name."""
    for name in names.split():
        found = value
        for part in name.split("."):
            found = getattr(found, part)
        assert found is not None, f"{name} of {value}"
    return value


def refused(kind, status, code, call, *arguments, **named):
    """The call fails in the client's own way, and the error says why in the resource manager's words."""
    try:
        answered = call(*arguments, **named)
        # Lists ask when they are read.
        answered = list(answered) if hasattr(answered, "by_page") else answered
    except HttpResponseError as error:
        assert type(error) is kind and error.status_code == status, (type(error), error.status_code, str(error))
        assert (error.error and error.error.code) == code, (error.error and error.error.code, str(error))
        assert error.error.message, str(error)
        return error
    raise AssertionError(f"not refused: {answered}")


def unauthorized(call, *arguments, **named):
    return refused(HttpResponseError, 403, "AuthorizationFailed", call, *arguments, **named)


def no_group(call, *arguments, **named):
    return refused(ResourceNotFoundError, 404, "ResourceGroupNotFound", call, *arguments, **named)


def no_resource(call, *arguments, **named):
    return refused(ResourceNotFoundError, 404, "ResourceNotFound", call, *arguments, **named)


def bad(code, call, *arguments, **named):
    return refused(HttpResponseError, 400, code, call, *arguments, **named)


def conflict(code, call, *arguments, **named):
    return refused(ResourceExistsError, 409, code, call, *arguments, **named)


def ended(poller):
    """A long-running operation that has ended well: it is not waited for."""
    began = time.monotonic()
    result = poller.result()
    assert poller.done() and poller.status() == "Succeeded", poller.status()
    assert time.monotonic() - began < 10, "everything is answered at once"
    return result


def pages(listed):
    """The names of each page of a list."""
    return [[one.name for one in page] for page in listed.by_page()]


def names(listed):
    return sorted(one.name for one in listed)


def too_large():
    """More than any request may have, and not so much that nobody would read it to its end."""
    return {f"tag{number}": "x" * 60_000 for number in range(10)}
