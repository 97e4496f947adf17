//! Tables of commands: what `az` is told, how it ends, and what shows that it was done. One table an area, each on a server of its own.

use super::{Az, CLIENT, Operator};
use e2e::{Ended, note, wait};
use serde_json::{Value, json};

/// What `az` is told, its exit status, and what shows that it was so. `$D` is the domain with its port, `$P` the operator's principal, `$C` its
/// client id, `$S` the subscription, `$G` the group g, `$V` the vault shop and `$I` the identity readers in
/// it; `~` is a space that parts nothing.
struct Row<'a>(&'a str, i32, Shown<'a>);

/// What shows it.
enum Shown<'a> {
    /// Nothing but the exit status.
    Done,
    /// At this place of the JSON is this text, or the text of this value.
    At(&'a str, &'a str),
    /// It says these words.
    Says(&'a str),
    /// This command of ours says these words.
    Ours(&'a str, &'a str),
    /// It does not say them, or fails.
    Gone(&'a str, &'a str),
}

use Shown::{At, Done, Gone, Ours, Says};

/// Does all of a table.
fn play(az: &Az, operator: &Operator, rows: &[Row<'_>]) {
    let subscription = az.run("account show")["id"].as_str().unwrap_or_default().to_owned();
    let domain = format!("keyless.localhost:{}", az.server().port());
    let group = format!("/subscriptions/{subscription}/resourceGroups/g");
    let vault = format!("{group}/providers/Microsoft.KeyVault/vaults/shop");
    let identity = format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/readers");
    for Row(words, code, shown) in rows {
        let filled = |words: &str| {
            words
                .replace("$D", &domain)
                .replace("$P", &operator.principal)
                .replace("$C", &operator.client)
                .replace("$S", &subscription)
                .replace("$G", &group)
                .replace("$V", &vault)
                .replace("$I", &identity)
        };
        let words = filled(words);
        let ended = az.ended(&words);
        assert_eq!(ended.code, Some(*code), "az {words}\n{}", ended.said());
        assert!(!ended.said().contains("Traceback"), "az {words}\n{}", ended.said());
        let ours = |command: &str| {
            let mut command_line = az.server().command([]);
            command_line.args(command.split(' '));
            Ended::from(wait::output(&mut command_line, b""))
        };
        match shown {
            Done => {}
            At(place, text) => {
                let told: Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
                let found = told.pointer(place).map(|found| match found {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                assert_eq!(found.as_deref(), Some(&*filled(text)), "az {words}: {place} of {told}");
            }
            Says(said) => {
                assert!(ended.said().contains(&filled(said)), "az {words}: {said}\n{}", ended.said())
            }
            Ours(command, said) => {
                let told = ours(command).ok();
                assert!(told.contains(&filled(said)), "az {words}: {command}: {said}\n{told}");
            }
            Gone(command, said) => {
                let told = ours(command);
                assert!(
                    told.code != Some(0) || !told.stdout.contains(&filled(said)),
                    "az {words}: {command}: {said}\n{}",
                    told.said()
                );
            }
        }
    }
}

/// Signs in an owner and does all of a table.
fn owner(name: &str, rows: &[Row<'_>]) {
    let Some(az) = Az::start(name) else { return };
    let operator = az.operator("operator", "Owner");
    let _account = az.sign_in(&operator);
    play(&az, &operator, rows);
}

#[test]
fn groups_providers_and_the_account() {
    owner(
        "az-groups",
        &[
            Row("account list", 0, At("/0/state", "Enabled")),
            Row("account list-locations", 0, At("/0/name", "local")),
            Row("account get-access-token", 0, At("/tokenType", "Bearer")),
            Row("group create -n one -l local --tags a=b c=d", 0, At("/tags/c", "d")),
            Row("group create -n one -l local --tags a=x", 0, At("/tags/a", "x")),
            Row("group create -n one -l elsewhere", 1, Says("InvalidResourceGroupLocation")),
            Row("group show -n ONE", 0, At("/name", "one")),
            Row("group list --query [?name=='one'].location", 0, At("/0", "local")),
            Row("group exists -n one", 0, At("", "true")),
            Row("group exists -n none", 0, At("", "false")),
            Row("group update -n one --set tags.e=f", 0, At("/tags/e", "f")),
            Row("group show -n none", 3, Says("ResourceGroupNotFound")),
            Row("group create -n bad. -l local", 1, Done),
            Row("resource list -g one", 0, At("", "[]")),
            Row("resource list -g none", 3, Says("ResourceGroupNotFound")),
            Row("provider show -n Microsoft.Web", 0, At("/registrationState", "Registered")),
            Row("provider show -n Microsoft.None", 3, Done),
            Row("provider register -n Microsoft.KeyVault", 0, Done),
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
            // `az` itself knows that there is no other.
            Row("group list --subscription 00000000-0000-4000-8000-000000000000", 1, Done),
            Row("rest --url /subscriptions/$S/nothing?api-version=2022-12-01", 1, Done),
            Row("group delete -n one -y", 0, Done),
            Row("group delete -n one -y", 3, Says("ResourceGroupNotFound")),
            Row("group show -n one", 3, Says("ResourceGroupNotFound")),
        ],
    );
    note(CLIENT, "`group`, `resource list`, `provider`, `account`, `rest`", "works");
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
            Row(
                "keyvault create -g g -n shop -l local --enable-rbac-authorization false --tags team=a",
                0,
                At("/properties/accessPolicies/0/objectId", "$P"),
            ),
            Row("keyvault create -g g -n shop -l local", 1, Done),
            Row("keyvault create -g none -n other -l local", 3, Says("ResourceGroupNotFound")),
            Row("keyvault show -n shop", 0, At("/properties/vaultUri", "https://shop.vault.$D/")),
            Row("keyvault show -g g -n shop", 0, At("/tags/team", "a")),
            Row("keyvault show -n none", 1, Says("not found")),
            Row("keyvault list", 0, At("/0/name", "shop")),
            Row("keyvault list -g g", 0, At("/0/name", "shop")),
            Row("resource list -g g", 0, At("/0/type", "Microsoft.KeyVault/vaults")),
            Row(GET, 0, Ours("vault policy list shop -o json", SOMEBODY)),
            Row(NONE, 0, Gone("vault policy list shop -o json", SOMEBODY)),
            Row("keyvault update -n shop --retention-days 10", 1, Done),
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
                Done,
            ),
            Row(
                "keyvault network-rule add -n second --ip-address 192.0.2.7",
                0,
                At("/properties/networkAcls/ipRules/0/value", "192.0.2.7/32"),
            ),
            Row("keyvault network-rule list -n second", 0, At("/ipRules/0/value", "192.0.2.7/32")),
            Row("keyvault network-rule remove -n second --ip-address 192.0.2.7/32", 0, Done),
            Row("keyvault delete -n second", 0, Gone("vault list -o json", "\"second\"")),
            Row("keyvault list-deleted", 0, At("/0/name", "second")),
            Row("keyvault show-deleted -n second", 0, At("/name", "second")),
            Row("keyvault create -g g -n second -l local", 1, Done),
            Row("keyvault recover -n second", 0, Ours("vault list -o json", "\"second\"")),
            Row("keyvault delete -n second", 0, Done),
            Row("keyvault purge -n second", 0, Done),
            Row("keyvault list-deleted", 0, At("", "[]")),
            Row("keyvault delete -n shop", 0, Done),
            Row("keyvault purge -n shop", 1, Done),
            Row("keyvault delete -n none", 1, Says("not found")),
        ],
    );
    note(
        CLIENT,
        "`keyvault`: create, show, list, update, access policies, network rules, delete, recover, purge",
        "works",
    );
}

#[test]
fn secrets_keys_and_certificates() {
    let Some(az) = Az::start("az-objects") else { return };
    let operator = az.operator("operator", "Owner");
    let _account = az.sign_in(&operator);
    let policy = az.ended("keyvault certificate get-default-policy").ok();
    std::fs::write(az.server().place().join("policy.json"), policy).unwrap();
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
            Row("keyvault secret show --vault-name shop -n db", 0, At("/value", "two")),
            Row("keyvault secret show --id https://shop.vault.$D/secrets/db", 0, At("/value", "two")),
            Row("keyvault secret show --vault-name shop -n none", 3, Says("SecretNotFound")),
            Row("keyvault secret list --vault-name shop --query length(@)", 0, At("", "1")),
            Row("keyvault secret list-versions --vault-name shop -n db --query length(@)", 0, At("", "2")),
            Row(
                "keyvault secret set-attributes --vault-name shop -n db --content-type text/plain",
                0,
                At("/contentType", "text/plain"),
            ),
            Row("keyvault secret backup --vault-name shop -n db -f backup", 0, Done),
            Row("keyvault secret delete --vault-name shop -n db", 0, Gone("secret get shop db", "two")),
            Row("keyvault secret list-deleted --vault-name shop --query length(@)", 0, At("", "1")),
            Row("keyvault secret recover --vault-name shop -n db", 0, Ours("secret get shop db", "two")),
            Row("keyvault secret delete --vault-name shop -n db", 0, Done),
            Row("keyvault secret purge --vault-name shop -n db", 0, Done),
            Row("keyvault secret restore --vault-name shop -f backup", 0, Ours("secret get shop db", "two")),
            Row("keyvault secret download --vault-name shop -n db -f value", 0, Done),
            Row(
                "keyvault key create --vault-name shop -n rsa --kty RSA --size 2048",
                0,
                At("/key/kty", "RSA"),
            ),
            Row(
                "keyvault key create --vault-name shop -n ec --kty EC --curve P-256",
                0,
                At("/key/crv", "P-256"),
            ),
            Row("keyvault key list --vault-name shop --query length(@)", 0, At("", "2")),
            Row("keyvault key show --vault-name shop -n rsa", 0, Ours("key show shop rsa", "rsa")),
            Row(
                "keyvault key encrypt --vault-name shop -n rsa -a RSA-OAEP-256 --value aGVsbG8= --data-type base64",
                0,
                At("/algorithm", "RSA-OAEP-256"),
            ),
            Row(
                "keyvault key sign --vault-name shop -n ec -a ES256 --digest ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
                0,
                At("/algorithm", "ES256"),
            ),
            Row("keyvault key delete --vault-name shop -n rsa", 0, Gone("key list shop", "rsa")),
            Row(
                "keyvault certificate create --vault-name shop -n tls -p @policy.json",
                0,
                At("/status", "completed"),
            ),
            Row(
                "keyvault certificate show --vault-name shop -n tls",
                0,
                Ours("certificate show shop tls", "tls"),
            ),
            Row("keyvault certificate list --vault-name shop --query length(@)", 0, At("", "1")),
        ],
    );
    note(CLIENT, "`keyvault secret`, `keyvault key`, `keyvault certificate`", "works");
}

#[test]
fn web_apps_and_their_plans() {
    owner(
        "az-webapps",
        &[
            Row("group create -n g -l local", 0, Done),
            Row("appservice plan create -g g -n plan --sku B1", 0, At("/sku/name", "B1")),
            Row("appservice plan show -g g -n plan", 0, At("/properties/reserved", "true")),
            Row("appservice plan list -g g", 0, At("/0/name", "plan")),
            Row("webapp list-runtimes --os-type linux", 0, Says("PYTHON")),
            Row(
                "webapp create -g g -n web --plan plan --runtime PYTHON:3.12",
                0,
                Ours("app list -o json", "\"web\""),
            ),
            Row("webapp create -g g -n other --plan none --runtime PYTHON:3.12", 3, Done),
            Row("webapp show -g g -n web", 0, At("/defaultHostName", "web.apps.$D")),
            Row("webapp show -g g -n none", 3, Done),
            Row("webapp list -g g", 0, At("/0/name", "web")),
            Row(
                "webapp config appsettings set -g g -n web --settings A=1 B=2",
                0,
                Ours("app settings list web -o json", "\"A\""),
            ),
            Row("webapp config appsettings list -g g -n web --query [?name=='B'].value", 0, At("/0", "2")),
            Row(
                "webapp config appsettings delete -g g -n web --setting-names A",
                0,
                Gone("app settings list web -o json", "\"A\""),
            ),
            Row("webapp config connection-string set -g g -n web -t Custom --settings db=x", 0, Done),
            Row("webapp config connection-string list -g g -n web", 0, At("/0/name", "db")),
            Row("webapp config show -g g -n web", 0, Done),
            Row(
                "webapp config set -g g -n web --startup-file python3~app.py",
                0,
                At("/appCommandLine", "python3 app.py"),
            ),
            Row("webapp log config -g g -n web --application-logging filesystem", 0, Done),
            Row("webapp log show -g g -n web", 0, Done),
            Row("webapp stop -g g -n web", 0, Done),
            Row("webapp show -g g -n web", 0, At("/state", "Stopped")),
            Row("webapp start -g g -n web", 0, Done),
            Row("webapp show -g g -n web", 0, At("/state", "Running")),
            Row("webapp restart -g g -n web", 0, Done),
            Row("webapp deployment list-publishing-profiles -g g -n web", 0, Done),
            Row("appservice plan delete -g g -n plan -y", 1, Done),
            Row("identity create -g g -n readers -l local", 0, Ours("identity list -o json", "\"readers\"")),
            Row("identity show -g g -n readers", 0, At("/name", "readers")),
            Row("identity list -g g", 0, At("/0/name", "readers")),
            Row(
                "webapp identity assign -g g -n web --identities [system] $I",
                0,
                At("/type", "SystemAssigned, UserAssigned"),
            ),
            Row("webapp identity show -g g -n web", 0, At("/type", "SystemAssigned, UserAssigned")),
            Row("webapp identity remove -g g -n web", 0, Ours("app show web -o json", "readers")),
            Row(
                "webapp identity remove -g g -n web --identities $I",
                0,
                Gone("app show web -o json", "readers"),
            ),
            Row("identity delete -g g -n readers", 0, Gone("identity list -o json", "readers")),
            Row("webapp delete -g g -n web --keep-empty-plan", 0, Gone("app list -o json", "\"web\"")),
            Row("appservice plan delete -g g -n plan -y", 0, Done),
            Row("appservice plan show -g g -n plan", 3, Done),
        ],
    );
    note(
        CLIENT,
        "`appservice plan`, `webapp`: settings, connection strings, identities, start and stop; `identity`",
        "works",
    );
}

#[test]
fn roles_at_every_scope() {
    let Some(az) = Az::start("az-roles") else { return };
    let operator = az.operator("operator", "Owner");
    let account = az.sign_in(&operator);
    let custom = json!({
        "Name": "Vault lister", "Description": "Sees which vaults there are", "Actions": ["Microsoft.KeyVault/vaults/read"],
        "AssignableScopes": [format!("/subscriptions/{}", account[0]["id"].as_str().unwrap())],
    });
    std::fs::write(az.server().place().join("role.json"), custom.to_string()).unwrap();
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
            Row("role assignment create --assignee $C --role Nobody --scope $G", 1, Done),
            Row("role assignment create --assignee $C --role Reader --scope $G", 0, At("/principalId", "$P")),
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
            Row("role assignment list --scope $V --query [0].roleDefinitionName", 0, At("", "Reader")),
            Row("role assignment delete --assignee $C --role Reader --scope $V", 0, Done),
            Row("role assignment delete --assignee $C --role Reader -g g", 0, Done),
            Row("role assignment list -g g", 0, At("", "[]")),
            Row("role definition create --role-definition @role.json", 0, At("/roleName", "Vault lister")),
            Row("role definition list --custom-role-only --query [].roleName", 0, At("/0", "Vault lister")),
            Row(
                "role assignment create --assignee $C --role Vault~lister --scope $G",
                0,
                At("/principalId", "$P"),
            ),
            Row("role definition delete --name Vault~lister", 1, Done),
            Row("role assignment delete --assignee $C --role Vault~lister -g g", 0, Done),
            Row("role definition delete --name Vault~lister", 0, Done),
            Row("role definition list --custom-role-only", 0, At("", "[]")),
        ],
    );
    note(
        CLIENT,
        "`role definition`, `role assignment` at a subscription, a group, a vault and one secret",
        "works",
    );
}

/// Who reads may not write, and who has no role sees nothing.
#[test]
fn who_has_no_role_is_refused_and_nothing_changes() {
    let Some(az) = Az::start("az-refused") else { return };
    let owner = az.operator("owner", "Owner");
    let _account = az.sign_in(&owner);
    play(
        &az,
        &owner,
        &[
            Row("group create -n g -l local", 0, Done),
            Row("keyvault create -g g -n shop -l local", 0, Done),
            Row("identity create -g g -n readers -l local", 0, Done),
        ],
    );
    let reader = az.operator("reader", "Reader");
    let _account = az.sign_in(&reader);
    play(
        &az,
        &reader,
        &[
            Row("group show -n g", 0, At("/name", "g")),
            Row("keyvault show -n shop", 0, At("/name", "shop")),
            Row("identity show -g g -n readers", 0, At("/name", "readers")),
            Row("group create -n h -l local", 1, Says("AuthorizationFailed")),
            Row("group delete -n g -y", 1, Says("AuthorizationFailed")),
            Row("keyvault create -g g -n other -l local", 1, Says("AuthorizationFailed")),
            Row("keyvault delete -n shop", 1, Says("AuthorizationFailed")),
            Row("keyvault secret list --vault-name shop", 1, Says("Forbidden")),
            Row("identity delete -g g -n readers", 1, Says("AuthorizationFailed")),
            Row(
                "role assignment create --assignee-object-id $P --assignee-principal-type ServicePrincipal --role Owner --scope $G",
                1,
                Says("AuthorizationFailed"),
            ),
            Row("ad app create --display-name mine", 1, Done),
            Row("group show -n g", 0, Ours("vault list -o json", "\"shop\"")),
        ],
    );
    let _said = az.server().keyless(["principal", "disable", &reader.principal]).ok();
    let _refused = az.refused("group show -n g", 1);
    // Who never had a role has no subscription.
    let _nothing = az.run("account clear");
    let stranger = az.registration("stranger");
    let Operator { tenant, client, secret, .. } = &stranger;
    let refused = az
        .refused(&format!("login --service-principal -u {client} --password={secret} --tenant {tenant}"), 1);
    assert!(refused.contains("No subscriptions found"), "{refused}");
    let wrong = az.refused(
        &format!("login --service-principal -u {} --password=wrong --tenant {tenant}", owner.client),
        1,
    );
    assert!(wrong.contains("AADSTS7000215"), "{wrong}");
    let log = az.server().keyless(["audit", "tail", "-n", "200"]).ok();
    assert!(log.contains("refused") && log.contains("group.delete"), "{log}");
    note(CLIENT, "without a role for it", "refused: `AuthorizationFailed`, exit status 1");
}

#[test]
fn applications_people_and_groups() {
    let Some(az) = Az::start("az-directory") else { return };
    let operator = az.operator("operator", "Owner");
    for role in ["Application.ReadWrite.All", "User.ReadWrite.All", "Group.ReadWrite.All"] {
        az.graph(&operator, role);
    }
    let _account = az.sign_in(&operator);
    let ann = "ad user create --display-name Ann --password Very-l0ng-passw0rd --user-principal-name ann@keyless.localhost";
    play(
        &az,
        &operator,
        &[
            Row("ad app create --display-name made", 0, Ours("app-registration list", "made")),
            Row("ad app create --display-name made", 0, At("/displayName", "made")),
            Row("ad app list --display-name made --query length(@)", 0, At("", "1")),
            Row(
                "ad sp create-for-rbac -n robot --role Reader --scopes /subscriptions/$S",
                0,
                At("/displayName", "robot"),
            ),
            Row("ad sp list --display-name robot --query length(@)", 0, At("", "1")),
            Row("role assignment list --query [?roleDefinitionName=='Reader']|length(@)", 0, At("", "1")),
            Row("ad sp show --id $C", 0, At("/id", "$P")),
            Row(ann, 0, Ours("user list", "ann@keyless.localhost")),
            Row("ad user show --id ann@keyless.localhost", 0, At("/displayName", "Ann")),
            Row("ad group create --display-name team --mail-nickname team", 0, Ours("group list", "team")),
            Row("ad group list --query [].displayName", 0, At("/0", "team")),
            Row("ad group delete -g team", 0, Gone("group list", "team")),
            Row("ad user delete --id ann@keyless.localhost", 0, Gone("user list", "ann@")),
            Row(
                "ad signed-in-user show",
                1,
                Says("/me request is only valid with delegated authentication flow"),
            ),
        ],
    );
    note(CLIENT, "`ad app`, `ad sp` (`create-for-rbac`, too), `ad user`, `ad group`", "works");
}
