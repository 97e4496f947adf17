//! A browser without script: keeps cookies, fills in forms, follows redirects and refreshes within our host.

use crate::support::{NOW, World};
use axum::body::Body;
use domain::Secret;
use http::{Request, header};
use http_body_util::BodyExt as _;
use std::collections::BTreeMap;
use tower::ServiceExt as _;

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl Shown {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The page's heading, without its markup.
    pub(super) fn heading(&self) -> String {
        let heading = self.body.split("<h1>").nth(1).unwrap_or_default().split("</h1>").next().unwrap();
        heading.replace("<strong>", "").replace("</strong>", "")
    }

    /// What the page says has gone wrong.
    pub(super) fn alert(&self) -> &str {
        let after = self.body.split("role=\"alert\">").nth(1).unwrap_or_default();
        after.split('<').next().unwrap()
    }

    /// Where the page goes on to by itself.
    pub(super) fn refresh(&self) -> Option<String> {
        let rest = self.body.split("http-equiv=\"refresh\" content=\"0; url=").nth(1)?;
        Some(unescaped(rest.split('"').next().unwrap()))
    }

    /// The form whose step is this: where it is sent, and its fields as they come.
    pub(super) fn form(&self, step: &str) -> (String, BTreeMap<String, String>) {
        let named = format!("name=\"step\" value=\"{step}\"");
        let form = self.body.split("<form ").skip(1).find(|form| form.contains(&named));
        let form = form.unwrap_or_else(|| panic!("no form {step}: {}", self.body));
        let form = form.split("</form>").next().unwrap();
        let action = attribute(form, "action").unwrap();
        let fields = form.split("<input").skip(1).filter_map(|input| {
            let input = input.split('>').next().unwrap();
            Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default()))
        });
        (action, fields.collect())
    }

    /// The parameters of a redirect's query or fragment.
    pub(super) fn parameters(&self) -> BTreeMap<String, String> {
        let location = match self.header("location") {
            "" => self.refresh().unwrap(),
            location => location.to_owned(),
        };
        let (_, pairs) = location.split_once(['?', '#']).unwrap();
        form_urlencoded::parse(pairs.as_bytes()).into_owned().collect()
    }
}

pub(super) fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split(&format!("{name}=\"")).nth(1)?;
    Some(unescaped(rest.split('"').next().unwrap()))
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A browser of one person.
#[derive(Clone, Default)]
pub(super) struct Browser {
    pub(super) cookies: BTreeMap<String, String>,
    /// Headers that it adds to its requests.
    pub(super) says: Vec<(&'static str, String)>,
}

impl Browser {
    pub(super) async fn ask(&mut self, world: &World, method: &str, target: &str, body: &str) -> Shown {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", format!("{}:8443", world.state.names.login_host()));
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in &self.says {
            request = request.header(*name, value);
        }
        let response =
            world.public.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Shown { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(super) async fn get(&mut self, world: &World, target: &str) -> Shown {
        self.ask(world, "GET", target, "").await
    }

    /// Sends the page's form with these fields filled in.
    pub(super) async fn send(
        &mut self,
        world: &World,
        page: &Shown,
        step: &str,
        filled: &[(&str, &str)],
    ) -> Shown {
        let (action, mut fields) = page.form(step);
        fields.extend(filled.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(world, "POST", &action, &body).await
    }

    /// Goes on to where a page goes by itself.
    pub(super) async fn follow(&mut self, world: &World, page: &Shown) -> Shown {
        let target = page.refresh().unwrap_or_else(|| panic!("it stays: {}", page.body));
        self.get(world, &target).await
    }

    /// Says yes, if the page asks whether the client may.
    pub(super) async fn agree(&mut self, world: &World, page: Shown) -> Shown {
        if page.status == 302 {
            return page;
        }
        let page = self.send(world, &page, "consent", &[("answer", "yes")]).await;
        self.follow(world, &page).await
    }

    /// Signs in at a page by a password, and goes on.
    pub(super) async fn sign_in(&mut self, world: &World, target: &str, name: &str) -> Shown {
        let page = self.get(world, target).await;
        let page = self.send(world, &page, "password", &[("username", name), ("password", PASSWORD)]).await;
        assert_eq!(page.heading(), "You are signed in", "{}", page.body);
        self.follow(world, &page).await
    }
}

pub(super) const PASSWORD: &str = "correct horse battery";

/// Makes a user with [`PASSWORD`].
pub(super) async fn user(world: &World, name: &str) -> directory::Person {
    let directory = &world.state.directory;
    let new = directory::NewUser {
        user_name: directory.user_name(name).unwrap(),
        display_name: format!("{name} <b>&\"'"),
        mail: Some(format!("{name}@mail.example")),
        enabled: true,
        password: Some(Secret::new(PASSWORD.to_owned())),
        must_change_password: false,
    };
    directory.create_user(new, NOW).await.unwrap()
}
