//! What the resource manager's clients ask again and again, each over one connection: how long a call takes at the server, the way there included.

use crate::{
    load,
    report::{Report, Row},
    scenario::{Bench, LOGIN_HOST, Size},
    tokens::{Client, field},
};
use std::time::Instant;

const MANAGEMENT_HOST: &str = "management.keyless.localhost";
/// Milliseconds. Ours: `az` itself takes some 500 for a command, of which the calls should be no part that anybody sees.
const MEDIAN_MS_MAX: f64 = 5.0;
const VERSION: &str = "api-version=2025-05-01";

impl Bench {
    /// The calls of which `az` makes most of what it does.
    pub(crate) async fn management(&self, report: &mut Report, size: &Size) {
        let client = self.client("management", &[]);
        let owner =
            ["role", "assign", "--role", "Owner", "--client-id", &client.id, "--scope", "subscription"];
        self.system.command(&owner, b"");
        let token = self.management_token(&client).await;
        let target = self.system.target(&self.root, MANAGEMENT_HOST);
        let mut connection = load::Connection::open(&target).await;
        let port = self.system.port;
        let ask = |method: &str, path: &str, body: &str| {
            format!(
                "{method} {path}{}{VERSION} HTTP/1.1\r\nHost: {MANAGEMENT_HOST}:{port}\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                if path.contains('?') { '&' } else { '?' },
                body.len()
            )
            .into_bytes()
        };
        let listed = connection.exchange(&ask("GET", "/subscriptions", "")).await;
        let subscriptions: serde_json::Value = serde_json::from_slice(listed).expect("a list is JSON");
        let subscription =
            subscriptions["value"][0]["id"].as_str().expect("there is a subscription").to_owned();
        let group = format!("{subscription}/resourceGroups/bench");
        let web = format!("{group}/providers/Microsoft.Web");
        let (plan, site) = (format!("{web}/serverfarms/bench"), format!("{web}/sites/bench-site"));
        let vault = format!("{group}/providers/Microsoft.KeyVault/vaults/bench-managed");
        let located = r#"{"location":"local","tags":{"number":"NUMBER"}}"#;
        let of_vault = format!(
            r#"{{"location":"local","tags":{{"number":"NUMBER"}},"properties":{{"tenantId":"{}","sku":{{"name":"standard","family":"A"}},"accessPolicies":[],"enableRbacAuthorization":true}}}}"#,
            self.tenant
        );
        let of_plan = r#"{"location":"local","tags":{"number":"NUMBER"},"sku":{"name":"F1"},"properties":{"reserved":true}}"#;
        let of_site = format!(
            r#"{{"location":"local","tags":{{"number":"NUMBER"}},"identity":{{"type":"SystemAssigned"}},"properties":{{"serverFarmId":"{plan}"}}}}"#
        );
        // Of a group that is new it is another status.
        let (_head, _made) = connection.ask(&ask("PUT", &group, located)).await;
        let settings = r#"{"properties":{"COLOUR":"blue","SIZE":"NUMBER"}}"#;
        for (what, method, path, body) in [
            ("change a resource group", "PUT", group.clone(), located),
            ("get a resource group", "GET", group.clone(), ""),
            ("change a vault", "PUT", vault.clone(), &*of_vault),
            ("get a vault", "GET", vault, ""),
            ("change a plan", "PUT", plan.clone(), of_plan),
            ("change a web app with an identity", "PUT", site.clone(), &*of_site),
            ("get a web app", "GET", site.clone(), ""),
            ("replace a web app's settings", "PUT", format!("{site}/config/appsettings"), settings),
            ("list a web app's settings", "POST", format!("{site}/config/appsettings/list"), ""),
            ("list resources", "GET", format!("{subscription}/resources"), ""),
        ] {
            let mut times = Vec::new();
            for number in 0..size.requests / 40 {
                // Each is another than what is there.
                let request = ask(method, &path, &body.replace("NUMBER", &number.to_string()));
                let begin = Instant::now();
                connection.exchange(&request).await;
                times.push(begin.elapsed().as_secs_f64() * 1_000.0);
            }
            times.sort_by(f64::total_cmp);
            let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
            report.rows.push(Row {
                what: format!("resource manager: {what}"),
                figure: format!("{:.2} ms, p99 {:.2} ms", at(0.5), at(0.99)),
                against: String::new(),
                ratio: None,
                expected: format!("under {MEDIAN_MS_MAX} ms"),
                is_met: Some(at(0.5) < MEDIAN_MS_MAX),
            });
        }
    }

    async fn management_token(&self, client: &Client) -> String {
        let Client { id, secret } = client;
        let scope = format!("https%3A%2F%2F{MANAGEMENT_HOST}%3A{}%2F%2F.default", self.system.port);
        let form =
            format!("client_id={id}&client_secret={secret}&grant_type=client_credentials&scope={scope}");
        let target = self.system.target(&self.root, LOGIN_HOST);
        field(load::once(&target, &self.token_endpoint().request(&form)).await, "access_token")
    }
}
