//! Who may not: nobody, who only reads, who is disabled, and strangers; by the commands themselves.

use super::{
    Az,
    rows::{
        Row,
        Shown::{Done, Says},
        play, play_with,
    },
};
use e2e::{Ended, Registered, wait};
use serde_json::json;

/// Every command that wants more than a role to read, and some that do not; and what is said to who has no more. `$O` is the owner, who has an
/// access policy in the vault open, and `$W` the owner's assignment.
const MORE: &[(&str, &str)] = &[
    ("group create -n h -l local", ROLE),
    ("group show -n g", ""),
    ("group update -n g --set tags.a=b", ROLE),
    ("group delete -n g -y", ROLE),
    (
        "rest --url /subscriptions/$S/resourcegroups/h?api-version=2024-11-01 --method put --body {\"location\":\"local\"}",
        ROLE,
    ),
    ("keyvault create -g g -n other -l local", ROLE),
    ("keyvault show -n shop", ""),
    ("keyvault update -n shop --enable-purge-protection true", ROLE),
    ("keyvault set-policy -n open --object-id $P --secret-permissions get", ROLE),
    ("keyvault delete-policy -n open --object-id $O", ROLE),
    ("keyvault network-rule add -n shop --ip-address 192.0.2.7", ROLE),
    ("keyvault network-rule remove -n limited --ip-address 192.0.2.7/32", ROLE),
    ("keyvault delete -n shop", ROLE),
    ("keyvault show-deleted -n gone", ""),
    ("keyvault recover -n gone", ROLE),
    ("keyvault purge -n gone", ROLE),
    ("keyvault secret set --vault-name shop -n db --value x", DATA),
    ("keyvault secret show --vault-name shop -n db", DATA),
    ("keyvault secret download --vault-name shop -n db -f value", DATA),
    ("keyvault secret list --vault-name shop", DATA),
    ("keyvault secret list-versions --vault-name shop -n db", DATA),
    ("keyvault secret list-deleted --vault-name shop", DATA),
    ("keyvault secret set-attributes --vault-name shop -n db --enabled false", DATA),
    ("keyvault secret delete --vault-name shop -n db", DATA),
    ("keyvault secret recover --vault-name shop -n db", DATA),
    ("keyvault secret purge --vault-name shop -n db", DATA),
    ("keyvault secret backup --vault-name shop -n db -f backup", DATA),
    ("keyvault secret restore --vault-name shop -f some.zip", DATA),
    ("keyvault key create --vault-name shop -n k", DATA),
    ("keyvault key list --vault-name shop", DATA),
    ("keyvault key show --vault-name shop -n k", DATA),
    ("keyvault key delete --vault-name shop -n k", DATA),
    ("keyvault key encrypt --vault-name shop -n k -a RSA-OAEP --value aGVsbG8=", DATA),
    ("keyvault key decrypt --vault-name shop -n k -a RSA-OAEP --value aGVsbG8=", DATA),
    ("keyvault key sign --vault-name shop -n k -a RS256 --digest aGVsbG8=", DATA),
    ("keyvault key verify --vault-name shop -n k -a RS256 --digest aGVsbG8= --signature aGVsbG8=", DATA),
    ("keyvault certificate show --vault-name shop -n tls", DATA),
    ("keyvault certificate list --vault-name shop", DATA),
    ("appservice plan create -g g -n other --sku B1", ROLE),
    ("appservice plan delete -g g -n plan -y", ROLE),
    ("webapp create -g g -n other --plan plan --runtime PYTHON:3.12", ROLE),
    ("webapp show -g g -n web", ROLE),
    ("webapp identity assign -g g -n web", ROLE),
    ("webapp identity show -g g -n web", ""),
    ("webapp identity remove -g g -n web --identities $I", ROLE),
    ("webapp config appsettings set -g g -n web --settings A=1", ROLE),
    ("webapp config appsettings list -g g -n web", ROLE),
    ("webapp config appsettings delete -g g -n web --setting-names A", ROLE),
    ("webapp config connection-string set -g g -n web -t Custom --settings db=x", ROLE),
    ("webapp config connection-string list -g g -n web", ROLE),
    ("webapp config set -g g -n web --startup-file x", ROLE),
    ("webapp log config -g g -n web --application-logging filesystem", ROLE),
    ("webapp stop -g g -n web", ROLE),
    ("webapp start -g g -n web", ROLE),
    ("webapp restart -g g -n web", ROLE),
    ("webapp deploy -g g -n web --src-path some.zip --type zip", "HTTP_403"),
    ("webapp up -g g -n web -p plan -l local --sku B1 --runtime PYTHON:3.12", ROLE),
    ("webapp deployment source config-zip -g g -n web --src some.zip", "HTTP_403"),
    ("webapp deployment list-publishing-profiles -g g -n web", ROLE),
    ("webapp deployment list-publishing-credentials -g g -n web", ROLE),
    ("identity create -g g -n other -l local", ROLE),
    ("identity show -g g -n readers", ""),
    ("identity delete -g g -n readers", ROLE),
    (
        "identity federated-credential create -g g --identity-name readers -n github --issuer https://issuer.example --subject a --audiences a",
        ROLE,
    ),
    (
        "identity federated-credential update -g g --identity-name readers -n github --issuer https://issuer.example --subject a --audiences a",
        ROLE,
    ),
    ("identity federated-credential delete -g g --identity-name readers -n github -y", ROLE),
    ("role definition list --name Owner", ""),
    ("role definition create --role-definition @role.json", ROLE),
    (
        "role assignment create --assignee-object-id $P --assignee-principal-type ServicePrincipal --role Owner --scope $G",
        ROLE,
    ),
    (
        "role assignment delete --ids /subscriptions/$S/providers/Microsoft.Authorization/roleAssignments/$W",
        ROLE,
    ),
    ("ad app create --display-name mine", GRAPH),
    ("ad app update --id $C --display-name other", GRAPH),
    ("ad app credential reset --id $C", GRAPH),
    ("ad app delete --id $C", GRAPH),
    ("ad sp create-for-rbac -n robot", GRAPH),
    ("ad sp show --id $C", ""),
    ("ad sp credential reset --id $C", GRAPH),
    ("ad sp delete --id $C", GRAPH),
    (
        "ad user create --display-name Ann --password Very-l0ng-passw0rd --user-principal-name ann@keyless.localhost",
        GRAPH,
    ),
    ("ad user list", GRAPH),
    ("ad user show --id ann@keyless.localhost", GRAPH),
    ("ad user delete --id ann@keyless.localhost", GRAPH),
    ("ad group create --display-name team --mail-nickname team", GRAPH),
    ("ad group list", GRAPH),
    ("ad group member add -g 11111111-2222-4333-8444-555555555555 --member-id $P", GRAPH),
    ("ad signed-in-user show", "/me request is only valid with delegated authentication flow"),
];

const ROLE: &str = "AuthorizationFailed";
const DATA: &str = "Forbidden";
const GRAPH: &str = "Insufficient privileges";

/// Who is not signed in is told to, by one command in six, and nothing is asked.
#[test]
fn who_is_not_signed_in_is_told_to() {
    let Some(az) = Az::start_warm("az-nobody") else { return };
    let asked = || az.server().keyless(["audit", "tail", "-n", "400"]).ok();
    let before = asked();
    // It is `az` that says so, whatever it is told.
    let otherwise: Vec<String> = MORE
        .iter()
        .step_by(6)
        .filter_map(|(words, _)| Row(words, 1, Says("az login")).otherwise(&az, &|words| words.to_owned()))
        .collect();
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
    assert_eq!(asked(), before, "nothing is asked");
}

/// Who reads may not write.
#[test]
fn who_has_no_role_is_refused_and_nothing_changes() {
    let Some(az) = Az::start_warm("az-refused") else { return };
    let owner = az.operator("owner", "Owner");
    let _account = az.sign_in(&owner);
    std::fs::write(az.server().place().join("some.zip"), "no zip").unwrap();
    let subscription = az.run("account show")["id"].as_str().unwrap().to_owned();
    let role = json!({"Name": "Mine", "Actions": ["*"], "AssignableScopes": [format!("/subscriptions/{subscription}")]});
    std::fs::write(az.server().place().join("role.json"), role.to_string()).unwrap();
    play(
        &az,
        &owner,
        &[
            Row("group create -n g -l local", 0, Done),
            Row("keyvault create -g g -n shop -l local", 0, Done),
            Row("keyvault create -g g -n open -l local --enable-rbac-authorization false", 0, Done),
            Row("keyvault create -g g -n limited -l local", 0, Done),
            Row("keyvault network-rule add -n limited --ip-address 192.0.2.7", 0, Done),
            Row("keyvault create -g g -n gone -l local", 0, Done),
            Row("keyvault delete -n gone", 0, Done),
            Row("appservice plan create -g g -n plan --sku B1", 0, Done),
            Row("webapp create -g g -n web --plan plan --runtime PYTHON:3.12", 0, Done),
            Row("identity create -g g -n readers -l local", 0, Done),
            Row(
                "identity federated-credential create -g g --identity-name readers -n github --issuer https://issuer.example --subject b --audiences a",
                0,
                Done,
            ),
            Row("webapp identity assign -g g -n web --identities $I", 0, Done),
        ],
    );
    let reader = az.operator("reader", "Reader");
    let _account = az.sign_in(&reader);
    let state = || {
        [
            &["vault", "list"][..],
            &["vault", "policy", "list", "open"],
            &["app", "list"],
            &["app", "show", "web"],
            &["identity", "list"],
            &["identity", "federated", "list", "readers"],
            &["role", "list"],
            &["app-registration", "list"],
            &["user", "list"],
            &["group", "list"],
        ]
        .map(|words| {
            let mut command = az.server().command([]);
            Ended::from(wait::output(command.args(words).args(["-o", "json"]), b"")).ok()
        })
    };
    let before = state();
    let rows: Vec<Row<'_>> = MORE
        .iter()
        .map(
            |(words, refused)| {
                if refused.is_empty() { Row(words, 0, Done) } else { Row(words, 1, Says(refused)) }
            },
        )
        .collect();
    let given = az.ours(["role", "list"]);
    let given = given.as_array().unwrap().iter().find(|one| one["principal"] == owner.principal.as_str());
    let given = given.unwrap()["id"].as_str().unwrap();
    play_with(&az, &reader, &[("$O", &owner.principal), ("$W", given)], &rows);
    assert_eq!(state(), before);

    let _said = az.server().keyless(["principal", "disable", &reader.principal]).ok();
    az.refused("group show -n g", 1, "the principal is disabled");
    // Who never had a role has no subscription.
    let _nothing = az.run("account clear");
    let stranger = az.server().registration("stranger");
    let Registered { tenant, client, secret, .. } = &stranger;
    let sign_in = format!("login --service-principal -u {client} --password={secret} --tenant {tenant}");
    az.refused(&sign_in, 1, "No subscriptions found");
    let wrong = format!("login --service-principal -u {} --password=wrong --tenant {tenant}", owner.client);
    az.refused(&wrong, 1, "AADSTS7000215");
    // Without a role at Graph a program is not told of itself neither.
    let looks = az.server().registration("looks");
    az.server().assign("Reader", &looks.principal, "subscription");
    let _account = az.sign_in(&looks);
    az.refused(&format!("ad sp show --id {}", looks.client), 1, GRAPH);
    let log = az.server().keyless(["audit", "tail", "-n", "400"]).ok();
    assert!(log.contains("refused") && log.contains("group.delete"), "{log}");
}
