//! Tables of commands: what `az` is told, how it ends, and what shows that it was done. One table an area, each on a server of its own.

use super::{
    Az,
    objects::{certificates_are_imported, keys_are_used},
    rows::{
        Row,
        Shown::{At, Done, Gone, Ours, Refused, Says},
        owner, play, play_with,
    },
};
use e2e::{Ended, wait};
use serde_json::{Value, json};

#[test]
fn groups_providers_and_the_account() {
    owner(
        "az-groups",
        &[
            Row("account list", 0, At("/0/state", "Enabled")),
            Row("account show", 0, At("/id", "$S")),
            Row("account set -s $S", 0, Done),
            Row("account set -s none", 1, Says("doesn't exist")),
            Row("account list-locations", 0, At("/0/name", "local")),
            Row("account get-access-token", 0, At("/tokenType", "Bearer")),
            Row("account get-access-token --resource https://nowhere.example", 1, Says("AADSTS500011")),
            Row("cloud list --query [?isActive].name", 0, At("/0", "Keyless")),
            Row("cloud show -n Keyless", 0, At("/endpoints/resourceManager", "https://management.$D/")),
            Row("cloud show -n None", 1, Says("is not registered")),
            Row(
                "group create -n one -l local --tags a=b c=d",
                0,
                Ours("audit tail", "allowed group.put resource group one"),
            ),
            Row("group create -n one -l local --tags a=x", 0, At("/tags/a", "x")),
            Row("group create -n one -l elsewhere", 1, Says("InvalidResourceGroupLocation")),
            Row("group show -n ONE", 0, At("/name", "one")),
            Row("group list --query [?name=='one'].location", 0, At("/0", "local")),
            Row("group list --tag a=x --query [].name", 0, At("", "[\"one\"]")),
            Row("group list --tag a=other", 0, At("", "[]")),
            Row("group list --tag other", 0, At("", "[]")),
            Row("group list --no-such-option", 2, Says("unrecognized arguments")),
            Row("group exists -n one", 0, At("", "true")),
            Row("group exists -n none", 0, At("", "false")),
            Row("group update -n one --set tags.e=f", 0, At("/tags/e", "f")),
            Row("group update -n none --set tags.e=f", 3, Says("ResourceGroupNotFound")),
            Row("group show -n none", 3, Says("ResourceGroupNotFound")),
            Row("group create -n bad. -l local", 1, Says("InvalidResourceName")),
            Row("resource list -g one", 0, At("", "[]")),
            Row("resource list -g none", 3, Says("ResourceGroupNotFound")),
            Row("provider show -n Microsoft.Web", 0, At("/registrationState", "Registered")),
            Row("provider show -n Microsoft.None", 3, Says("InvalidResourceNamespace")),
            Row("provider register -n Microsoft.KeyVault", 0, Done),
            Row("provider register -n Microsoft.None", 3, Says("InvalidResourceNamespace")),
            Row(
                "provider list --query [?namespace=='Microsoft.KeyVault'].namespace",
                0,
                At("/0", "Microsoft.KeyVault"),
            ),
            Row(
                "rest --url https://management.$D/subscriptions/$S?api-version=2022-12-01",
                0,
                At("/state", "Enabled"),
            ),
            Row("rest --url https://management.$D/subscriptions/$S", 1, Says("MissingApiVersionParameter")),
            Row("rest --url https://graph.$D/v1.0/applications", 0, At("/value/0/appId", "$C")),
            Row("rest --url https://graph.$D/v1.0/users", 1, Says("Authorization_RequestDenied")),
            // `az` itself knows that there is no other.
            Row("group list --subscription 00000000-0000-4000-8000-000000000000", 1, Says("not found")),
            Row("rest --url /subscriptions/$S/nothing?api-version=2022-12-01", 1, Says("Not Found")),
            Row("group delete -n one -y", 0, Ours("audit tail", "allowed group.delete resource group one")),
            Row("group delete -n one -y", 3, Says("ResourceGroupNotFound")),
            Row("group show -n one", 3, Says("ResourceGroupNotFound")),
            Row("logout", 0, Done),
            Row("logout", 1, Says("no active accounts")),
            Row("account show", 1, Says("az login")),
            Row("account clear", 0, Done),
            Row("account list --query length(@)", 0, At("", "0")),
        ],
    );
}

#[test]
fn vaults_and_who_may_use_them() {
    const SOMEBODY: &str = "11111111-2222-4333-8444-555555555555";
    const GET: &str = "keyvault set-policy -n shop --object-id 11111111-2222-4333-8444-555555555555 --secret-permissions get list";
    const NONE: &str = "keyvault delete-policy -n shop --object-id 11111111-2222-4333-8444-555555555555";
    owner(
        "az-vaults",
        &[
            Row("group create -n g -l local", 0, Done),
            Row("group create -n h -l local", 0, Done),
            Row(
                "keyvault create -g g -n shop -l local --enable-rbac-authorization false --tags team=a",
                0,
                At("/properties/accessPolicies/0/objectId", "$P"),
            ),
            Row("keyvault create -g g -n shop -l local", 1, Says("already exist")),
            Row("keyvault create -g h -n shop -l local", 1, Says("VaultAlreadyExists")),
            Row("keyvault create -g g -n a -l local", 1, Says("InvalidResourceName")),
            Row("keyvault create -g none -n other -l local", 3, Says("ResourceGroupNotFound")),
            Row("keyvault show -n shop", 0, At("/properties/vaultUri", "https://shop.vault.$D/")),
            Row("keyvault show -g g -n shop", 0, At("/tags/team", "a")),
            Row("keyvault show -n none", 1, Says("not found")),
            Row("keyvault list", 0, At("/0/name", "shop")),
            Row("keyvault list -g g", 0, At("/0/name", "shop")),
            Row("resource list -g g", 0, At("/0/type", "Microsoft.KeyVault/vaults")),
            Row("resource list --query [?name=='shop'].location", 0, At("/0", "local")),
            Row("resource list --tag team=a --query [].name", 0, At("/0", "shop")),
            Row("resource list --tag team=b", 0, At("", "[]")),
            Row(GET, 0, Ours("vault policy list shop -o json", SOMEBODY)),
            Row(NONE, 0, Gone("vault policy list shop -o json", SOMEBODY)),
            Row(NONE, 1, Says("No matching policies")),
            Row("keyvault delete-policy -n shop --spn $C", 0, Gone("vault policy list shop -o json", "$P")),
            Row(
                "keyvault set-policy -n shop --spn $C --secret-permissions get",
                0,
                Ours("vault policy list shop -o json", "$P"),
            ),
            Row(
                "keyvault set-policy -n shop --spn nobody --secret-permissions get",
                1,
                Says("Unable to get object id"),
            ),
            Row(
                "keyvault set-policy -n shop --object-id $P --secret-permissions fly",
                2,
                Says("is not a valid value"),
            ),
            Row("keyvault set-policy -n none --object-id $P --secret-permissions get", 1, Says("not found")),
            Row("keyvault update -n shop --retention-days 10", 1, Says("cannot be changed")),
            Row("keyvault update -n none --enable-purge-protection true", 1, Says("not found")),
            Row(
                "keyvault update -n shop --enable-purge-protection true",
                0,
                At("/properties/enablePurgeProtection", "true"),
            ),
            Row(
                "keyvault create -g g -n second -l local --retention-days 7",
                0,
                At("/properties/enableRbacAuthorization", "true"),
            ),
            Row(
                "keyvault set-policy -n second --object-id 11111111-2222-4333-8444-555555555555 --secret-permissions get",
                1,
                Says("--enable-rbac-authorization"),
            ),
            Row("keyvault network-rule add -n second --ip-address nowhere", 2, Says("does not appear to be")),
            Row("keyvault network-rule add -n none --ip-address 192.0.2.7", 1, Says("not found")),
            Row(
                "keyvault network-rule add -n second --ip-address 192.0.2.7",
                0,
                At("/properties/networkAcls/ipRules/0/value", "192.0.2.7/32"),
            ),
            Row("keyvault network-rule list -n second", 0, At("/ipRules/0/value", "192.0.2.7/32")),
            Row(
                "keyvault network-rule remove -n second --ip-address 192.0.2.7/32",
                0,
                At("/properties/networkAcls/ipRules", "[]"),
            ),
            Row("keyvault delete -n second", 0, Gone("vault list -o json", "\"second\"")),
            Row("keyvault list-deleted", 0, At("/0/name", "second")),
            Row("keyvault show-deleted -n second", 0, At("/name", "second")),
            Row("keyvault show-deleted -n none", 1, Says("No deleted Vault")),
            Row("keyvault show -n second", 1, Says("not found")),
            Row("keyvault create -g g -n second -l local", 1, Says("deleted state")),
            Row("keyvault recover -n second", 0, Ours("vault list -o json", "\"second\"")),
            Row("keyvault recover -n none", 1, Says("No deleted Vault")),
            Row("keyvault delete -n second", 0, Ours("vault list --deleted", "second")),
            Row("keyvault delete -n second", 1, Says("deleted state")),
            Row("keyvault purge -n second", 0, Gone("vault list --deleted", "second")),
            Row("keyvault purge -n second", 1, Says("No deleted Vault")),
            Row("keyvault list-deleted", 0, At("", "[]")),
            Row("keyvault delete -n shop", 0, Ours("vault list --deleted", "shop")),
            Row("keyvault purge -n shop", 1, Says("protected from purging")),
            Row("keyvault delete -n none", 1, Says("not found")),
        ],
    );
}

#[test]
fn secrets_keys_and_certificates() {
    let Some(az) = Az::start_warm("az-objects") else { return };
    let operator = az.operator("operator", "Owner");
    let _account = az.sign_in(&operator);
    let policy = az.ended("keyvault certificate get-default-policy").ok();
    let to_be_signed = policy.replace("\"Self\"", "\"Unknown\"");
    assert_ne!(to_be_signed, policy);
    std::fs::write(az.server().place().join("policy.json"), policy).unwrap();
    std::fs::write(az.server().place().join("to-be-signed.json"), to_be_signed).unwrap();
    play(
        &az,
        &operator,
        &[
            Row("group create -n g -l local", 0, Done),
            Row("keyvault create -g g -n shop -l local --enable-rbac-authorization false", 0, Done),
        ],
    );
    // In a vault that `az` makes nobody may do anything but whom it names: not even our own command line, which says who it is.
    let refused = az.server().keyless(["secret", "list", "shop"]);
    let own = refused.stderr.split_once("--principal ").and_then(|(_, rest)| rest.split(' ').next());
    let own = own.unwrap_or_else(|| panic!("{}", refused.said()));
    let allow = ["vault", "policy", "set", "shop", "--principal", own, "--secrets", "all"];
    let mut allow = az.server().command(allow);
    let _said = Ended::from(wait::output(allow.args(["--keys", "all", "--certificates", "all"]), b"")).ok();
    play(
        &az,
        &operator,
        &[
            Row("keyvault secret set --vault-name shop -n db --value one --tags a=b", 0, At("/value", "one")),
            Row(
                "keyvault secret set --vault-name shop -n db --value two",
                0,
                Ours("secret get shop db", "two"),
            ),
            Row("keyvault secret set --vault-name shop -n bad_name --value x", 1, Says("BadParameter")),
            Row("keyvault secret show --vault-name shop -n db", 0, At("/value", "two")),
            Row("keyvault secret show --id https://shop.vault.$D/secrets/db", 0, At("/value", "two")),
            Row("keyvault secret show --vault-name shop -n none", 3, Says("SecretNotFound")),
            Row("keyvault secret list --vault-name shop --query length(@)", 0, At("", "1")),
            Row("keyvault secret list-versions --vault-name shop -n db --query length(@)", 0, At("", "2")),
            Row(
                "keyvault secret set-attributes --vault-name shop -n db --content-type text/plain",
                0,
                Ours("secret show shop db", "text/plain"),
            ),
            Row(
                "keyvault secret set-attributes --vault-name shop -n none --enabled false",
                1,
                Says("SecretNotFound"),
            ),
            Row("keyvault secret backup --vault-name shop -n db -f backup", 0, Done),
            Row("keyvault secret backup --vault-name shop -n none -f no-backup", 1, Says("SecretNotFound")),
            Row("keyvault secret restore --vault-name shop -f backup", 1, Says("Conflict")),
            Row("keyvault secret restore --vault-name shop -f policy.json", 1, Says("BadParameter")),
            Row(
                "keyvault secret delete --vault-name shop -n db",
                0,
                Refused("secret get shop db", "was not found in this key vault"),
            ),
            Row("keyvault secret delete --vault-name shop -n db", 1, Says("SecretNotFound")),
            Row("keyvault secret show --vault-name shop -n db", 3, Says("SecretNotFound")),
            Row(
                "keyvault secret set --vault-name shop -n db --value three",
                1,
                Says("ObjectIsDeletedButRecoverable"),
            ),
            Row("keyvault secret list-deleted --vault-name shop --query length(@)", 0, At("", "1")),
            Row("keyvault secret recover --vault-name shop -n db", 0, Ours("secret get shop db", "two")),
            Row("keyvault secret recover --vault-name shop -n none", 1, Says("SecretNotFound")),
            Row("keyvault secret delete --vault-name shop -n db", 0, Done),
            Row("keyvault secret purge --vault-name shop -n db", 0, Gone("secret deleted shop", "db")),
            Row("keyvault secret purge --vault-name shop -n db", 1, Says("SecretNotFound")),
            Row("keyvault secret restore --vault-name shop -f backup", 0, Ours("secret get shop db", "two")),
            Row("keyvault secret download --vault-name shop -n db -f value", 0, Done),
            Row("keyvault secret download --vault-name shop -n none -f no-value", 1, Says("SecretNotFound")),
            Row(
                "rest --url https://shop.vault.$D/secrets?api-version=7.5 --resource https://vault.$D",
                0,
                At("/value/0/id", "https://shop.vault.$D/secrets/db"),
            ),
            Row(
                "keyvault key create --vault-name shop -n rsa --kty RSA --size 2048",
                0,
                Ours("key show shop rsa", "RSA"),
            ),
            Row(
                "keyvault key create --vault-name shop -n ec --kty EC --curve P-256",
                0,
                Ours("key show shop ec", "P-256"),
            ),
            Row(
                "keyvault key create --vault-name shop -n small --kty RSA --size 512",
                1,
                Says("BadParameter"),
            ),
            Row("keyvault key list --vault-name shop --query length(@)", 0, At("", "2")),
            Row("keyvault key show --vault-name shop -n rsa", 0, At("/key/kty", "RSA")),
            Row("keyvault key show --vault-name shop -n none", 3, Says("KeyNotFound")),
            Row(
                "keyvault key decrypt --vault-name shop -n none -a RSA-OAEP-256 --value aGVsbG8=",
                1,
                Says("KeyNotFound"),
            ),
            Row(
                "keyvault key decrypt --vault-name shop -n rsa -a RSA-OAEP-256 --value aGVsbG8=",
                1,
                Says("BadParameter"),
            ),
            Row(
                "keyvault key sign --vault-name shop -n ec -a RS256 --digest ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
                1,
                Says("is not for a key of type EC P-256"),
            ),
            Row(
                "keyvault certificate create --vault-name shop -n tls -p @policy.json",
                0,
                Ours("certificate show shop tls", "tls"),
            ),
            Row(
                "keyvault certificate create --vault-name shop -n bad_name -p @policy.json",
                1,
                Says("BadParameter"),
            ),
            Row("keyvault certificate show --vault-name shop -n tls", 0, At("/attributes/enabled", "true")),
            Row("keyvault certificate show --vault-name shop -n none", 3, Says("CertificateNotFound")),
            // Somebody else signs this one: what there is of it is there.
            Row(
                "keyvault certificate create --vault-name shop -n coming -p @to-be-signed.json",
                0,
                At("/status", "inProgress"),
            ),
            Row("keyvault certificate show --vault-name shop -n coming", 0, At("/cer", "null")),
            Row(
                "keyvault certificate pending show --vault-name shop -n coming",
                0,
                At("/status", "inProgress"),
            ),
            // It is deleted, found among the deleted, and brought back like any other.
            Row(
                "keyvault certificate set-attributes --vault-name shop -n coming --tags team=blue",
                0,
                At("/tags/team", "blue"),
            ),
            Row("keyvault certificate delete --vault-name shop -n coming", 0, At("/tags/team", "blue")),
            Row("keyvault certificate show --vault-name shop -n coming", 3, Says("CertificateNotFound")),
            Row(
                "keyvault certificate list-deleted --vault-name shop --include-pending true --query length(@)",
                0,
                At("", "1"),
            ),
            Row("keyvault certificate list-deleted --vault-name shop --query length(@)", 0, At("", "0")),
            Row("keyvault certificate recover --vault-name shop -n coming", 0, At("/tags/team", "blue")),
            Row(
                "keyvault certificate pending delete --vault-name shop -n coming",
                0,
                At("/status", "inProgress"),
            ),
            Row("keyvault certificate show --vault-name shop -n coming", 3, Says("CertificateNotFound")),
            Row("keyvault certificate list --vault-name shop --query length(@)", 0, At("", "1")),
        ],
    );
    assert_eq!(std::fs::read_to_string(az.server().place().join("value")).unwrap(), "two");
    keys_are_used(&az);
    certificates_are_imported(&az, &operator);
    play(
        &az,
        &operator,
        &[
            Row("keyvault key delete --vault-name shop -n rsa", 0, Gone("key list shop", "rsa")),
            Row("keyvault key delete --vault-name shop -n rsa", 1, Says("KeyNotFound")),
            Row(
                "keyvault key create --vault-name shop -n rsa --kty RSA",
                1,
                Says("ObjectIsDeletedButRecoverable"),
            ),
        ],
    );
}

#[test]
fn web_apps_and_their_plans() {
    owner(
        "az-webapps",
        &[
            Row("group create -n g -l local", 0, Done),
            Row("group create -n h -l local", 0, Done),
            Row("appservice plan create -g g -n plan --sku B1", 0, At("/sku/name", "B1")),
            Row("appservice plan create -g none -n plan --sku B1", 3, Says("ResourceGroupNotFound")),
            Row("appservice plan create -g g -n other --sku HUGE", 2, Says("not a valid value")),
            Row("appservice plan show -g g -n plan", 0, At("/properties/reserved", "true")),
            Row("appservice plan list -g g", 0, At("/0/name", "plan")),
            Row("webapp list-runtimes --os-type linux", 0, Says("PYTHON")),
            Row(
                "webapp create -g g -n web --plan plan --runtime PYTHON:3.12",
                0,
                Ours("app list -o json", "\"web\""),
            ),
            Row("webapp create -g g -n other --plan none --runtime PYTHON:3.12", 3, Says("doesn't exist")),
            Row("webapp create -g g -n other --plan plan --runtime COBOL:1", 1, Says("is not supported")),
            Row(
                "webapp create -g h -n web --plan $G/providers/Microsoft.Web/serverfarms/plan --runtime PYTHON:3.12",
                1,
                Says("does not match the value entered"),
            ),
            Row("webapp show -g g -n web", 0, At("/defaultHostName", "web.apps.$D")),
            Row("webapp show -g g -n none", 3, Says("ResourceNotFound")),
            Row("webapp list", 0, At("/0/name", "web")),
            Row("webapp list -g g", 0, At("/0/name", "web")),
            Row("webapp list -g h", 0, At("", "[]")),
            Row(
                "webapp config appsettings set -g g -n web --settings A=1 B=2",
                0,
                Ours("app settings list web -o json", "\"A\""),
            ),
            Row("webapp config appsettings set -g g -n none --settings A=1", 3, Says("ResourceNotFound")),
            Row("webapp config appsettings list -g g -n web --query [?name=='B'].value", 0, At("/0", "2")),
            Row(
                "webapp config appsettings delete -g g -n web --setting-names A",
                0,
                Gone("app settings list web -o json", "\"A\""),
            ),
            Row(
                "webapp config appsettings delete -g g -n none --setting-names A",
                3,
                Says("ResourceNotFound"),
            ),
            Row("webapp config connection-string set -g g -n web -t Custom --settings db=x", 0, Done),
            Row(
                "webapp config connection-string set -g g -n none -t Custom --settings db=x",
                3,
                Says("ResourceNotFound"),
            ),
            Row("webapp config connection-string list -g g -n web", 0, At("/0/name", "db")),
            Row("webapp config show -g g -n web", 0, At("/ftpsState", "Disabled")),
            Row("webapp config show -g g -n none", 3, Says("ResourceNotFound")),
            Row(
                "webapp config set -g g -n web --startup-file python3~app.py",
                0,
                At("/appCommandLine", "python3 app.py"),
            ),
            Row("webapp config set -g g -n none --startup-file python3~app.py", 3, Says("ResourceNotFound")),
            Row(
                "webapp log config -g g -n web --application-logging filesystem",
                0,
                At("/applicationLogs/fileSystem/level", "Error"),
            ),
            Row(
                "webapp log config -g g -n none --application-logging filesystem",
                3,
                Says("ResourceNotFound"),
            ),
            Row("webapp log show -g g -n web", 0, At("/applicationLogs/fileSystem/level", "Error")),
            Row("webapp log show -g g -n none", 3, Says("ResourceNotFound")),
            Row("webapp stop -g g -n web", 0, Done),
            Row("webapp show -g g -n web", 0, At("/state", "Stopped")),
            Row("webapp start -g g -n web", 0, Done),
            Row("webapp show -g g -n web", 0, At("/state", "Running")),
            Row("webapp restart -g g -n web", 0, Done),
            Row("webapp stop -g g -n none", 3, Says("ResourceNotFound")),
            Row("webapp start -g g -n none", 3, Says("ResourceNotFound")),
            Row("webapp restart -g g -n none", 3, Says("ResourceNotFound")),
            Row("webapp deployment list-publishing-profiles -g g -n web --query [0].publishMethod", 0, Done),
            Row("webapp deployment list-publishing-profiles -g g -n none", 3, Says("ResourceNotFound")),
            Row("webapp deployment list-publishing-credentials -g g -n web", 0, At("/name", "web")),
            Row("webapp deployment list-publishing-credentials -g g -n none", 3, Says("ResourceNotFound")),
            Row("webapp deployment slot list -g g -n web", 0, At("", "[]")),
            Row("webapp deployment slot create -g g -n web --slot staging", 3, Says("InvalidResourceType")),
            Row("appservice plan delete -g g -n plan -y", 1, Says("there are apps in it")),
            Row("webapp delete -g g -n none --keep-empty-plan", 0, Done),
            Row("webapp delete -g g -n web --keep-empty-plan", 0, Gone("app list -o json", "\"web\"")),
            Row("appservice plan delete -g g -n plan -y", 0, Done),
            Row("appservice plan show -g g -n plan", 3, Says("could not be found")),
        ],
    );
}

#[test]
fn identities_and_who_vouches_for_them() {
    const FEDERATED: &str = "identity federated-credential create -g g --identity-name readers -n github --issuer https://issuer.example --subject repo:a --audiences api://AzureADTokenExchange";
    owner(
        "az-identities",
        &[
            Row("group create -n g -l local", 0, Done),
            Row("appservice plan create -g g -n plan --sku B1", 0, Done),
            Row("webapp create -g g -n web --plan plan --runtime PYTHON:3.12", 0, Done),
            Row("identity create -g g -n readers -l local", 0, Ours("identity list -o json", "\"readers\"")),
            Row("identity create -g none -n readers -l local", 3, Says("ResourceGroupNotFound")),
            Row(
                "identity create -g g -n a_name_of_more_than_128_characters_a_name_of_more_than_128_characters_a_name_of_more_than_128_characters_a_name_of_more_than_128_x -l local",
                1,
                Says("3 to 128 letters"),
            ),
            Row("identity show -g g -n readers", 0, At("/name", "readers")),
            Row("identity show -g g -n none", 3, Says("ResourceNotFound")),
            Row("identity list -g g", 0, At("/0/name", "readers")),
            Row("identity list -g none", 3, Says("ResourceGroupNotFound")),
            Row(FEDERATED, 0, Ours("identity federated list readers", "repo:a")),
            Row(
                "identity federated-credential create -g g --identity-name none -n github --issuer https://issuer.example --subject repo:a --audiences a",
                3,
                Says("ResourceNotFound"),
            ),
            Row(
                "identity federated-credential create -g g --identity-name readers -n other --issuer https://issuer.example --subject repo:a --audiences api://AzureADTokenExchange",
                1,
                Says("already"),
            ),
            Row(
                "identity federated-credential create -g g --identity-name readers -n other --issuer nowhere --subject repo:b --audiences a",
                1,
                Says("BadRequest"),
            ),
            Row(
                "identity federated-credential list -g g --identity-name readers",
                0,
                At("/0/name", "github"),
            ),
            Row("identity federated-credential list -g g --identity-name none", 3, Says("ResourceNotFound")),
            Row(
                "identity federated-credential show -g g --identity-name readers -n github",
                0,
                At("/subject", "repo:a"),
            ),
            Row(
                "identity federated-credential show -g g --identity-name readers -n none",
                3,
                Says("ResourceNotFound"),
            ),
            Row(
                "identity federated-credential update -g g --identity-name readers -n github --issuer https://issuer.example --subject repo:b --audiences api://AzureADTokenExchange",
                0,
                Ours("identity federated list readers", "repo:b"),
            ),
            Row(
                "identity federated-credential delete -g g --identity-name readers -n github -y",
                0,
                Gone("identity federated list readers", "repo:b"),
            ),
            Row(
                "identity federated-credential delete -g g --identity-name none -n github -y",
                3,
                Says("ResourceNotFound"),
            ),
            Row(
                "webapp identity assign -g g -n web --identities [system] $I",
                0,
                Ours("app show web -o json", "readers"),
            ),
            Row("webapp identity assign -g g -n none", 3, Says("ResourceNotFound")),
            Row("webapp identity assign -g g -n web --identities $Inone", 3, Says("ResourceNotFound")),
            Row("webapp identity show -g g -n web", 0, At("/type", "SystemAssigned, UserAssigned")),
            Row("webapp identity show -g g -n none", 3, Says("ResourceNotFound")),
            Row(
                "webapp identity assign -g g -n web --role Reader --scope $G",
                0,
                Ours("role list --scope group:g", "web"),
            ),
            Row("webapp identity remove -g g -n web", 0, Gone("role list --scope group:g", "web")),
            Row("webapp identity show -g g -n web", 0, At("/type", "UserAssigned")),
            Row(
                "webapp identity remove -g g -n web --identities $I",
                0,
                Gone("app show web -o json", "readers"),
            ),
            Row("webapp identity remove -g g -n none", 3, Says("ResourceNotFound")),
            Row("identity delete -g g -n readers", 0, Gone("identity list -o json", "readers")),
            Row("identity show -g g -n readers", 3, Says("ResourceNotFound")),
            Row(
                "webapp create -g g -n second --plan plan --runtime PYTHON:3.12 --assign-identity [system]",
                0,
                Ours("app identity show second", "principal"),
            ),
        ],
    );
}

#[test]
fn roles_at_every_scope() {
    let Some(az) = Az::start_warm("az-roles") else { return };
    let operator = az.operator("operator", "Owner");
    let account = az.sign_in(&operator);
    let custom = json!({
        "Name": "Vault lister", "Description": "Sees which vaults there are", "Actions": ["Microsoft.KeyVault/vaults/read"],
        "AssignableScopes": [format!("/subscriptions/{}", account[0]["id"].as_str().unwrap())],
    });
    std::fs::write(az.server().place().join("role.json"), custom.to_string()).unwrap();
    let nowhere = json!({"Name": "Nowhere", "Actions": ["*/read"], "AssignableScopes": []});
    std::fs::write(az.server().place().join("no-role.json"), nowhere.to_string()).unwrap();
    play(
        &az,
        &operator,
        &[
            Row("group create -n g -l local", 0, Done),
            Row("keyvault create -g g -n shop -l local", 0, Done),
            Row("role definition list --name Owner", 0, At("/0/roleName", "Owner")),
            Row(
                "role definition list --query [?roleName=='Contributor'].roleType",
                0,
                At("/0", "BuiltInRole"),
            ),
            Row("role definition list --name Nobody", 0, At("", "[]")),
            Row("role assignment create --assignee $C --role Nobody --scope $G", 1, Says("doesn't exist")),
            Row(
                "role assignment create --assignee nobody --role Reader --scope $G",
                1,
                Says("Cannot find user or service principal"),
            ),
            Row(
                "role assignment create --assignee $C --role Reader --scope /subscriptions/nowhere",
                3,
                Says("SubscriptionNotFound"),
            ),
            Row(
                "role assignment create --assignee $C --role Reader --scope $G",
                0,
                Ours("role list --scope group:g", "Reader"),
            ),
            Row("role assignment create --assignee $C --role Reader --scope $G", 0, At("/principalId", "$P")),
            Row(
                "role assignment create --assignee-object-id $P --assignee-principal-type ServicePrincipal --role Reader --scope $V",
                0,
                At("/principalId", "$P"),
            ),
            Row(
                "role assignment create --assignee $C --role Key~Vault~Secrets~User --scope $V/secrets/db",
                0,
                At("/scope", "$V/secrets/db"),
            ),
            Row("role assignment list -g g --query length(@)", 0, At("", "1")),
            Row("role assignment list --assignee $C --all --query length(@)", 0, At("", "4")),
            Row(
                "role assignment list --assignee $C --all --include-groups --query length(@)",
                0,
                At("", "4"),
            ),
            Row("role assignment list --scope $V --query [0].roleDefinitionName", 0, At("", "Reader")),
            Row("role assignment list --scope /subscriptions/nowhere", 3, Says("SubscriptionNotFound")),
            Row("role assignment delete --assignee $C --role Reader --scope $V", 0, Done),
            Row(
                "role assignment delete --assignee $C --role Reader -g g",
                0,
                Gone("role list --scope group:g", "Reader"),
            ),
            Row("role assignment delete --assignee $C --role Reader -g g", 1, Says("No matched assignments")),
            Row("role assignment list -g g", 0, At("", "[]")),
            Row("role definition create --role-definition @no-role.json", 1, Says("assignableScopes")),
            Row(
                "role definition create --role-definition @role.json",
                0,
                Ours("role definition list", "Vault lister"),
            ),
            Row(
                "role definition create --role-definition @role.json",
                1,
                Says("RoleDefinitionWithSameNameExists"),
            ),
            Row("role definition list --custom-role-only --query [].roleName", 0, At("/0", "Vault lister")),
            Row(
                "role assignment create --assignee $C --role Vault~lister --scope $G",
                0,
                At("/principalId", "$P"),
            ),
            Row("role definition delete --name Vault~lister", 1, Says("RoleDefinitionHasAssignments")),
            Row("role definition delete --name Owner", 1, Says("stays as it is")),
            Row("role assignment delete --assignee $C --role Vault~lister -g g", 0, Done),
            Row(
                "role definition delete --name Vault~lister",
                0,
                Gone("role definition list", "Vault lister"),
            ),
            Row("role definition list --custom-role-only", 0, At("", "[]")),
        ],
    );
}

#[test]
fn applications_people_and_groups() {
    let Some(az) = Az::start_warm("az-directory") else { return };
    let operator = az.operator("operator", "Owner");
    for role in ["Application.ReadWrite.All", "User.ReadWrite.All", "Group.ReadWrite.All"] {
        az.graph(&operator, role);
    }
    let _account = az.sign_in(&operator);
    let federated = json!({"name": "github", "issuer": "https://issuer.example", "subject": "repo:a", "audiences": ["api://AzureADTokenExchange"]});
    std::fs::write(az.server().place().join("federated.json"), federated.to_string()).unwrap();
    let other = json!({"name": "github", "issuer": "https://issuer.example", "subject": "repo:b", "audiences": ["api://AzureADTokenExchange"]});
    std::fs::write(az.server().place().join("other.json"), other.to_string()).unwrap();
    let made = az.server().registration("made");
    let bare = az.run("ad app create --display-name bare");
    let bare = bare["appId"].as_str().unwrap();
    let ann = "ad user create --display-name Ann --password Very-l0ng-passw0rd --user-principal-name ann@keyless.localhost";
    play_with(
        &az,
        &operator,
        &[("$A", &made.client), ("$B", bare)],
        &[
            Row("ad app create --display-name bare", 0, At("/appId", "$B")),
            Row("ad app list --display-name made --query length(@)", 0, At("", "1")),
            Row("ad app show --id $A", 0, At("/displayName", "made")),
            Row("ad app show --id none", 3, Says("doesn't exist")),
            Row("ad app update --id $A --display-name renamed", 0, Ours("app-registration list", "renamed")),
            Row("ad app update --id none --display-name renamed", 1, Says("doesn't exist")),
            Row("ad app credential list --id $A --query length(@)", 0, At("", "1")),
            Row("ad app credential reset --id $A --append", 0, At("/appId", "$A")),
            Row("ad app credential list --id $A --query length(@)", 0, At("", "2")),
            Row(
                "ad app credential reset --id $A --display-name only",
                0,
                Ours("app-registration credential list $A", "only"),
            ),
            Row("ad app credential list --id $A --query length(@)", 0, At("", "1")),
            Row("ad app credential reset --id none", 1, Says("doesn't exist")),
            Row(
                "ad app federated-credential create --id $A --parameters @federated.json",
                0,
                Ours("app-registration federated list $A", "repo:a"),
            ),
            Row(
                "ad app federated-credential create --id $A --parameters @federated.json",
                1,
                Says("already"),
            ),
            Row(
                "ad app federated-credential create --id none --parameters @federated.json",
                1,
                Says("doesn't exist"),
            ),
            Row("ad app federated-credential list --id $A", 0, At("/0/name", "github")),
            Row(
                "ad app federated-credential show --id $A --federated-credential-id github",
                0,
                At("/subject", "repo:a"),
            ),
            Row(
                "ad app federated-credential show --id $A --federated-credential-id none",
                1,
                Says("does not exist"),
            ),
            Row(
                "ad app federated-credential update --id $A --federated-credential-id github --parameters @other.json",
                0,
                Ours("app-registration federated list $A", "repo:b"),
            ),
            Row(
                "ad app federated-credential delete --id $A --federated-credential-id github",
                0,
                Gone("app-registration federated list $A", "repo:b"),
            ),
            Row("ad sp create --id $A", 1, Says("a service principal of this application already")),
            Row("ad sp create --id none", 1, Says("a GUID is expected")),
            Row("ad sp create --id $B", 0, At("/appId", "$B")),
            Row(
                "ad sp create-for-rbac -n robot --role Reader --scopes /subscriptions/$S",
                0,
                Ours("app-registration list", "robot"),
            ),
            Row("ad sp list --display-name robot --query length(@)", 0, At("", "1")),
            Row("role assignment list --query [?roleDefinitionName=='Reader']|length(@)", 0, At("", "1")),
            Row("ad sp show --id $C", 0, At("/id", "$P")),
            Row("ad sp show --id none", 3, Says("doesn't exist")),
            Row(
                "ad sp credential reset --id $A --display-name other",
                0,
                Ours("app-registration credential list $A", "other"),
            ),
            Row("ad sp credential reset --id none", 1, Says("doesn't exist")),
            Row("ad sp delete --id $B", 0, Done),
            Row("ad sp show --id $B", 3, Says("not exist")),
            Row("ad sp delete --id none", 1, Says("doesn't exist")),
            Row("ad app delete --id $A", 0, Gone("app-registration list", "$A")),
            Row("ad app delete --id $A", 1, Says("does not exist")),
            Row(ann, 0, Ours("user list", "ann@keyless.localhost")),
            Row(ann, 1, Says("already exists")),
            Row("ad user show --id ann@keyless.localhost", 0, At("/displayName", "Ann")),
            Row("ad user show --id bob@keyless.localhost", 3, Says("does not exist")),
            Row("ad user list --query [?displayName=='Ann'].displayName", 0, At("/0", "Ann")),
            Row("ad user list --upn bob@keyless.localhost", 0, At("", "[]")),
            Row(
                "ad user update --id ann@keyless.localhost --display-name Anna",
                0,
                Ours("user show ann", "Anna"),
            ),
            Row("ad group create --display-name team --mail-nickname team", 0, Ours("group list", "team")),
            Row("ad group list --query [].displayName", 0, At("/0", "team")),
            Row("ad group show -g none", 1, Says("No group matches")),
        ],
    );
    let id = |told: &Value| told["id"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    let ann = id(&az.run("ad user show --id ann@keyless.localhost"));
    play_with(
        &az,
        &operator,
        &[("$U", &ann)],
        &[
            Row("ad group show -g team", 0, At("/displayName", "team")),
            Row("ad group member add -g team --member-id $U", 0, Ours("group member list team", "Anna")),
            Row("ad group member add -g team --member-id $U", 1, Says("already exist")),
            Row("ad group member add -g none --member-id $U", 1, Says("No group matches")),
            Row("ad group member list -g team --query [].displayName", 0, At("/0", "Anna")),
            Row("ad group member check -g team --member-id $U", 0, At("/value", "true")),
            Row("ad group member remove -g team --member-id $U", 0, Gone("group member list team", "Anna")),
            Row("ad group delete -g team", 0, Gone("group list", "team")),
            Row("ad group delete -g team", 1, Says("No group matches")),
            Row("ad user delete --id ann@keyless.localhost", 0, Gone("user list", "ann@")),
            Row("ad user delete --id ann@keyless.localhost", 1, Says("does not exist")),
            Row(
                "ad signed-in-user show",
                1,
                Says("/me request is only valid with delegated authentication flow"),
            ),
        ],
    );
}
