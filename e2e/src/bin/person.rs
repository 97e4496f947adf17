//! What programs start instead of a browser: `person URL [CODE]` signs in and says yes, brings the answer to the program, and prints where it
//! was sent (by query, also if it was a form). Who it is: `PERSON`, as `AUTHORITY-FILE|PORT|NAME|PASSWORD`, and a file for
//! cookies if the browser is to be the same one each time.

use e2e::person::{End, bring};
use e2e::{Person, setting};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let who = setting("PERSON").unwrap_or_default();
    let who: Vec<&str> = who.split('|').collect();
    let ([authority, port, name, password, cookies @ ..], Some(url)) = (&*who, arguments.first()) else {
        return said("person: who, and where?");
    };
    let Ok(port) = port.parse() else { return said("person: which port?") };
    let mut person = Person::new(authority.as_ref(), port, name, password);
    let cookies = cookies.first().map(Path::new);
    cookies.inspect(|file| person.remember(file));
    let end = person.open(url, arguments.get(1).map_or("", String::as_str));
    cookies.inspect(|file| person.leave(file));
    match end {
        End::Client { url, form } => {
            bring(&url, form.as_deref());
            let told = form.map_or(url.clone(), |form| format!("{url}?{form}"));
            print(&told)
        }
        End::Page(page) if page.status == 200 => print(&page.text()),
        End::Page(page) => said(&format!("person: {} {}", page.status, page.text())),
    }
}

#[expect(clippy::print_stdout, reason = "a program of its own")]
fn print(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "a program of its own")]
fn said(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
