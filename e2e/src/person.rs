//! Somebody who signs in without a browser: reads our pages, fills in their forms, and goes where they lead.
//!
//! Does what a careful person would do who wants to get on: types a name and a password, says yes. Stops at whatever is said to be wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::http::{Answer, Https};

const HOST: &str = "login.keyless.localhost";
/// Pages on the way of one sign-in; more is going round in circles.
const PAGES_MAX: usize = 12;

/// Where a sign-in has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// At the client: its redirect URI with what it was told, by query or by a form.
    Client {
        /// The whole URL.
        url: String,
        /// The form, if it was posted.
        form: Option<String>,
    },
    /// At a page of ours.
    Page(Answer),
}

impl End {
    /// The URL by which the client was told.
    ///
    /// # Panics
    /// When it was told nothing.
    #[must_use]
    pub fn url(self) -> String {
        match self {
            Self::Client { url, .. } => url,
            Self::Page(page) => panic!("no answer to the client: {} {}", page.status, page.text()),
        }
    }
}

/// A person, and the cookies of their browser.
#[derive(Debug)]
pub struct Person {
    https: Https,
    port: u16,
    name: String,
    password: String,
    cookies: BTreeMap<String, String>,
}

struct Step {
    method: &'static str,
    url: String,
    body: String,
}

impl Person {
    /// Somebody with a name and a password at the server on this port.
    #[must_use]
    pub fn new(authority: &Path, port: u16, name: &str, password: &str) -> Self {
        let (name, password) = (name.to_owned(), password.to_owned());
        Self { https: Https::new(authority, port), port, name, password, cookies: BTreeMap::new() }
    }

    /// Takes the cookies that an earlier one has left in a file, if there is one.
    pub fn remember(&mut self, file: &Path) {
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        let pairs = kept.lines().filter_map(|line| line.split_once('='));
        self.cookies.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    /// Leaves its cookies in a file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn leave(&self, file: &Path) {
        let kept: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        std::fs::write(file, kept.join("\n")).unwrap();
    }

    /// Its cookies, as it sends them.
    #[must_use]
    pub fn cookies(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    /// Opens a link, and does what the pages ask for; `code` is what a device shows.
    ///
    /// # Panics
    /// When there is no end to it.
    pub fn open(&mut self, url: &str, code: &str) -> End {
        let mut step = Step { method: "GET", url: url.to_owned(), body: String::new() };
        for _page in 0..PAGES_MAX {
            let Some(target) = self.ours(&step.url) else {
                let form = (step.method == "POST").then_some(step.body);
                return End::Client { url: step.url, form };
            };
            let answer = self.ask(&step, &target);
            match self.next(&answer, code) {
                Some(next) => step = next,
                None => return End::Page(answer),
            }
        }
        panic!("no end of pages at {url}")
    }

    /// The target of a URL at our host, or of one that names none.
    fn ours(&self, url: &str) -> Option<String> {
        let rest = match url.strip_prefix(&format!("https://{HOST}:{}", self.port)) {
            None if !url.starts_with('/') => return None,
            rest => rest.unwrap_or(url),
        };
        Some(if rest.is_empty() { "/".to_owned() } else { rest.to_owned() })
    }

    fn ask(&mut self, step: &Step, target: &str) -> Answer {
        let cookies = self.cookies();
        let origin = format!("https://{HOST}:{}", self.port);
        let mut headers = vec![("Cookie", &*cookies), ("Sec-Fetch-Site", "same-origin")];
        if step.method == "POST" {
            headers.extend([("Origin", &*origin), ("Content-Type", "application/x-www-form-urlencoded")]);
        }
        let answer = self.https.send(step.method, HOST, target, &headers, &step.body).unwrap();
        for line in answer.head.lines() {
            let Some((header, value)) = line.split_once(": ") else { continue };
            if !header.eq_ignore_ascii_case("set-cookie") {
                continue;
            }
            let (name, value) = value.split(';').next().and_then(|pair| pair.split_once('=')).unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    fn next(&self, answer: &Answer, code: &str) -> Option<Step> {
        if let Some(url) = answer.header("Location") {
            return Some(Step { method: "GET", url: url.to_owned(), body: String::new() });
        }
        let page = answer.text();
        let tags: Vec<&str> =
            page.split('<').skip(1).filter_map(|rest| Some(rest.split_once('>')?.0)).collect();
        if let Some(refresh) = tags.iter().find(|tag| tag.starts_with("meta http-equiv=\"refresh\"")) {
            let content = attribute(refresh, "content")?;
            let url = content.split_once("url=")?.1.to_owned();
            return Some(Step { method: "GET", url, body: String::new() });
        }
        let is_alert = |tag: &str| tag.contains("role=\"alert\"") && !tag.ends_with(" hidden");
        if tags.iter().any(|tag| is_alert(tag)) {
            return None;
        }
        let begin = tags.iter().position(|tag| tag.starts_with("form ") && tag.contains("\"post\""))?;
        let inside = tags.iter().skip(begin).take_while(|tag| **tag != "/form");
        let mut pairs = BTreeMap::new();
        for tag in inside.clone() {
            let Some(name) = attribute(tag, "name") else { continue };
            let value = match (&*name, tag.starts_with("button")) {
                (_, true) => match &*attribute(tag, "value")? {
                    "yes" | "go-on" => attribute(tag, "value")?,
                    _ => continue,
                },
                ("username", false) => self.name.clone(),
                ("password", false) => self.password.clone(),
                ("user_code", false) => attribute(tag, "value").unwrap_or_else(|| code.to_owned()),
                _ => attribute(tag, "value")?,
            };
            pairs.insert(name, value);
        }
        let url = attribute(inside.clone().next()?, "action")?;
        let pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        Some(Step { method: "POST", url, body: pairs.join("&") })
    }
}

/// Brings an answer to a client that waits at a port of this machine, as a browser would; the client may be gone, or never have been there.
pub fn bring(url: &str, form: Option<&str>) {
    let Some((address, path)) = url.strip_prefix("http://").and_then(|rest| {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        rest.split_at_checked(end)
    }) else {
        return;
    };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let _kept = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let request = match form {
        None => format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
        Some(form) => format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        ),
    };
    let _gone = stream.write_all(request.as_bytes());
    let _gone = stream.read_to_end(&mut Vec::new());
}

/// A value in a form or a query.
#[must_use]
pub fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            let _written = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
    let plain = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    Some(plain.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_read_as_a_browser_reads_it() {
        let tag = r#"input type="hidden" name="a" value="1&amp;lt;&quot;2&gt;""#;
        assert_eq!(attribute(tag, "value").unwrap(), "1&lt;\"2>");
        assert_eq!(attribute(tag, "name").unwrap(), "a");
        assert_eq!(attribute(tag, "action"), None);
        assert_eq!(encoded("a b&ü"), "a%20b%26%C3%BC");
    }
}
