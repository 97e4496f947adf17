"""Users of azure-identity and MSAL for Python, by every flow that has a person in it. Prints the secret that was read with the token.

The first argument says which flow; all that the credentials are told besides the usual is that the authority is a private one."""

import base64
import json
import os
import subprocess
import sys
import time

import msal
from azure.identity import (
    AuthorizationCodeCredential,
    DeviceCodeCredential,
    InteractiveBrowserCredential,
    OnBehalfOfCredential,
    UsernamePasswordCredential,
)
from azure.keyvault.secrets import SecretClient

AUTHORITY, TENANT, PERSON = (os.environ[name] for name in ("AUTHORITY", "TENANT", "PERSON"))
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
VAULT = "https://vault.azure.net/.default"
private = {"authority": AUTHORITY, "disable_instance_discovery": True}


def read(credential):
    print(SecretClient(os.environ["VAULT_URL"], credential).get_secret("db").value)


def person(*arguments):
    """Somebody signs in, and says yes."""
    return subprocess.run([PERSON, *arguments], stdout=subprocess.PIPE, check=True, text=True).stdout


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def device(_):
    credential = DeviceCodeCredential(prompt_callback=lambda uri, code, _: person(uri, code), **private)
    record = credential.authenticate(scopes=[VAULT])
    assert record.username == "alice@keyless.localhost" and record.tenant_id == TENANT, record.serialize()
    read(credential)


def browser(_):
    # Python waits for a browser, unless it is said to be one that goes on by itself.
    os.environ["BROWSER"] = f"{PERSON} %s &"
    credential = InteractiveBrowserCredential(**private)
    # The vault's token then comes without asking the person again: by the refresh token, in the same of the SDK's two caches.
    graph = claims(credential.get_token("https://graph.microsoft.com/.default", enable_cae=True).token)
    assert graph["tid"] == TENANT and "User.Read" in graph["scp"], graph
    read(credential)


def code(arguments):
    client, secret, redirect_uri, given = arguments
    read(AuthorizationCodeCredential(TENANT, client, given, redirect_uri, client_secret=secret, **private))


def on_behalf_of(arguments):
    client, secret, assertion = arguments
    read(OnBehalfOfCredential(TENANT, client, client_secret=secret, user_assertion=assertion, **private))


def password(arguments):
    name, secret, authority = arguments
    told = dict(private, authority=authority)
    read(UsernamePasswordCredential(AZURE_CLI, name, secret, tenant_id=TENANT, **told))


def silent(arguments):
    """MSAL by itself: its cache, its account, and what it says when the cache is old."""
    (advance,) = arguments
    app = msal.PublicClientApplication(
        AZURE_CLI, authority=f"{AUTHORITY}/organizations", instance_discovery=False, client_capabilities=["CP1"]
    )
    flow = app.initiate_device_flow(scopes=[VAULT])
    person(flow["verification_uri"], flow["user_code"])
    first = app.acquire_token_by_device_flow(flow)
    assert first.get("access_token"), first
    assert claims(first["access_token"])["xms_cc"] == ["CP1"], claims(first["access_token"])
    (account,) = app.get_accounts()
    who = first["id_token_claims"]
    assert account["username"] == "alice@keyless.localhost", account
    assert account["home_account_id"] == f"{who['oid']}.{TENANT}", account
    again = app.acquire_token_silent([VAULT], account)
    assert again["access_token"] == first["access_token"] and again["token_source"] == "cache", again
    # Two hours later on both clocks the access token is over, and the refresh token brings another one.
    subprocess.run(advance.split(" "), check=True, stdout=subprocess.DEVNULL)
    real, time.time = time.time, lambda: real() + 7200
    renewed = app.acquire_token_silent([VAULT], account)
    assert renewed["access_token"] != first["access_token"], renewed
    assert renewed["token_source"] == "identity_provider", renewed

    class Kept:
        def get_token(self, *_, **__):
            from azure.core.credentials import AccessToken

            return AccessToken(renewed["access_token"], int(time.time()) + renewed["expires_in"])

    read(Kept())
    app.remove_account(account)
    assert app.get_accounts() == []


globals()[sys.argv[1]](sys.argv[2:])
