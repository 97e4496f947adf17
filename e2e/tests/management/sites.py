"""azure-mgmt-web: a plan, a web app that is deployed and runs, its settings and identities."""

import json
import sys

import requests
from azure.core import PipelineClient
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest
from azure.mgmt.msi.models import Identity
from azure.mgmt.web.models import (
    AppServicePlan,
    AppServicePlanPatchResource,
    AppServicePlanProperties,
    ConnectionStringDictionary,
    ConnStringValueTypePair,
    CsmPublishingProfileOptions,
    ManagedServiceIdentity,
    NameValuePair,
    ResourceNameAvailabilityRequest,
    Site,
    SiteConfig,
    SiteConfigResource,
    SitePatchResource,
    SiteProperties,
    SkuDescription,
    StringDictionary,
    UserAssignedIdentity,
)

owner, reader, stranger = Who("owner"), Who("reader"), Who("stranger")
DEPLOYMENT = os.environ["DEPLOYMENT"]
for group in ("shop", "other"):
    owner.groups.create_or_update(group, {"location": "westeurope"})


def asked(path, wanted=200, patience=60):
    """What the app answers, once it does so with this status."""
    url = f"https://{site.properties.default_host_name}{path}"
    for _ in range(patience * 4):
        answer = requests.get(url, timeout=30)
        if answer.status_code == wanted:
            return answer
        time.sleep(0.25)
    raise AssertionError(f"{url}: {answer.status_code} {answer.text[:300]}")


# A plan.
OF_PLAN = """id name type location kind sku.name sku.tier sku.capacity properties.status properties.reserved
    properties.provisioning_state properties.number_of_sites properties.resource_group properties.subscription"""
sku, linux = SkuDescription(name="B1", tier="Basic", capacity=1), AppServicePlanProperties(reserved=True)
small = AppServicePlan(location="westeurope", sku=sku, kind="linux", properties=linux, tags={"of": "sdk"})
plan = full(ended(owner.plans.begin_create_or_update("shop", "small", small)), OF_PLAN)
assert plan.id == f"{SUBSCRIPTION_ID}/resourceGroups/shop/providers/Microsoft.Web/serverfarms/small", plan
assert plan.sku.name == "B1" and plan.properties.reserved and plan.tags == {"of": "sdk"}, plan
assert full(owner.plans.get("shop", "small"), OF_PLAN).id == plan.id
assert owner.plans.update("shop", "small", AppServicePlanPatchResource(kind="linux")).sku.name == "B1"
large = AppServicePlan(location="local", sku=SkuDescription(name="P1v3"))
ended(owner.plans.begin_create_or_update("other", "large", large))
assert names(owner.plans.list()) == ["large", "small"] and names(owner.plans.list_by_resource_group("shop")) == ["small"]
assert list(owner.plans.list_web_apps("shop", "small")) == []

# An app, with an identity from the start.
OF_SITE = """id name type kind location properties.state properties.host_names properties.enabled_host_names
    properties.default_host_name properties.server_farm_id properties.enabled properties.https_only properties.resource_group
    properties.last_modified_time_utc properties.host_name_ssl_states properties.site_config.linux_fx_version
    properties.availability_state properties.repository_site_name"""
config = SiteConfig(linux_fx_version="PYTHON|3.12", app_settings=[NameValuePair(name="FROM_START", value="yes")])
wanted = Site(
    location="westeurope",
    kind="app,linux",
    tags={"of": "sdk"},
    properties=SiteProperties(server_farm_id=plan.id, reserved=True, https_only=True, site_config=config),
    identity=ManagedServiceIdentity(type="SystemAssigned"),
)
site = full(ended(owner.sites.begin_create_or_update("shop", "till", wanted)), OF_SITE)
full(site, "identity.type identity.principal_id identity.tenant_id")
assert site.id == f"{SUBSCRIPTION_ID}/resourceGroups/shop/providers/Microsoft.Web/sites/till", site
assert site.properties.server_farm_id == plan.id and site.properties.state == "Running" and site.tags == {"of": "sdk"}, site
assert site.identity.type == "SystemAssigned" and site.identity.tenant_id == TENANT, site
assert site.properties.site_config.linux_fx_version == "PYTHON|3.12", site
assert full(owner.sites.get("SHOP", "Till"), OF_SITE).id == site.id
ended(owner.sites.begin_create_or_update("other", "second", Site(location="local", properties=SiteProperties())))
assert names(owner.sites.list()) == ["second", "till", "web"], "and the app that this runs as"
assert names(owner.sites.list_by_resource_group("shop")) == ["till"]
assert names(owner.plans.list_web_apps("shop", "small")) == ["till"]
assert owner.plans.get("shop", "small").properties.number_of_sites == 1
for one in owner.sites.list():
    full(one, OF_SITE)


def check(name):
    return owner.web.check_name_availability(ResourceNameAvailabilityRequest(name=name, type="Site"))


assert check("till").name_available is False and check("till").reason == "AlreadyExists" and check("till").message
assert check("un_der").reason == "Invalid" and check("free-one").name_available is True

# Settings and connection strings, each replaced as a whole.
settings = full(owner.sites.list_application_settings("shop", "till"), "id name type properties")
assert settings.properties == {"FROM_START": "yes"}, settings
said = owner.sites.update_application_settings("shop", "till", StringDictionary(properties={"VERSION_OF": "7", "EMPTY": ""}))
assert said.properties == {"VERSION_OF": "7", "EMPTY": ""}, said
assert owner.sites.list_application_settings("shop", "till").properties == {"VERSION_OF": "7", "EMPTY": ""}
strings = ConnectionStringDictionary(properties={"db": ConnStringValueTypePair(value="Server=x", type="PostgreSQL")})
said = full(owner.sites.update_connection_strings("shop", "till", strings), "id name type properties")
assert (said.properties["db"].value, said.properties["db"].type) == ("Server=x", "PostgreSQL"), said
found = owner.sites.list_connection_strings("shop", "till").properties
assert list(found) == ["db"] and found["db"].value == "Server=x", found
assert owner.sites.list_application_settings("shop", "till").properties == {"VERSION_OF": "7", "EMPTY": ""}, "apart"

# Configuration.
OF_CONFIG = """id name type properties.linux_fx_version properties.always_on properties.number_of_workers
    properties.min_tls_version properties.http20_enabled properties.app_command_line"""
full(owner.sites.get_configuration("shop", "till"), OF_CONFIG)
changed = owner.sites.update_configuration(
    "shop", "till", SiteConfigResource(properties=SiteConfig(always_on=True, health_check_path="/who"))
)
assert changed.properties.always_on is True and changed.properties.health_check_path == "/who", changed
assert changed.properties.linux_fx_version == "PYTHON|3.12", "what was not said stays"
whole = owner.sites.create_or_update_configuration("shop", "till", owner.sites.get_configuration("shop", "till"))
assert whole.properties.health_check_path == "/who" and whole.properties.always_on is True, whole
(listed,) = owner.sites.list_configurations("shop", "till")
assert full(listed, OF_CONFIG).properties.health_check_path == "/who", listed
assert owner.sites.get_diagnostic_logs_configuration("shop", "till").properties.application_logs.file_system.level == "Off"
assert owner.sites.list_slot_configuration_names("shop", "till").properties.app_setting_names == []
assert list(owner.sites.list_slots("shop", "till")) == []

# How to deploy: there is a name to show, and no password that a file could leak.
user = ended(owner.sites.begin_list_publishing_credentials("shop", "till"))
full(user, "id name type properties.publishing_user_name properties.scm_uri")
assert user.properties.publishing_password is None and user.properties.publishing_user_name == "$till", user
policies = {one.name: one.properties.allow for one in owner.sites.list_basic_publishing_credentials_policies("shop", "till")}
assert policies == {"scm": False, "ftp": False}, policies
assert owner.sites.get_scm_allowed("shop", "till").properties.allow is False
conflict("Conflict", owner.sites.update_scm_allowed, "shop", "till", {"properties": {"allow": True}})
wanted_profile = CsmPublishingProfileOptions(format="WebDeploy")
profile = b"".join(owner.sites.list_publishing_profile_xml_with_secrets("shop", "till", wanted_profile))
assert b'publishMethod="ZipDeploy"' in profile and b'userPWD=""' in profile, profile

# The SDK sends no package: it goes to the app's deployment host, by a token for that.
with open(sys.argv[1], "rb") as file:
    package = file.read()


def deploy(who, scope):
    scm = PipelineClient(user.properties.scm_uri, policies=[BearerTokenCredentialPolicy(who.credential, scope)])
    url, headers = f"{user.properties.scm_uri}/api/zipdeploy?isAsync=true", {"Content-Type": "application/zip"}
    return scm.send_request(HttpRequest("POST", url, content=package, headers=headers))


assert deploy(owner, f"{MANAGEMENT}/.default").status_code == 401, "a token for the resource manager"
assert deploy(reader, f"{DEPLOYMENT}/.default").status_code == 403
assert deploy(stranger, f"{DEPLOYMENT}/.default").status_code == 403
sent = deploy(owner, f"{DEPLOYMENT}/.default")
assert sent.status_code == 202, sent.text()
deployment = sent.headers["scm-deployment-id"]
status = None
for _ in range(240):
    status = ended(owner.sites.begin_get_production_site_deployment_status("shop", "till", deployment))
    if status.properties.status not in ("BuildInProgress", "RuntimeStarting"):
        break
    time.sleep(0.5)
full(status, "id name type properties.deployment_id properties.status properties.number_of_instances_successful")
assert status.properties.status == "RuntimeSuccessful", status
no_resource(owner.sites.begin_get_production_site_deployment_status, "shop", "till", str(uuid.uuid4()))
assert asked("/who").json()["version"] == "7", "with its settings"
environment = asked("/env").json()
assert environment["POSTGRESQLCONNSTR_db"] == "Server=x" and "FROM_START" not in environment, environment
(instance,) = owner.sites.list_instance_identifiers("shop", "till")
assert full(instance, "id name type properties.state").properties.state == "READY", instance

# Stopped, started, restarted.
first = asked("/who").json()["pid"]
assert owner.sites.stop("shop", "till") is None
assert owner.sites.get("shop", "till").properties.state == "Stopped"
asked("/who", 403)
assert owner.sites.start("shop", "till") is None
assert owner.sites.get("shop", "till").properties.state == "Running"
second = asked("/who").json()["pid"]
assert second != first, "another process"
assert owner.sites.restart("shop", "till") is None
for _ in range(240):
    third = asked("/who").json()["pid"]
    if third != second:
        break
    time.sleep(0.25)
assert third != second, "yet another"

# Identities: the app's own and one of the user's; what is taken away has no tokens any more.
resource = requests.utils.quote(os.environ["VAULT_RESOURCE"], safe="")
assert json.loads(asked(f"/token?resource={resource}").text)["status"] == 200
readers = owner.identities.create_or_update("shop", "readers", Identity(location="westeurope"))
given = {readers.id: UserAssignedIdentity()}
both = ManagedServiceIdentity(type="SystemAssigned, UserAssigned", user_assigned_identities=given)
with_both = owner.sites.update("shop", "till", SitePatchResource(identity=both))
assert with_both.identity.type.replace(" ", "") == "SystemAssigned,UserAssigned", with_both
(assigned,) = with_both.identity.user_assigned_identities.values()
assert (assigned.principal_id, assigned.client_id) == (readers.principal_id, readers.client_id), with_both
assert with_both.identity.principal_id == site.identity.principal_id, "it stays who it is"
without = owner.sites.update("shop", "till", SitePatchResource(identity=ManagedServiceIdentity(type="None")))
assert without.identity is None or without.identity.type == "None", without
assert owner.sites.get("shop", "till").identity is None
assert json.loads(asked(f"/token?resource={resource}").text)["status"] != 200

# Who may not, what is not there, what cannot be.
assert reader.sites.get("shop", "till").name == "till" and reader.plans.get("shop", "small").name == "small"
nothing = StringDictionary(properties={})
for call, arguments in [
    (reader.sites.begin_create_or_update, ("shop", "mine", wanted)),
    (reader.sites.update, ("shop", "till", SitePatchResource(kind="app"))),
    (reader.sites.delete, ("shop", "till")),
    (reader.sites.list_application_settings, ("shop", "till")),
    (reader.sites.update_application_settings, ("shop", "till", nothing)),
    (reader.sites.list_connection_strings, ("shop", "till")),
    (reader.sites.update_configuration, ("shop", "till", SiteConfigResource(properties=SiteConfig()))),
    (reader.sites.begin_list_publishing_credentials, ("shop", "till")),
    (reader.sites.start, ("shop", "till")),
    (reader.sites.stop, ("shop", "till")),
    (reader.sites.restart, ("shop", "till")),
    (reader.plans.begin_create_or_update, ("shop", "mine", small)),
    (reader.plans.delete, ("shop", "small")),
    (stranger.sites.get, ("shop", "till")),
    (stranger.sites.get, ("shop", "nothing")),
    (stranger.sites.delete, ("shop", "nothing")),
    (stranger.sites.list_configurations, ("shop", "till")),
    (stranger.sites.list_basic_publishing_credentials_policies, ("shop", "nothing")),
    (stranger.plans.get, ("shop", "small")),
    (stranger.plans.list_web_apps, ("shop", "small")),
    (stranger.plans.list_web_apps, ("shop", "nothing")),
]:
    unauthorized(call, *arguments)
assert list(stranger.sites.list()) == [] and list(stranger.plans.list()) == []
no_resource(owner.sites.get, "shop", "nothing")
no_resource(owner.sites.get, "other", "till")
no_resource(owner.sites.start, "shop", "nothing")
no_resource(owner.sites.list_application_settings, "shop", "nothing")
no_resource(owner.sites.list_configurations, "shop", "nothing")
no_resource(owner.plans.get, "shop", "nothing")
no_resource(owner.plans.list_web_apps, "shop", "nothing")
no_group(owner.sites.begin_create_or_update, "nowhere", "new", Site(location="local", properties=SiteProperties()))
no_group(owner.plans.begin_create_or_update, "nowhere", "new", small)
bad("InvalidResourceName", owner.sites.get, "shop", "un_der")
bad("LocationRequired", owner.sites.begin_create_or_update, "shop", "new", {"properties": {}})
in_no_plan = Site(location="local", properties=SiteProperties(server_farm_id=plan.id.replace("small", "nothing")))
no_resource(owner.sites.begin_create_or_update, "shop", "new", in_no_plan)
elsewhere = Site(location="local", properties=SiteProperties())
conflict("Conflict", owner.sites.begin_create_or_update, "other", "till", elsewhere)
conflict("Conflict", owner.plans.delete, "shop", "small")
reserved = StringDictionary(properties={"IDENTITY_ENDPOINT": "http://elsewhere"})
bad("InvalidRequestContent", owner.sites.update_application_settings, "shop", "till", reserved)
unnamed = StringDictionary(properties={"a=b": "x"})
bad("InvalidRequestContent", owner.sites.update_application_settings, "shop", "till", unnamed)
large = StringDictionary(properties=too_large())
refused(HttpResponseError, 413, "RequestContentTooLarge", owner.sites.update_application_settings, "shop", "till", large)
assert owner.sites.list_application_settings("shop", "till").properties == {"VERSION_OF": "7", "EMPTY": ""}, "as it was"

# Deleted, and deleted again.
assert owner.sites.delete("shop", "till", delete_empty_server_farm=False) is None
assert owner.sites.delete("shop", "till", delete_empty_server_farm=False) is None
no_resource(owner.sites.get, "shop", "till")
assert owner.plans.get("shop", "small").properties.number_of_sites == 0
assert owner.plans.delete("shop", "small") is None and owner.plans.delete("shop", "small") is None
no_resource(owner.plans.get, "shop", "small")
print("done")
