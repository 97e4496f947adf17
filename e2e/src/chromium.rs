//! Chromium as a person uses it, told what to do by its DevTools protocol over a pipe: no driver in between, nothing to install but the browser.
//!
//! Typing and clicking are input events, as of a keyboard and a mouse: what cannot be seen cannot be clicked. It trusts the server by the
//! hash of its key: which roots a browser has is not what its scenarios are about, and a page whose certificate is wrong may not
//! use passkeys.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::temporary::TemporaryDirectory;

/// No answer within this is a hang, and a failure.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The code of "Inspected target navigated or closed", "Cannot find context" and "Execution context was destroyed".
const SERVER_ERROR: i64 = -32_000;

/// A browser with one window and a profile of its own.
pub struct Chromium {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    last: u64,
    session: Option<String>,
    _profile: TemporaryDirectory,
}

impl Chromium {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(program: &str, name: &str, host: &str, port: u16) -> Self {
        let profile = TemporaryDirectory::new(name);
        // It reads commands from descriptor 3 and answers on 4: those are ours, and what it prints is nobody's.
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null 2>&1"#, "sh", program]);
        command.args(["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--disable-dev-shm-usage", "--hide-scrollbars", "--password-store=basic"]);
        command.arg(format!("--ignore-certificate-errors-spki-list={}", key_hash(host, port)));
        // Its sandbox refuses to be root's.
        command.arg("--no-sandbox").arg(format!("--user-data-dir={}", profile.path().display()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, mut out) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while out.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                let sent = serde_json::from_slice(&message).is_ok_and(|value| sender.send(value).is_ok());
                if !sent {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Self { child, to, from, last: 0, session: None, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached =
            browser.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser.call("Page.enable", json!({}));
        browser
    }

    /// Sends a command and waits for its answer.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.try_call(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sends a command and waits for its answer, which may be a refusal.
    fn try_call(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        let began = Instant::now();
        loop {
            match self.from.recv_timeout(SILENCE_MAX.saturating_sub(began.elapsed())) {
                Ok(mut answer) if answer["id"] == json!(self.last) => {
                    return match answer["error"].take() {
                        Value::Null => Ok(answer["result"].take()),
                        error => Err(error),
                    };
                }
                Ok(_event) => {}
                Err(RecvTimeoutError::Timeout) => panic!("no answer to {method}"),
                Err(RecvTimeoutError::Disconnected) => panic!("Chromium has ended"),
            }
        }
    }

    /// Gives it a security key that is always there and always verified.
    pub fn security_key(&mut self) {
        self.call("WebAuthn.enable", json!({}));
        let options = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserVerified": true, "automaticPresenceSimulation": true
        });
        self.call("WebAuthn.addVirtualAuthenticator", json!({"options": options}));
    }

    /// Forgets all cookies.
    pub fn forget(&mut self) {
        self.call("Network.clearBrowserCookies", json!({}));
    }

    /// What an expression comes to on the page, also where scripts of pages are off. A page that goes away while it is asked cannot answer
    /// for the one that comes, so that one is asked: every expression here may be evaluated twice.
    fn evaluate(&mut self, expression: &str) -> Value {
        let began = Instant::now();
        loop {
            let parameters = json!({"expression": expression, "returnByValue": true});
            match self.try_call("Runtime.evaluate", parameters) {
                Ok(mut answer) => return answer["result"]["value"].take(),
                Err(error) => {
                    let is_leaving = error["code"] == json!(SERVER_ERROR) && began.elapsed() < SILENCE_MAX;
                    assert!(is_leaving, "Runtime.evaluate: {error}");
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }

    /// May pages run scripts?
    pub fn scripts(&mut self, are_on: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": !are_on}));
    }

    /// How the window looks: its width and height, and whether the person likes it dark.
    pub fn look(&mut self, width: u32, height: u32, is_dark: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Opens an address.
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
    }

    /// Waits until the page with this heading is there, whole.
    ///
    /// # Panics
    /// When another one stays.
    pub fn see(&mut self, heading: &str) {
        let began = Instant::now();
        loop {
            let shown = self.evaluate(
                "document.readyState === 'complete' ? (document.querySelector('h1') || document.body).innerText : ''",
            );
            if shown.as_str().is_some_and(|shown| shown.trim() == heading) {
                return;
            }
            if began.elapsed() > SILENCE_MAX {
                let all = self.evaluate("location.href + '\\n' + document.documentElement.outerHTML");
                panic!("waited for {heading:?}, and saw {}", all.as_str().unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the page says this: of two pages with one heading, it tells the second.
    ///
    /// # Panics
    /// When it never does.
    pub fn read(&mut self, words: &str) {
        let began = Instant::now();
        while !self.text().contains(words) {
            assert!(began.elapsed() < SILENCE_MAX, "waited for {words:?}, and read {}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The page's text.
    pub fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// The page's address.
    pub fn url(&mut self) -> String {
        self.evaluate("location.href").as_str().unwrap_or_default().to_owned()
    }

    /// What the focus is in, by its name.
    pub fn focus(&mut self) -> String {
        self.evaluate("document.activeElement.name || ''").as_str().unwrap_or_default().to_owned()
    }

    /// Is the page wider than its window?
    pub fn is_too_wide(&mut self) -> bool {
        self.evaluate("document.documentElement.scrollWidth > window.innerWidth").as_bool().unwrap_or(true)
    }

    /// Types into the field of this name.
    ///
    /// # Panics
    /// When it is not there.
    pub fn type_into(&mut self, name: &str, text: &str) {
        self.type_at(&format!("input[name={name}]"), text);
    }

    /// Types into the field that this selects.
    ///
    /// # Panics
    /// When it cannot be seen.
    pub fn type_at(&mut self, selector: &str, text: &str) {
        self.click(selector);
        let has_focus = self.evaluate(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.select(); return document.activeElement === e; }})()"
        ));
        assert_eq!(has_focus, json!(true), "{selector} has not got the focus");
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Clicks on what this selects.
    ///
    /// # Panics
    /// When it cannot be seen.
    pub fn click(&mut self, selector: &str) {
        let place = self.evaluate(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); if (!e) return null; e.scrollIntoView({{block: 'center'}}); \
             const b = e.getBoundingClientRect(); const [x, y] = [b.x + b.width / 2, b.y + b.height / 2]; \
             return b.width > 0 && e.contains(document.elementFromPoint(x, y)) ? [x, y] : null; }})()"
        ));
        assert!(place.is_array(), "{selector} cannot be clicked: {}", self.text());
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Takes a picture of the whole page.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn picture(&mut self, file: &Path) {
        let taken =
            self.call("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}));
        std::fs::write(file, decoded(taken["data"].as_str().unwrap_or_default())).unwrap();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It ends its own children when its pipe is closed or it is told; `kill` alone would leave them.
        let close = json!({"id": self.last + 1, "method": "Browser.close"}).to_string() + "\0";
        let _closed = self.to.write_all(close.as_bytes());
        if crate::wait::within(&mut self.child, Duration::from_secs(10)).is_none() {
            let _gone = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

/// SHA-256 of the public key of the certificate that a host shows here, base64.
fn key_hash(host: &str, port: u16) -> String {
    let script = r#"openssl s_client -connect "127.0.0.1:$2" -servername "$1" </dev/null 2>/dev/null | openssl x509 -noout -pubkey |
        openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64"#;
    let hash = Command::new("sh").args(["-c", script, "sh", host, &port.to_string()]).output().unwrap();
    String::from_utf8(hash.stdout).unwrap().trim().to_owned()
}

/// Base64, of which nothing else here has a need.
fn decoded(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| LETTERS.iter().position(|letter| *letter == byte));
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_usize, 0);
    for digit in digits {
        bits = (bits << 6 | digit) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff).to_le_bytes()[0]);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn pictures_are_decoded() {
        assert_eq!(decoded("aGVsbG8="), b"hello");
        assert_eq!(decoded("/+8="), [0xff, 0xef]);
    }
}
