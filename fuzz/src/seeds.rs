//! The first files of each corpus: what our own code writes, and what the tests of `wire` and `crypt` have. `cargo run -p fuzz` writes
//! them anew; what the runner found is kept beside them.

use crate::{
    TARGETS, raw,
    support::{NOW, SeededEntropy},
    targets::{passkey, record},
    world,
};
use crypt::{
    certificate::{CertificateProfile, Subject, request, self_signed, write_pem},
    encoding,
    keys::{Curve, KeySpec, PrivateKey},
    test_keys::{AuthenticatorPair, PairKind},
};
use domain::Secret;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, io, path::Path};
use store::{Key, Store as _};

/// Bytes of a seed.
const BYTES_MAX: usize = 6 * 1024;

/// Writes the seeds of all targets below a folder, each as `seed-NN`.
///
/// # Errors
/// The file system's.
pub fn write(corpus: &Path) -> io::Result<()> {
    for target in TARGETS {
        let folder = corpus.join(target.name);
        fs::create_dir_all(&folder)?;
        let seeds: BTreeSet<Vec<u8>> = match target.name {
            "arm_body" => arm_bodies(),
            "arm_filter" => arm_filters(),
            "arm_path" => arm_paths(),
            "backup" => backups(),
            "assertion" => assertions(),
            "bearer" => bearers(),
            "config" => configs(),
            "jwk" => jwks(),
            "keyvault_body" => exchanges(true),
            "keyvault_path" => exchanges(false).into_iter().chain(routes()).collect(),
            "msi" => msi(),
            "package" => packages(),
            "passkey" => passkeys(),
            "pem" => pems(),
            "pfx" => pfxs(),
            "record" => records(),
            "root_files" => root_files(),
            "scm" => scm(),
            "stack" => stacks(),
            "token_request" => token_requests(),
            "x509" => x509(),
            other => panic!("no seeds for {other}"),
        };
        for (number, seed) in seeds.iter().filter(|seed| seed.len() <= BYTES_MAX).enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}

/// A file of the repository.
fn file(path: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(path: &str) -> String {
    String::from_utf8(file(path)).unwrap()
}

/// A test file of `crypt`.
fn public(name: &str) -> Vec<u8> {
    file(&format!("crates/crypt/testdata/public-test-{name}"))
}

fn prefixed(prefix: &[u8], rest: impl AsRef<[u8]>) -> Vec<u8> {
    [prefix, rest.as_ref()].concat()
}

/// One request of each form that the golden files have, with a body or without one.
fn exchanges(with_body: bool) -> BTreeSet<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/wire/tests/golden/keyvault");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut forms, mut seeds) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        for exchange in fs::read_to_string(file).unwrap().split("\n===\n") {
            let is_comment = |line: &&str| line.starts_with('#') || line.starts_with('>');
            let asked = exchange.split("\nHTTP/1.1 ").next().unwrap_or_default();
            let asked: Vec<&str> = asked.lines().skip_while(is_comment).collect();
            let asked = asked.join("\n");
            let (head, body) = asked.split_once("\n\n").unwrap_or((&asked, ""));
            let line = head.lines().next().unwrap_or_default();
            let (body, members) = (body.trim(), body.matches('"').count());
            // One of each: same method, same words in the path, about as many members.
            let words = line.split(['?', '/']).filter(|word| word.len() > 3 && !word.contains('{'));
            let form = (
                words.take(5).map(str::to_owned).collect::<Vec<_>>(),
                if with_body { members / 6 } else { 0 },
            );
            if with_body == body.starts_with('{') && forms.insert(form) {
                seeds.insert(format!("{line}\n{body}").into_bytes());
            }
        }
    }
    if !with_body {
        return seeds.into_iter().take(12).collect();
    }
    // The largest bodies add least.
    let mut seeds: Vec<_> = seeds.into_iter().collect();
    seeds.sort_by_key(Vec::len);
    seeds.truncate(34);
    seeds.extend(hostile_bodies());
    seeds.into_iter().collect()
}

fn hostile_bodies() -> Vec<Vec<u8>> {
    let set = |body: String| format!("PUT /secrets/db?api-version=7.4\n{body}").into_bytes();
    vec![
        set("[".repeat(3_000)),
        set(format!("{}1{}", r#"{"tags":"#.repeat(400), "}".repeat(400))),
        set(r#"{"value":"canary","value":"other"}"#.to_owned()),
        set(r#"{"value":"\ud800"}"#.to_owned()),
        set(r#"{"value":"canary","attributes":{"exp":1e400,"nbf":-9223372036854775808}}"#.to_owned()),
        set(r#"{"value":"canary","attributes":{"exp":9223372036854775807}}"#.to_owned()),
        b"POST /rng?api-version=7.4\n{\"count\":4294967295}".to_vec(),
        b"PUT /secrets/db?api-version=7.4\n\xff\xfe{\"value\":\"canary\"}".to_vec(),
    ]
}

/// Each route of `wire`'s list.
fn routes() -> BTreeSet<Vec<u8>> {
    let list = text("crates/wire/tests/routes.txt");
    let routes = list.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (listener, method, path) = (*words.first()?, words.get(1)?, words.get(2)?);
        let path = path.replace("{name}", "tls").replace("{version}", "0123456789abcdef0123456789abcdef");
        match listener {
            "vault" if *method != "PUT" => Some(format!("{method} {path}?api-version=7.4&maxresults=3")),
            "login" => Some(format!("{method} {path} login")),
            _ => None,
        }
    });
    let seeds: BTreeSet<_> = routes.map(String::into_bytes).collect();
    // Every other one, which leaves room for what is found.
    seeds.into_iter().step_by(3).collect()
}

/// A request to the resource manager below the subscription.
fn managed(method: &str, path: &str, query: &str, body: &str) -> Vec<u8> {
    format!("{method} /subscriptions/{{subscription}}{path}?api-version=2025-05-01{query} management\n{body}")
        .into_bytes()
}

const IN_GROUP: &str = "/resourceGroups/keyless/providers";

/// Each route of the resource manager, and paths that are none.
fn arm_paths() -> BTreeSet<Vec<u8>> {
    let list = text("crates/wire/tests/routes.txt");
    let routes = list.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (listener, method, path) = (*words.first()?, words.get(1)?, words.get(2)?);
        let path = path.replace("{name}", "keyless");
        let line = format!("{method} {path}?api-version=2025-05-01 management");
        (listener == "management").then(|| line.into_bytes())
    });
    let mut seeds: BTreeSet<_> = routes.collect();
    for (method, path, query) in [
        ("GET", "//resourcegroups/KEYLESS/", ""),
        ("HEAD", "/resourceGroups/keyless", ""),
        ("HEAD", "/resourceGroups/none", ""),
        ("GET", "/resourceGroups/key%2Fless", ""),
        ("GET", "/resourceGroups/%ff", ""),
        ("GET", "/resourceGroups/..", ""),
        ("GET", "/resources", "&$filter=resourceType%20eq%20'Microsoft.Web/sites'"),
        ("GET", "/providers/Microsoft.Authorization/roleDefinitions", "&$filter=roleName%20eq%20'Owner'"),
        ("GET", "/providers/Microsoft.Authorization/providers/Microsoft.Authorization/roleAssignments", ""),
        ("DELETE", "/resourceGroups/keyless", ""),
        (
            "DELETE",
            "/resourceGroups/keyless/providers/Microsoft.Web/sites/none",
            "&deleteEmptyServerFarm=false",
        ),
        ("GET", "/resourceGroups/keyless/providers/Microsoft.Web/sites/web/config/web", ""),
        ("POST", "/resourceGroups/keyless/providers/Microsoft.Web/sites/web/config/appsettings/list", ""),
        ("GET", "/resourceGroups/keyless/providers/Microsoft.Web/sites/web/deploymentStatus/x", ""),
        ("POST", "/providers/Microsoft.KeyVault/locations/local/deletedVaults/shop/purge", ""),
        ("GET", &*"/a".repeat(25), ""),
        ("GET", &*format!("/resourceGroups/{}", "g".repeat(91)), ""),
    ] {
        seeds.insert(managed(method, path, query, ""));
    }
    seeds.insert(b"GET /metadata/endpoints?api-version=2022-09-01 management".to_vec());
    seeds.insert(b"GET //met%61data/ENDPOINTS/ management".to_vec());
    seeds.insert(b"PUT /metadata/endpoints management".to_vec());
    seeds.insert(b"GET /metadata/endpoints/%2f management".to_vec());
    seeds.insert(b"GET /tenants?api-version=latest management".to_vec());
    seeds.insert(b"GET /subscriptions management".to_vec());
    seeds
}

/// What clients send, and what none does.
fn arm_bodies() -> BTreeSet<Vec<u8>> {
    let put = |path: &str, body: Value| managed("PUT", &format!("{IN_GROUP}/{path}"), "", &body.to_string());
    let site = |config: Value| {
        json!({"location": "local", "kind": "app,linux", "tags": {"a": "b"}, "identity": {"type": "SystemAssigned"},
            "properties": {"serverFarmId": "keyless", "httpsOnly": true, "siteConfig": config}})
    };
    let policies = json!([{"tenantId": "{tenant}", "objectId": "{app.principal}",
        "permissions": {"keys": ["Get"], "secrets": ["all"], "certificates": ["list"]}}]);
    let vault = json!({"location": "local", "properties": {"tenantId": "{tenant}", "sku": {"family": "A", "name": "standard"},
        "accessPolicies": policies, "enableRbacAuthorization": false, "softDeleteRetentionInDays": 90,
        "networkAcls": {"defaultAction": "Deny", "bypass": "None", "ipRules": [{"value": "192.0.2.0/24"}]}}});
    let role = json!({"properties": {"principalId": "{app.principal}", "principalType": "ServicePrincipal",
        "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"}});
    let definition = json!({"properties": {"roleName": "Auditor", "description": "d", "type": "CustomRole",
        "permissions": [{"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}],
        "assignableScopes": ["/subscriptions/{subscription}"]}});
    let federated = json!({"properties": {"issuer": "https://token.example", "subject": "repo:o/r",
        "audiences": ["api://AzureADTokenExchange"]}});
    let id = "11111111-2222-4333-8444-555555555555";
    let mut seeds: BTreeSet<_> = [
        managed("PUT", "/resourceGroups/red", "", r#"{"location":"West Europe","tags":{"a":"b"}}"#),
        managed("PATCH", "/resourceGroups/keyless", "", r#"{"tags":{"a":null}}"#),
        put("Microsoft.KeyVault/vaults/till", vault),
        put("Microsoft.KeyVault/vaults/shop/accessPolicies/add", json!({"properties": {"accessPolicies": policies}})),
        put("Microsoft.KeyVault/vaults/till", json!({"location": "local", "properties": {"createMode": "recover"}})),
        put("Microsoft.Web/serverfarms/cheap", json!({"location": "local", "sku": {"name": "B1", "capacity": 1}})),
        put("Microsoft.Web/sites/web", site(json!({"linuxFxVersion": "PYTHON|3.12", "appSettings": [{"name": "KEY", "value": "canary-7"}]}))),
        put("Microsoft.Web/sites/web", site(json!({"appCommandLine": "x", "alwaysOn": true, "healthCheckPath": "/"}))),
        put("Microsoft.Web/sites/web/config/appsettings", json!({"properties": {"KEY": "canary-7", "MODE": "fast"}})),
        put("Microsoft.Web/sites/web/config/connectionstrings", json!({"properties": {"DB": {"value": "canary-7", "type": "Custom"}}})),
        put("Microsoft.Web/sites/web/config/slotConfigNames", json!({"properties": {"appSettingNames": ["KEY"]}})),
        put("Microsoft.Web/sites/web/config/logs", json!({"properties": {"applicationLogs": {"fileSystem": {"level": "Off"}}}})),
        put("Microsoft.Web/sites/web/config/metadata", json!({"properties": {"CURRENT_STACK": "python"}})),
        put("Microsoft.Web/sites/web/basicPublishingCredentialsPolicies/scm", json!({"properties": {"allow": true}})),
        put("Microsoft.ManagedIdentity/userAssignedIdentities/readers", json!({"location": "local"})),
        put("Microsoft.ManagedIdentity/userAssignedIdentities/readers/federatedIdentityCredentials/main", federated),
        put(&format!("Microsoft.Web/sites/web/providers/Microsoft.Authorization/roleAssignments/{id}"), role.clone()),
        managed("PUT", &format!("/providers/Microsoft.Authorization/roleAssignments/{id}"), "", &role.to_string()),
        managed("PUT", &format!("/providers/Microsoft.Authorization/roleDefinitions/{id}"), "", &definition.to_string()),
        managed("POST", "/providers/Microsoft.KeyVault/checkNameAvailability", "", r#"{"name":"shop","type":"Microsoft.KeyVault/vaults"}"#),
        managed("POST", "/providers/Microsoft.Web/checknameavailability", "", r#"{"name":"web","type":"Site"}"#),
    ]
    .into();
    let settings = |body: &str| {
        managed("PUT", &format!("{IN_GROUP}/Microsoft.Web/sites/web/config/appsettings"), "", body)
    };
    for body in [
        "[".repeat(3_000),
        format!("{}1{}", r#"{"properties":"#.repeat(400), "}".repeat(400)),
        r#"{"properties":{"KEY":"canary-7","KEY":["canary-7"]}}"#.to_owned(),
        r#"{"properties":{"KEY":{"canary-7":1e400}}}"#.to_owned(),
        r#"{"properties":{"\u0000":"canary-7","PATH":"canary-7"}}"#.to_owned(),
        r#"{"properties":"canary-7"}"#.to_owned(),
        r#"{"properties":null,"Properties":{"A":"b"}}"#.to_owned(),
    ] {
        seeds.insert(settings(&body));
    }
    seeds
}

fn arm_filters() -> BTreeSet<Vec<u8>> {
    let id = "11111111-2222-4333-8444-555555555555";
    [
        "resourceType eq 'Microsoft.KeyVault/vaults' and name eq 'It''s'",
        "RESOURCEGROUP eq 'keyless'",
        "location EQ 'local' AND name eq 'web'",
        "tagName eq 'x'",
        "atScope()",
        "atScopeAndBelow() and type eq 'CustomRole'",
        &format!("atScope() and assignedTo('{id}')"),
        &format!("principalId eq '{id}'"),
        "roleName eq 'Key Vault Secrets User' and type eq 'BuiltInRole'",
        "roleName eq 'a' or roleName eq 'b'",
        "name eq '",
        "eq eq 'eq' and and eq 'and'",
        "é eq 'x'",
        "",
        &"name eq 'x' and ".repeat(60),
        &format!("name eq '{}'", "''".repeat(600)),
    ]
    .iter()
    .map(|filter| filter.as_bytes().to_vec())
    .collect()
}

/// What `az webapp deploy` sends and asks after.
fn scm() -> BTreeSet<Vec<u8>> {
    let by = |line: &str, headers: &str, body: &[u8]| {
        prefixed(format!("{line}\n{headers}authorization: Bearer {{deployment}}\n\n").as_bytes(), body)
    };
    let zip = raw::archive(&[raw::file("app.py", b"print(1)")]);
    let zip_type = "content-type: application/zip\n";
    [
        by("POST /api/publish?type=zip&restart=True&ignorestack=&clean=True", zip_type, &zip),
        by(
            "POST /api/zipdeploy?isAsync=true",
            "content-type: application/octet-stream\ncache-control: no-cache\n",
            &zip,
        ),
        by("PUT /API/ZipDeploy/", zip_type, b"no zip"),
        by("POST /api/publish?type=war", zip_type, &zip),
        by("POST /api/publish?type=zip&path=/etc", zip_type, &zip),
        by("POST /api/publish?type=zip&path=%2Fhome%2Fsite%2Fwwwroot%2F", zip_type, &zip),
        by(
            "POST /api/publish?type=zip",
            "content-type: application/json\n",
            br#"{"packageUri":"https://evil.example/x.zip"}"#,
        ),
        by("GET /api/deployments", "", b""),
        by("GET /api/deployments/latest", "", b""),
        by("GET /api/deployments/11111111-2222-4333-8444-555555555555/log", "", b""),
        by("GET /logstream/application?x=%ff", "accept: text/event-stream\n", b""),
        by("DELETE /api/zipdeploy", "", b""),
        by("GET /api//zipdeploy", "", b""),
        b"POST /api/zipdeploy\nauthorization: Basic eDp5\n\nPK".to_vec(),
        b"POST /api/zipdeploy\nauthorization: Bearer {management}\n\nPK".to_vec(),
        b"POST /api/zipdeploy\nauthorization: Bearer {deployment}\nauthorization: Bearer {token}\n\nPK"
            .to_vec(),
        b"POST /api/zipdeploy\ncontent-length: 99999999999999999999\ntransfer-encoding: chunked\n\nPK"
            .to_vec(),
    ]
    .into()
}

/// What people write, and what costs a parser of YAML much.
fn stacks() -> BTreeSet<Vec<u8>> {
    let everything = text("crates/cli/src/apply/everything.yaml");
    let bombs: String = ('b'..='i').fold("a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, name| {
        let before = char::from(name as u8 - 1);
        let many = vec![format!("*{before}"); 9].join(", ");
        format!("{text}{name}: &{name} [{many}]\n")
    });
    let many: String = (0..400).map(|number| format!("- name: a{number}\n")).collect();
    let mut seeds: BTreeSet<_> = [
        everything.clone(),
        everything.replace("- name:", "- &x\n  name:"),
        bombs,
        format!("apps:\n{many}"),
        "[".repeat(2_000),
        "a: ".repeat(1_000),
        "apps: &a\n- name: web\nvaults: *a\n".to_owned(),
        "vaults:\n- name: shop\n  access: roles\n  roles: [{role: Reader, app: web, secret: db}]\n"
            .to_owned(),
        "vaults:\n- name: shop\n  retention_days: 1e400\n".to_owned(),
        "vaults:\n- <<: {name: shop}\n  secrets:\n  - {name: db, value: canary}\n".to_owned(),
        "apps:\n- name: web\n  settings: {A: !!binary aGk=, B: !x y, C: 0x10, ? [d] : e}\n".to_owned(),
        "apps:\n- name: web\n  settings: |\n   A: b\n  identity: yes\n".to_owned(),
        "--- {}\n--- {}\n".to_owned(),
        "\"a\\e[2J\\nb\": 1\n".to_owned(),
        "vaults:\n- name: shop\n  secrets:\n  - {name: db, from_file: {value: canary}}\n".to_owned(),
        "%YAML 9.9\n---\ntenant: \"\\uD800\"\n".to_owned(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    seeds.insert(b"\xef\xbb\xbftenant: x\r\napps: []\r\n\x00".to_vec());
    seeds
}

/// Archives, and the files that say what is started.
/// As GNU tar and pax have them, and what is refused.
fn root_files() -> BTreeSet<Vec<u8>> {
    let entry = |name: &str, kind: u8, content: &[u8]| {
        let mut block = vec![0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[148..156].fill(b' ');
        block[156] = kind;
        block[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block.extend(content);
        block.resize(block.len().next_multiple_of(512), 0);
        block
    };
    [
        [entry("bin/", b'5', b""), entry("bin/sh", b'0', b"x"), entry("sh", b'2', b""), vec![0; 1024]]
            .concat(),
        [entry("long", b'L', b"a/very/long/name"), entry("a", b'0', b"y")].concat(),
        [entry("pax", b'x', b"10 size=7\n12 path=a/b\n"), entry("b", b'0', b"1234567")].concat(),
        [entry("pax", b'x', b"25 GNU.sparse.realsize=9\n"), entry("c", b'0', b"")].concat(),
        [entry("hole", b'S', b""), entry("disk", b'4', b"")].concat(),
    ]
    .into()
}

fn packages() -> BTreeSet<Vec<u8>> {
    let zip = |entries: &[raw::Entry]| prefixed(&[0], raw::archive(entries));
    let npm = br#"{"main": "lib/a", "scripts": {"start": "node lib/a.js --port $PORT"}}"#;
    // `print(1)`, deflated.
    let deflated = [0x2b, 0x28, 0xca, 0xcc, 0x2b, 0xd1, 0x30, 0xd4, 0x04, 0x00];
    let python = raw::Entry {
        bytes: deflated.to_vec(),
        method: 8,
        crc: raw::crc32(b"print(1)"),
        size: 8,
        ..raw::file("app.py", "")
    };
    [
        zip(&[
            raw::file("Procfile", "web: ./run\n"),
            raw::Entry { mode: 0o100_755, ..raw::file("run", "#!/bin/sh\n") },
        ]),
        zip(&[python, raw::file("requirements.txt", "")]),
        zip(&[
            raw::file("package.json", npm),
            raw::directory("lib/"),
            raw::file("lib/a.js", ""),
            raw::link("node_modules/.bin/a", "../../lib/a.js"),
        ]),
        zip(&[
            raw::link("a", "b/../../c"),
            raw::file("../out", ""),
            raw::file("C:\\x", ""),
            raw::link("l", "/"),
            raw::file("l/x", ""),
        ]),
        // Many directories by few entries.
        zip(&(0..5)
            .map(|number| raw::file(format!("{number}/{}x", "d/".repeat(60)), ""))
            .collect::<Vec<_>>()),
        zip(&[raw::file("x", "1"), raw::Entry { offset: Some(0), ..raw::file("y", "1") }]),
        prefixed(&[1], "# none\r\nworker: x\r\nweb: FOO=1 gunicorn -b 0.0.0.0:$PORT 'a b:app'\r\n"),
        prefixed(&[3], npm),
        prefixed(&[5], "npm run migrate && exec npm start"),
    ]
    .into()
}

fn token_requests() -> BTreeSet<Vec<u8>> {
    let form = "application/x-www-form-urlencoded";
    let good = "grant_type=client_credentials&client_id={app.client}&client_secret={secret}";
    [
        format!("v2 {form}\n{good}&scope=https%3A%2F%2Fvault.azure.net%2F.default"),
        format!("v1 {form}\n{good}&resource=https://vault.azure.net"),
        format!("v1 {form}; charset=utf-8\n{good}&resource={{app.client}}&claims=%7B%7D"),
        format!("v2 {form}\n{good}&scope=a+b%20c&scope=d"),
        format!("v2 {form}\ngrant_type=password&username=a&password=b&client_id={{app.client}}"),
        format!(
            "v2 {form}\ngrant_type=client_credentials&client_assertion_type=urn%3Aietf&client_assertion=a.b.c"
        ),
        format!("v1 {form}\n%ff=%00&=&&grant_type"),
        "v2 application/json\n{\"grant_type\":\"client_credentials\"}".to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

fn msi() -> BTreeSet<Vec<u8>> {
    let head = "Host: 127.0.0.1:4141\r\nX-IDENTITY-HEADER: {endpoint secret}\r\nConnection: close\r\n\r\n";
    let query = "api-version=2019-08-01&resource=https://vault.azure.net";
    [
        format!("GET /msi/token?{query} HTTP/1.1\r\n{head}"),
        format!("GET /msi/token?{query}&client_id={{app.client}} HTTP/1.1\r\n{head}"),
        "GET /msi/token?api-version=2017-09-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r\n\
         Host: localhost:4141\r\nSecret: {endpoint secret}\r\nMetadata: true\r\n\r\n"
            .to_owned(),
        format!("POST /msi/token?{query} HTTP/1.1\r\nContent-Length: 2\r\n{head}{{}}"),
        format!(
            "GET /msi/token?{query}&resource=a&mi_res_id=%2Fb HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1\r\n{head}"
        ),
        format!("GET /msi/token?{query} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{head}0\r\n\r\n"),
        format!("GET http://a/msi/token?{query} HTTP/1.0\r\n{head}"),
        format!("GET /elsewhere HTTP/1.1\r\n{head}GET /msi/token HTTP/1.1\r\n{head}"),
        "GET /metadata/identity/oauth2/token/?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r\n\
         Host: 169.254.169.254\r\nMetadata: true\r\n\r\n\
         GET /metadata/instance?msi-res-id=a HTTP/1.1\r\nHost: 169.254.169.254:80\r\nMetadata: True\r\n\r\n"
            .to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

/// An assertion that is genuine: signed by the first test key.
pub(crate) fn assertion() -> &'static str {
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    TEXT.get_or_init(|| {
        let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "x5t": "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "x5c": ["MII"]});
        let claims = serde_json::json!({
            "iss": "a", "sub": "b", "aud": ["c"], "exp": 1_800_000_600.5, "nbf": 1_800_000_000, "jti": "d",
        });
        crypt::test_keys::TestSigner::one(crate::support::NOW).token(&header, &claims)
    })
}

fn assertions() -> BTreeSet<Vec<u8>> {
    let signer = crypt::test_keys::TestSigner::one(crate::support::NOW);
    let of = |which: u8, rest: &[u8]| [&[which], rest].concat();
    let unsigned = |header: &str| {
        let claims = encoding::base64url(br#"{"iss":"a","sub":"b","aud":"c","exp":1}"#);
        format!("{}.{claims}.AAAA", encoding::base64url(header.as_bytes()))
    };
    let set = serde_json::json!({"keys": [signer.jwk(), {"kty": "oct", "use": "enc"}]}).to_string();
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        encoding::base64(&signer.certificate)
    );
    [
        of(0, assertion().as_bytes()),
        of(0, unsigned(r#"{"alg":"none"}"#).as_bytes()),
        of(0, unsigned(r#"{"alg":"PS256","x5t#S256":"AA==","crit":["b64"]}"#).as_bytes()),
        of(0, unsigned(r#"{"alg":"ES256","kid":"a"}"#).as_bytes()),
        of(1, set.as_bytes()),
        of(1, br#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#),
        of(2, &signer.certificate),
        of(2, pem.as_bytes()),
    ]
    .into()
}

fn bearers() -> BTreeSet<Vec<u8>> {
    let header = encoding::base64url(br#"{"alg":"none","typ":"JWT"}"#);
    let claims = encoding::base64url(br#"{"aud":"https://vault.azure.net","exp":1}"#);
    [
        b"{token}".to_vec(),
        vec![1],
        vec![1, 3, 0, 1],
        vec![1, 0xff, 0xff, 2, 60, 0, 32],
        format!("{header}.{claims}.").into_bytes(),
        format!("{}.{claims}.AAAA", encoding::base64url(br#"{"alg":"RS256","kid":"a","typ":"JWT"}"#))
            .into_bytes(),
        b"a..".to_vec(),
        b"{token}{token}".to_vec(),
    ]
    .into()
}

fn configs() -> BTreeSet<Vec<u8>> {
    [
        "domain = \"keyless.localhost\"\nport = 8443\nlisten = [\"127.0.0.1\", \"::1\"]\n",
        "access_token_lifetime = \"1h\"\nstore_cache = \"64MiB\"\nlog_format = \"json\"\nlog_filter = \"info,wire=debug\"\n",
        "require_enforced = true\ntest_clock = false\naudit_sync = \"each-record\"\npassphrase_file = \"/a\"\n",
        "port = 0\n",
        "nonsense = 1\n",
        "[domain]\na = [[[[[[[[[[[[1]]]]]]]]]]]]\n",
        "listen = \"0.0.0.0\"\naccess_token_lifetime = \"99999999999999999999d\"\nstore_cache = \"99999999999TiB\"\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn jwks() -> BTreeSet<Vec<u8>> {
    let mut seeds: BTreeSet<Vec<u8>> = BTreeSet::new();
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::P256K] {
        let key = PrivateKey::generate(KeySpec::Ec(curve), &SeededEntropy::new(4)).unwrap();
        let (_, jwk) = key.to_private_jwk().unwrap();
        let encoded = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(encoding::base64url);
        let d = jwk.d.as_ref().map(|d| encoding::base64url(d.expose()));
        let value = json!({
            "kty": "EC", "crv": curve.name(), "x": encoded(&jwk.x), "y": encoded(&jwk.y), "d": d,
            "key_ops": ["sign", "verify"],
        });
        seeds.insert(value.to_string().into_bytes());
    }
    seeds.insert(rsa_jwk().to_string().into_bytes());
    seeds.insert(
        br#"{"kty":"oct-HSM","k":"AAECAwQFBgcICQoLDA0ODw","key_ops":["encrypt","wrapKey"]}"#.to_vec(),
    );
    seeds.insert(br#"{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODw"}"#.to_vec());
    seeds.insert(br#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_vec());
    seeds.insert(br#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}"#.to_vec());
    seeds
}

/// The public test key.
fn rsa_jwk() -> Value {
    use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
    let pem = public("key-1.pem");
    let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(&pem).unwrap();
    let key = PrivateKey::import_pkcs8(&Secret::new(pkcs8.secret_pkcs8_der().to_vec())).unwrap();
    let (_, jwk) = key.to_private_jwk().unwrap();
    let open = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(encoding::base64url);
    let secret =
        |bytes: &Option<Secret<Vec<u8>>>| bytes.as_ref().map(|bytes| encoding::base64url(bytes.expose()));
    json!({
        "kty": "RSA", "n": open(&jwk.n), "e": open(&jwk.e), "d": secret(&jwk.d), "p": secret(&jwk.p),
        "q": secret(&jwk.q), "dp": secret(&jwk.dp), "dq": secret(&jwk.dq), "qi": secret(&jwk.qi),
    })
}

/// A fresh EC key and its own certificate.
fn key_and_certificate() -> (Secret<Vec<u8>>, Vec<u8>, CertificateProfile) {
    let entropy = SeededEntropy::new(5);
    let key = PrivateKey::generate(KeySpec::Ec(Curve::P256), &entropy).unwrap();
    let key = key.to_pkcs8().unwrap().unwrap();
    let mut profile = CertificateProfile::new(Subject::parse("CN=contoso.com,O=Contoso").unwrap());
    profile.alternative_names.dns_names = vec!["contoso.com".to_owned()];
    let certificate = self_signed(&profile, &key, NOW, &entropy).unwrap().remove(0);
    (key, certificate, profile)
}

/// One with each kind of key, and one with extensions.
fn passkeys() -> BTreeSet<Vec<u8>> {
    let object = |flags: u8, key: &[u8], after: &[u8]| {
        let site = crypt::sha256(passkey::EXPECTED.rp_id);
        let data =
            [&site.bytes()[..], &[flags, 0, 0, 0, 1], &[0; 16], &[0, 4, 1, 2, 3, 4], key, after].concat();
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59";
        [&head[..], &length, &data].concat()
    };
    let keys =
        [PairKind::Es256, PairKind::EdDsa, PairKind::Rs256].map(|kind| AuthenticatorPair::fresh(kind).cose());
    let mut seeds: BTreeSet<Vec<u8>> = keys.iter().map(|key| object(0x45, key, &[])).collect();
    seeds.insert(object(0xdd, &keys[0], b"\xa1\x6bcredProtect\x02"));
    for seed in &seeds {
        let client_data = format!(
            "{{\"type\":\"webauthn.create\",\"challenge\":\"{}\",\"origin\":\"{}\"}}",
            encoding::base64url(passkey::EXPECTED.challenge),
            passkey::EXPECTED.origin
        );
        directory::passkey::register(&passkey::EXPECTED, client_data.as_bytes(), seed).unwrap();
    }
    seeds
}

fn pems() -> BTreeSet<Vec<u8>> {
    let (key, certificate, _) = key_and_certificate();
    let written = write_pem(Some(&key), &[certificate]).unwrap().expose().clone().into_bytes();
    let mut explained = b"Bag Attributes\r\n  friendlyName: a\r\n".to_vec();
    explained.extend_from_slice(&written);
    [written, explained, public("bundle.pem"), public("sec1.pem"), public("v1.pem"), public("request.pem")]
        .into()
}

fn x509() -> BTreeSet<Vec<u8>> {
    let (key, certificate, profile) = key_and_certificate();
    let asked = request(&profile, &key).unwrap();
    let leaf = public("leaf.der");
    let with_length = |der: &[u8]| prefixed(&u16::try_from(der.len()).unwrap().to_le_bytes(), der);
    let chain = [with_length(&certificate), with_length(&leaf)].concat();
    [prefixed(&[0], &certificate), prefixed(&[0], &leaf), prefixed(&[1], asked), prefixed(&[2], chain)].into()
}

fn pfxs() -> BTreeSet<Vec<u8>> {
    let (key, certificate, _) = key_and_certificate();
    let own = crypt::certificate::write_pfx(Some(&key), &[certificate], &SeededEntropy::new(6)).unwrap();
    let mut seeds: BTreeSet<Vec<u8>> = BTreeSet::new();
    seeds.insert(prefixed(&[0], own.expose()));
    for name in ["modern", "legacy", "clear", "no-mac-fast", "no-mac", "costly", "java", "two-keys", "null"] {
        let password = "test-pässword";
        let head = prefixed(&[u8::try_from(password.len()).unwrap()], password);
        seeds.insert(prefixed(&head, public(&format!("{name}.pfx"))));
    }
    seeds.insert(prefixed(&[0], public("empty.pfx")));
    seeds.insert(prefixed(&[0], endless_pfx()));
    seeds
}

/// Two billion rounds before the MAC can be compared.
fn endless_pfx() -> Vec<u8> {
    let der = |tag: u8, parts: &[&[u8]]| {
        let content = parts.concat();
        assert!(content.len() < 128);
        prefixed(&[tag, u8::try_from(content.len()).unwrap()], content)
    };
    let data = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
    let sha256 = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    let content = der(0x30, &[&der(6, &[&data]), &der(0xa0, &[&der(4, &[&der(0x30, &[])])])]);
    let digest = der(0x30, &[&der(0x30, &[&der(6, &[&sha256])]), &der(4, &[&[7; 32]])]);
    let mac = der(0x30, &[&digest, &der(4, &[b"saltsalt"]), &der(2, &[&[0x7f, 0xff, 0xff, 0xff]])]);
    der(0x30, &[&der(2, &[&[3]]), &content, &mac])
}

fn backups() -> BTreeSet<Vec<u8>> {
    let mut seeds: BTreeSet<Vec<u8>> = BTreeSet::new();
    world::with(|server| {
        for (number, backup) in (0_u8..).zip(&server.backups) {
            let first = number * 4;
            seeds.insert(vec![first + 1]);
            seeds.insert(vec![first + 1, 40, 0, 1]);
            seeds.insert(vec![first + 2, 60, 0, 1]);
            seeds.insert(vec![first + 2]);
            seeds.insert(prefixed(&[first + 3], &backup.plain));
            let text = String::from_utf8(backup.plain.clone()).unwrap();
            for (what, instead) in
                [("\"name\":\"", "\"name\":\"x"), ("\"versions\":[", "\"versions\":[],\"x\":[")]
            {
                seeds.insert(prefixed(&[first + 3], text.replacen(what, instead, 1)));
            }
        }
    });
    seeds.insert(b"\x00a2V5bGVzcy1iYWNrdXAB".to_vec());
    seeds
}

/// A record of each type.
fn records() -> BTreeSet<Vec<u8>> {
    world::with(|server| {
        let limit = std::num::NonZeroU16::new(500).unwrap();
        let page = server.runtime.block_on(server.world.store.list(&Key::new(""), None, limit)).unwrap();
        let mut seeds = BTreeSet::new();
        for (which, is_one) in (0_u8..).zip(record::TYPES) {
            let ones = page.entries.iter().filter(|entry| is_one(&entry.value));
            let shortest = ones.min_by_key(|entry| entry.value.len());
            seeds.extend(shortest.map(|entry| prefixed(&[which], &entry.value)));
        }
        seeds
    })
}
