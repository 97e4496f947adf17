//! People sign in with a real browser: Chromium, with scripts and without. Pictures of every page go to `target/pages`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use e2e::{Chromium, Server, note, setting, skip};
use serde_json::{Map, Value, json};

const PASSWORD: &str = "correct horse battery";
/// Of a public client that every tenant knows.
const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// Windows: name, width, height, dark.
const LOOKS: [(&str, u32, u32, bool); 3] =
    [("light", 1000, 800, false), ("dark", 1000, 800, true), ("phone", 360, 740, false)];

/// A browser of one person, and where its pictures go.
struct Person {
    browser: Chromium,
    pictures: Option<PathBuf>,
}

impl Person {
    fn new(server: &Server, name: &str) -> Option<Self> {
        let browser = Chromium::start(&setting("CHROMIUM")?, name, "login.keyless.localhost", server.port());
        Some(Self { browser, pictures: setting("PICTURES").map(PathBuf::from) })
    }

    /// Sees a page, and looks at it in each of the windows.
    fn see(&mut self, heading: &str, picture: &str) {
        self.browser.see(heading);
        for (look, width, height, is_dark) in LOOKS {
            self.browser.look(width, height, is_dark);
            assert!(!self.browser.is_too_wide(), "{picture} at {width} pixels");
            if let Some(folder) = &self.pictures {
                std::fs::create_dir_all(folder).unwrap();
                self.browser.picture(&folder.join(format!("{picture}-{look}.png")));
            }
        }
        let (_, width, height, is_dark) = LOOKS[0];
        self.browser.look(width, height, is_dark);
    }

    fn password(&mut self, name: &str) {
        self.browser.type_into("username", name);
        self.browser.type_into("password", PASSWORD);
        self.browser.click("button.primary");
    }
}

/// A client on the user's own machine that waits for its code.
struct Loopback {
    port: u16,
    answers: Receiver<(String, Value)>,
}

impl Loopback {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, answers) = channel();
        // It ends with the process: nothing tells a listener to stop that waits.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Browsers ask for a picture too, and open connections that they do not use.
                if let Some(answer) = welcome(stream)
                    && sender.send(answer).is_err()
                {
                    break;
                }
            }
        });
        Self { port, answers }
    }

    fn uri(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// The method of the next request that has parameters, and those.
    fn answer(&self) -> (String, Value) {
        self.answers.recv_timeout(Duration::from_secs(60)).expect("the client is sent an answer")
    }
}

/// Answers one request, and says its method and parameters, if it has some.
fn welcome(mut stream: TcpStream) -> Option<(String, Value)> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    let text = loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        let length = text.split("ontent-Length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length) {
            break text;
        }
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&buffer[..count]);
    };
    let page = "<h1>Welcome back</h1>";
    let length = page.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    );
    stream.write_all(answer.as_bytes()).ok()?;
    let mut words = text.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let body = text.split("\r\n\r\n").nth(1)?;
    let pairs = if method == "POST" { body } else { target.split_once('?')?.1 };
    let pairs = pairs.split('&').filter_map(|pair| pair.split_once('='));
    let pairs: Map<_, _> = pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    Some((method.to_owned(), pairs.into()))
}

fn authorize(server: &Server, client: &str, redirect_uri: &str, more: &str) -> String {
    let scope = "openid%20profile%20offline_access%20https%3A%2F%2Fvault.azure.net%2F.default";
    format!(
        "https://login.keyless.localhost:{}/organizations/oauth2/v2.0/authorize?client_id={client}&response_type=code&redirect_uri={}\
         &scope={scope}&state=of-the-client&nonce=n&code_challenge={CHALLENGE}&code_challenge_method=S256{more}",
        server.port(),
        redirect_uri.replace(':', "%3A").replace('/', "%2F"),
    )
}

fn redeem(server: &Server, client: &str, redirect_uri: &str, code: &str) -> Value {
    let body = format!(
        "grant_type=authorization_code&client_id={client}&redirect_uri={redirect_uri}&code={code}&code_verifier={VERIFIER}"
    );
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let host = "login.keyless.localhost";
    server.https().send("POST", host, "/organizations/oauth2/v2.0/token", &headers, &body).unwrap().json()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What an authenticator app shows now.
fn code_of(secret: &str) -> String {
    let script = "import base64,hmac,struct,sys,time\n\
        secret=sys.argv[1]; key=base64.b32decode(secret+'='*(-len(secret)%8))\n\
        mac=hmac.new(key,struct.pack('>Q',int(time.time())//30),'sha1').digest(); at=mac[-1]&15\n\
        print('%06d'%((struct.unpack('>I',mac[at:at+4])[0]&0x7fffffff)%1000000))";
    let output = std::process::Command::new("python3").args(["-c", script, secret]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes alice, and says her authenticator's secret if she is to have one.
fn alice(server: &Server, has_authenticator: bool) -> Option<String> {
    let _said = server.keyless(["user", "create", "alice", "--display-name", "Alice Archer"]).ok();
    let set = server.keyless_with(["user", "password", "alice"], &format!("{PASSWORD}\n"));
    assert_eq!(set.code, Some(0), "{}", set.said());
    has_authenticator.then(|| {
        let app = json_of(&server.keyless(["user", "totp", "add", "alice", "-o", "json"]).ok());
        let secret = app["secret"].as_str().unwrap().to_owned();
        let _said = server.keyless(["user", "totp", "confirm", "alice", &code_of(&secret)]).ok();
        secret
    })
}

/// A code that was not used yet: confirming has used the one of now.
fn next_code(secret: &str) -> String {
    let used = code_of(secret);
    let mut code = used.clone();
    e2e::wait::until("the next code", Duration::from_secs(40), || {
        code = code_of(secret);
        code != used
    });
    code
}

fn register(server: &Server, redirect_uri: &str) -> String {
    let body = json!({"display_name": "Orders <Desk>", "redirect_uris": [{"uri": redirect_uri, "platform": "publicClient"}]}).to_string();
    let request = format!(
        "POST /v1/registrations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let made = e2e::http::unix(&server.data().join("admin.sock"), request.as_bytes()).unwrap();
    made.json()["client_id"].as_str().unwrap_or_else(|| panic!("{}", made.text())).to_owned()
}

#[test]
fn a_person_signs_in_with_a_second_factor_agrees_and_signs_out() {
    let server = Server::start("sign-in");
    let Some(mut person) = Person::new(&server, "sign-in-browser") else {
        return skip("no Chromium on this machine");
    };
    let secret = alice(&server, true).unwrap();
    let client = Loopback::new();
    let id = register(&server, "http://localhost");
    let link = authorize(&server, &id, &client.uri(), "");

    person.browser.open(&link);
    person.see("Sign in", "password");
    assert_eq!(person.browser.focus(), "username");
    person.browser.type_into("username", "alice");
    person.browser.type_into("password", "wrong horse battery");
    person.browser.click("button.primary");
    person.browser.read("is wrong");
    person.see("Sign in", "password-wrong");
    person.password("alice");
    person.see("Enter your code", "code");
    assert_eq!(person.browser.focus(), "code");
    person.browser.type_into("code", &next_code(&secret));
    person.browser.click("button.primary");
    person.see("Orders <Desk> asks for your permission", "consent");
    person.browser.click("button[value=yes]");
    let (method, told) = client.answer();
    assert_eq!((&*method, &told["state"]), ("GET", &json!("of-the-client")), "{told}");
    person.browser.see("Welcome back");
    let tokens = redeem(&server, &id, &client.uri(), told["code"].as_str().unwrap());
    let (id_token, token) = (tokens["id_token"].as_str().unwrap(), tokens["access_token"].as_str().unwrap());
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let read = server.https().get_secret("shop", "db", token);
    assert_ne!(read.status, 401, "the vault knows who it is: {}", read.text());

    // Whoever is signed in goes straight through; nobody else's page can say no to that by a frame or a script.
    person.browser.open(&link);
    assert_eq!(client.answer().1["state"], json!("of-the-client"));
    person.browser.open(&format!("{link}&prompt=select_account"));
    person.see("Choose an account", "choose");
    person.browser.click("button[value=other]");
    person.see("Sign in", "password-other");
    let login = format!("https://login.keyless.localhost:{}", server.port());
    person.browser.open(&format!("{login}/"));
    person.see("Your account", "account");
    person.browser.click("summary");
    person.see("Your account", "account-password");
    person.browser.click("a.button");
    person.see("Sign out?", "sign-out");
    person.browser.open(&format!("{login}/organizations/oauth2/v2.0/logout?id_token_hint={id_token}"));
    person.see("You are signed out", "signed-out");
    assert_eq!(server.https().get_secret("shop", "db", token).status, 401, "its tokens are worth nothing");
    person.browser.open(&authorize(&server, &id, "https://evil.example", ""));
    person.see("The app has sent a request that cannot be answered", "error");
    note(
        "Chromium",
        "sign in with password and authenticator app, consent, code to a program on the user's machine, sign out",
        "works",
    );
}

#[test]
fn without_scripts_everything_works_too() {
    let server = Server::start("no-script");
    let Some(mut person) = Person::new(&server, "no-script-browser") else {
        return skip("no Chromium on this machine");
    };
    person.browser.scripts(false);
    let _none = alice(&server, false);
    let made = json_of(&server.keyless(["user", "create", "bob", "-o", "json"]).ok());
    let client = Loopback::new();
    person.browser.open(&authorize(
        &server,
        AZURE_CLI,
        &client.uri(),
        "&response_mode=form_post&prompt=select_account",
    ));
    person.browser.see("Sign in");
    person.password("alice");
    person.see("One more step", "form-post");
    person.browser.click("button.primary");
    let (method, told) = client.answer();
    assert_eq!(method, "POST");
    let tokens = redeem(&server, AZURE_CLI, &client.uri(), told["code"].as_str().unwrap());
    assert!(tokens["refresh_token"].is_string(), "{tokens}");

    // Who must set another password does so on the way.
    person.browser.open(&authorize(&server, AZURE_CLI, &client.uri(), "&prompt=login"));
    person.browser.see("Sign in");
    person.browser.type_into("username", "bob");
    person.browser.type_into("password", made["password"].as_str().unwrap());
    person.browser.click("button.primary");
    person.see("Set another password", "new-password");
    person.browser.type_into("password", made["password"].as_str().unwrap());
    person.browser.type_into("new_password", "12345678");
    person.browser.type_into("new_password_again", "12345678");
    person.browser.click("button.primary");
    person.browser.read("cannot be used");
    person.see("Set another password", "new-password-unfit");
    person.browser.type_into("password", made["password"].as_str().unwrap());
    person.browser.type_into("new_password", "a better one of bob");
    person.browser.type_into("new_password_again", "a better one of bob");
    person.browser.click("button.primary");
    assert!(client.answer().1["code"].is_string());
    note("Chromium without scripts", "sign in, set another password, code by form post", "works");
}

#[test]
fn a_device_gets_its_tokens_once_its_person_says_yes() {
    let server = Server::start("device");
    let Some(mut person) = Person::new(&server, "device-browser") else {
        return skip("no Chromium on this machine");
    };
    let _none = alice(&server, false);
    let ask = |path: &str, body: &str| {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        server.https().send("POST", "login.keyless.localhost", path, &headers, body).unwrap().json()
    };
    let begun = ask(
        "/organizations/oauth2/v2.0/devicecode",
        &format!("client_id={AZURE_CLI}&scope=openid%20https%3A%2F%2Fvault.azure.net%2F.default"),
    );
    person.browser.open(begun["verification_uri"].as_str().unwrap());
    person.see("Sign in", "device-password");
    person.password("alice");
    person.see("Connect a device", "device-code");
    person.browser.type_into("user_code", "BBBB-BBBB");
    person.browser.click("button.primary");
    person.browser.read("No device waits");
    person.see("Connect a device", "device-code-wrong");
    person.browser.type_into("user_code", &begun["user_code"].as_str().unwrap().to_lowercase());
    person.browser.click("button.primary");
    person.see("Is this your device?", "device");
    let poll = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id={AZURE_CLI}&device_code={}",
        begun["device_code"].as_str().unwrap()
    );
    assert_eq!(ask("/organizations/oauth2/v2.0/token", &poll)["error"], "authorization_pending");
    person.browser.click("button[value=yes]");
    person.see("The device is signed in", "device-done");
    assert!(ask("/organizations/oauth2/v2.0/token", &poll)["access_token"].is_string());
    // An answer by form post leaves by itself where scripts run.
    let client = Loopback::new();
    person.browser.open(&authorize(&server, AZURE_CLI, &client.uri(), "&response_mode=form_post"));
    let (method, told) = client.answer();
    assert!(method == "POST" && told["code"].is_string(), "{method} {told}");
    person.browser.see("Welcome back");
    let log = server.keyless(["audit", "tail"]).ok();
    for action in ["sign_in", "device.approve"] {
        assert!(log.contains(action), "{action}: {log}");
    }
    assert!(!log.contains(PASSWORD) && !server.logs().contains(PASSWORD));
    note("Chromium", "confirm a device by its code", "works");
}

#[test]
fn a_person_adds_an_authenticator_app_and_a_passkey_and_signs_in_with_it() {
    let server = Server::start("passkey");
    let Some(mut person) = Person::new(&server, "passkey-browser") else {
        return skip("no Chromium on this machine");
    };
    let _none = alice(&server, false);
    person.browser.security_key();
    let account = format!("https://login.keyless.localhost:{}/", server.port());
    person.browser.open(&account);
    person.browser.see("Sign in");
    person.password("alice");
    person.see("Your account", "account-bare");
    // A click opens a part of the account; the password there, and on.
    let open = |person: &mut Person, part: usize| {
        person.browser.click(&format!("details:nth-of-type({part}) summary"));
        person.browser.type_at(&format!("details:nth-of-type({part}) input[name=password]"), PASSWORD);
        person.browser.click(&format!("details:nth-of-type({part}) button"));
    };
    open(&mut person, 2);
    person.see("Add an authenticator app", "add-authenticator");
    let text = person.browser.text();
    let secret = text
        .lines()
        .find(|line| line.len() > 30 && line.chars().all(|c| c.is_ascii_alphanumeric() || c == ' '));
    let secret = secret.unwrap_or_else(|| panic!("{text}")).replace(' ', "");
    person.browser.type_into("code", &code_of(&secret));
    person.browser.click("button.primary");
    person.browser.see("Your account");
    open(&mut person, 3);
    person.see("Add a passkey", "add-passkey");
    person.browser.click("button.primary");
    person.browser.read("Passkey of");
    person.see("Your account", "account-passkey");
    person.browser.forget();
    person.browser.open(&account);
    person.see("Sign in", "password-passkey");
    person.browser.click("form[data-passkey] button");
    person.browser.see("Your account");
    let log = server.keyless(["audit", "tail"]).ok();
    assert!(log.contains("user.passkey.add") && log.contains("by fido"), "{log}");
    assert!(!log.contains(&secret) && !server.logs().contains(&secret));
    note("Chromium", "add an authenticator app and a passkey; sign in with the passkey", "works");
}
