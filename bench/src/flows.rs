//! Whole sign-ins of users who have a session: a code, the tokens for it, and the next ones by the refresh token, asked for as MSAL does for
//! a web app. One flow is three requests, three commits and four signatures: an access token and an id token each time.

use crate::{
    load, raw,
    report::{Report, Row, median},
    scenario::{Bench, LOGIN_HOST, Size},
    signing::CONNECTIONS,
    tokens::{Client, TokenEndpoint, field},
};
use e2e::{Person, person::encoded};
use std::{cell::RefCell, fs, rc::Rc};

const REDIRECT_URI: &str = "http://localhost:8400/signed-in";
const SCOPE: &str = "openid profile offline_access https://vault.azure.net/.default";
const PASSWORD: &str = "correct horse of the bench";
/// 43 characters, as short as one may be (RFC 7636 section 4.1).
const VERIFIER: &str = "bench-bench-bench-bench-bench-bench-bench-b";
const SIGNATURES: f64 = 4.0;

/// What all flows have in common.
struct Flow {
    /// The page that answers with a code to who is signed in, with its query.
    page: String,
    endpoint: TokenEndpoint,
    /// The form for the token endpoint to which a code is added.
    redeem: String,
    /// To which a refresh token is added.
    refresh: String,
}

impl Flow {
    fn of(client: &Client, tenant: &str, endpoint: TokenEndpoint) -> Self {
        let Client { id, secret } = client;
        let (redirect_uri, scope) = (encoded(REDIRECT_URI), encoded(SCOPE));
        let challenge = crypt::encoding::base64url(crypt::sha256(VERIFIER).bytes());
        let asked = format!("client_id={id}&scope={scope}&client_info=1");
        let proven = format!("{asked}&client_secret={secret}");
        Self {
            page: format!(
                "/{tenant}/oauth2/v2.0/authorize?{asked}&response_type=code&redirect_uri={redirect_uri}&state=bench&nonce=bench\
                 &code_challenge={challenge}&code_challenge_method=S256"
            ),
            endpoint,
            redeem: format!(
                "{proven}&grant_type=authorization_code&redirect_uri={redirect_uri}&code_verifier={VERIFIER}&code="
            ),
            refresh: format!("{proven}&grant_type=refresh_token&refresh_token="),
        }
    }

    /// One flow of a user whose browser has these cookies.
    async fn run(&self, connection: &mut load::Connection, port: u16, cookies: &str) {
        let page =
            format!("GET {} HTTP/1.1\r\nHost: {LOGIN_HOST}:{port}\r\nCookie: {cookies}\r\n\r\n", self.page);
        let (head, _) = connection.ask(page.as_bytes()).await;
        let code = head.split_once("code=").and_then(|(_, rest)| rest.split('&').next());
        let form = format!("{}{}", self.redeem, code.unwrap_or_else(|| panic!("no code: {head}")));
        let refresh = tokens(connection.exchange(&self.endpoint.request(&form)).await);
        let form = format!("{}{}", self.refresh, encoded(&refresh));
        let _next = tokens(connection.exchange(&self.endpoint.request(&form)).await);
    }
}

/// The refresh token of an answer that has all three.
fn tokens(answer: &[u8]) -> String {
    let [_access, _id, refresh] =
        ["access_token", "id_token", "refresh_token"].map(|token| field(answer, token));
    refresh
}

impl Bench {
    /// Flows a second, by as many users as there are connections.
    pub(crate) async fn user_flows(&self, report: &mut Report, size: &Size) {
        let port = self.system.port;
        let client = self.client("flows", &["--redirect-uri", &format!("web={REDIRECT_URI}")]);
        let flow = Rc::new(Flow::of(&client, &self.tenant, self.token_endpoint()));
        let users: Vec<String> = (0..CONNECTIONS).map(|number| self.sign_in(number, &flow.page)).collect();
        let users = Rc::new(RefCell::new(users));
        let target = self.system.target(&self.root, LOGIN_HOST);
        let count = if size.rounds > 3 { 300 } else { 50 };
        let (mut costs, mut raws) = (Vec::new(), Vec::new());
        for _ in 0..size.rounds {
            raws.push(SIGNATURES * raw::signature_us(count as u32));
            let (flow, users) = (flow.clone(), users.clone());
            let unit = async move |connection: &mut load::Connection, _: usize| {
                // Whoever is free.
                let cookies = users.borrow_mut().pop().expect("there is a user for each connection");
                flow.run(connection, port, &cookies).await;
                users.borrow_mut().push(cookies);
            };
            costs.push(load::drive(&target, CONNECTIONS, count, unit).await);
        }
        let middle = |pick: fn(&load::Cost) -> f64| median(costs.iter().map(pick).collect());
        let (cpu, rate, raw) = (middle(|cost| cost.cpu_us), middle(|cost| cost.rate), median(raws));
        report.rows.push(Row {
            what: format!("user flows (code, tokens, refreshed tokens), {CONNECTIONS} users"),
            figure: format!("{cpu:.0} us CPU, {rate:.0}/s"),
            against: format!("{SIGNATURES} raw RSA-2048 signatures: {raw:.0} us CPU"),
            ratio: Some(raw / cpu),
            expected: String::new(),
            is_met: None,
        });
    }

    /// Makes a user, who signs in and agrees to what the client asks for; the cookies of the browser.
    fn sign_in(&self, number: usize, page: &str) -> String {
        let name = format!("flow-{number}");
        self.system.command(&["user", "create", &name, "--password-file", "-"], PASSWORD.as_bytes());
        let root = self.directory.join("root.pem");
        fs::write(&root, &self.root).expect("the directory is writable");
        let port = self.system.port;
        let mut person = Person::new(&root, port, &name, PASSWORD);
        let url = person.open(&format!("https://{LOGIN_HOST}:{port}{page}"), "").url();
        assert!(url.starts_with(REDIRECT_URI) && url.contains("code="), "{url}");
        person.cookies()
    }
}
