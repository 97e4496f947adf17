"""A plugin as Datasette documents them: who has the token that is in the vault is the clerk, who may see the stock."""
import asyncio
import hmac
import os

from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient
from datasette import hookimpl

vault = SecretClient(os.environ["VAULT_URL"], DefaultAzureCredential())


@hookimpl
def actor_from_request(datasette, request):
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind != "Bearer":
        return None

    async def ask():
        try:
            secret = await asyncio.to_thread(vault.get_secret, "clerks-token")
        except AzureError as error:
            # Datasette answers 403 to whoever is nobody.
            print("the vault was not read:", error, flush=True)
            return None
        return {"id": "clerk"} if hmac.compare_digest(secret.value.encode(), token.encode()) else None

    return ask()
