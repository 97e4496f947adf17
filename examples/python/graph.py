"""Tells of the directory: GRAPH_URL=https://graph... python graph.py NAME makes an application of this name, and finds it again."""
import asyncio
import os
import sys
from urllib.parse import urlparse

from azure.identity import DefaultAzureCredential
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.application import Application
from msgraph.generated.models.password_credential import PasswordCredential
from msgraph.generated.models.service_principal import ServicePrincipal
from msgraph.generated.applications.applications_request_builder import ApplicationsRequestBuilder
from msgraph.generated.applications.item.add_password.add_password_post_request_body import AddPasswordPostRequestBody
from kiota_abstractions.base_request_configuration import RequestConfiguration


async def main(url: str, name: str) -> None:
    provider = AzureIdentityAuthenticationProvider(
        DefaultAzureCredential(), scopes=[f"{url}/.default"], allowed_hosts=[urlparse(url).hostname]
    )
    adapter = GraphRequestAdapter(provider)
    adapter.base_url = f"{url}/v1.0"
    client = GraphServiceClient(request_adapter=adapter)
    made = await client.applications.post(Application(display_name=name))
    query = ApplicationsRequestBuilder.ApplicationsRequestBuilderGetQueryParameters(filter=f"displayName eq '{name}'")
    found = await client.applications.get(RequestConfiguration(query_parameters=query))
    principal = await client.service_principals.post(ServicePrincipal(app_id=made.app_id))
    one = client.applications.by_application_id(made.id)
    body = AddPasswordPostRequestBody(password_credential=PasswordCredential(display_name="from python"))
    password = await one.add_password.post(body)
    await one.delete()
    same = principal.app_id == made.app_id
    print(len(found.value), found.value[0].id == made.id, same, len(password.secret_text) > 30)


asyncio.run(main(os.environ["GRAPH_URL"], sys.argv[1]))
