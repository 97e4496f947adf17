//! Whether programs of this machine look for a host's name in `/etc/hosts` before anybody else is asked: else a hosts file of its own leads
//! a program nowhere.
//!
//! Owns: what `/etc/nsswitch.conf` says of hosts (nsswitch.conf(5)). Where there is none, `files` is first: so in glibc since 2.33, in Go, and
//! in musl, which reads no such file at all. Owns not: what comes of it (`run`).

use std::fs;

const CONFIGURATION: &str = "/etc/nsswitch.conf";
/// Those that know the names of this machine and of its containers only.
const OF_THIS_MACHINE: [&str; 2] = ["myhostname", "mymachines"];

/// Why `/etc/hosts` does not have the first word, in words for a person; `None` if it has.
pub(crate) fn hosts_file_is_late() -> Option<String> {
    late(&fs::read_to_string(CONFIGURATION).unwrap_or_default())
}

fn late(configuration: &str) -> Option<String> {
    let services = configuration.lines().find_map(|line| {
        let said = line.split('#').next().unwrap_or_default();
        said.trim_start().strip_prefix("hosts")?.trim_start().strip_prefix(':')
    })?;
    // Brackets may stand without spaces around them, and have some within.
    let spaced = services.replace('[', " [ ").replace(']', " ] ");
    let mut words = spaced.split_ascii_whitespace().map(str::to_ascii_lowercase);
    let first = words.find(|word| !OF_THIS_MACHINE.contains(&word.as_str()));
    let why = match first.as_deref() {
        Some("files") => {
            let mut actions = words.skip_while(|word| word == "[").take_while(|word| word.contains('='));
            // Or else a name that is found there is looked for elsewhere, too.
            actions.find(|action| goes_on_after_success(action))?;
            "asks others even for names that are in it".to_owned()
        }
        Some("[") => "may end a search before it is read".to_owned(),
        Some(other) => format!("asks `{other}` before it"),
        None => "leaves it out".to_owned(),
    };
    Some(format!("the line `hosts:{services}` of {CONFIGURATION} {why}"))
}

/// Of one action of a bracket, such as `success=merge` or `!notfound=continue`.
fn goes_on_after_success(action: &str) -> bool {
    let Some((status, then)) = action.split_once('=') else { return false };
    let is_of_success = match status.strip_prefix('!') {
        Some(other) => other != "success",
        None => status == "success",
    };
    is_of_success && then != "return"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_has_the_first_word_or_it_is_said_who_has() {
        for fine in [
            "",
            "passwd: files systemd\n",
            "passwd: dns\nhosts:          files dns\n",
            "hosts: files mdns4_minimal [NOTFOUND=return] dns",
            "hosts:files[!UNAVAIL=return]dns",
            "hosts: files [ SUCCESS=return NOTFOUND=continue ] resolve [!UNAVAIL=return] dns",
            "hosts : mymachines myhostname files dns",
            "# hosts: dns\nhosts: files # dns",
        ] {
            assert_eq!(late(fine), None, "{fine}");
        }
        for (late_one, why) in [
            ("hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns", "asks `resolve` before it"),
            ("hosts: dns files", "asks `dns` before it"),
            ("hosts: mdns4 files", "asks `mdns4` before it"),
            ("hosts: myhostname [NOTFOUND=return] files", "may end a search"),
            ("hosts: files [SUCCESS=merge] dns", "even for names that are in it"),
            ("hosts: files[!notfound=continue] dns", "even for names that are in it"),
            ("hosts: files [NOTFOUND=continue success=continue] dns", "even for names that are in it"),
            ("hosts: myhostname\n", "leaves it out"),
            ("hosts:\n", "leaves it out"),
        ] {
            let said = late(late_one).unwrap();
            assert!(said.contains(why) && said.contains("/etc/nsswitch.conf"), "{late_one}: {said}");
        }
    }
}
