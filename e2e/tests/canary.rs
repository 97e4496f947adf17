//! Canaries: secrets of all kinds are used in every way, then looked for in every file and every word that was printed.

use std::path::{Path, PathBuf};

use e2e::{App, Server};

/// A value as a leak might spell it.
fn spellings(value: &str) -> Vec<Vec<u8>> {
    let bytes = value.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let wide: Vec<u8> = bytes.iter().flat_map(|byte| [*byte, 0]).collect();
    let mut found = vec![bytes.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), wide];
    // Base64 of a text within a longer one depends on where it begins, by three; the ends depend on the neighbours and are left off.
    for shift in 0..3 {
        let shifted: Vec<u8> = std::iter::repeat_n(0, shift).chain(bytes.iter().copied()).collect();
        let encoded = base64(&shifted);
        let inner = encoded.get(4..encoded.len() - 4).unwrap_or_default();
        found.push(inner.as_bytes().to_vec());
        found.push(inner.replace('+', "-").replace('/', "_").into_bytes());
    }
    found
}

fn base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(alphabet[(group >> (18 - 6 * place) & 63) as usize]);
        }
    }
    text
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path))
        } else if path.is_file() {
            found.push(path)
        }
    }
    found
}

#[test]
fn no_secret_is_in_any_file_or_log() {
    let mut server = Server::start("canary");
    let values = ["canary-one-7f3a9c21e5", "canary-two-0b8d6e4f2a", "canary-three-91c5d7e3f0"];
    server.vault_with("shop", "one", values[0]);
    server.app_with("web", "shop", "get,list,set");
    let mut app = App::start(&server, "web", "shop");
    let endpoint = app.endpoint();
    let token = app.token();
    let https = server.https();
    let host = Server::vault_host("shop");
    let bearer = format!("Bearer {token}");
    let authorized = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let put = |name: &str, body: &str| {
        https.send("PUT", &host, &format!("/secrets/{name}?api-version=7.4"), &authorized, body).unwrap()
    };
    assert_eq!(put("two", &format!(r#"{{"value":"{}"}}"#, values[1])).status, 200);
    assert_eq!(https.get_secret("shop", "two", &token).json()["value"], values[1]);
    // Refusals and mistakes must be as silent: a broken body, a bad name, a token cut short, a stranger with everything.
    assert_eq!(put("three", &format!(r#"{{"value":"{}""#, values[2])).status, 400);
    assert_eq!(put("three_", &format!(r#"{{"value":"{}"}}"#, values[2])).status, 400);
    assert_eq!(put("three", &format!(r#"{{"value":["{}"]}}"#, values[2])).status, 400);
    assert_eq!(https.get_secret("shop", "one", &token[..token.len() - 3]).status, 401);
    let _refused = e2e::wait::output(
        std::process::Command::new(server.raw()).arg(endpoint.address()),
        endpoint.request("").as_bytes(),
    );
    let _value = server.keyless(["secret", "get", "shop", "one"]).ok();
    let _said = server.keyless(["audit", "tail"]).ok();
    let recovery = server.first_words();

    let search = |server: &Server, when: &str| {
        let secrets =
            [values[0], values[1], values[2], &endpoint.secret, token.rsplit('.').next().unwrap_or_default()];
        for file in files(&server.data()) {
            let bytes = std::fs::read(&file).unwrap();
            for secret in secrets {
                for spelling in spellings(secret) {
                    let is_there = bytes.windows(spelling.len()).any(|window| window == spelling);
                    assert!(
                        !is_there,
                        "{secret} is in {} {when}, as {}",
                        file.display(),
                        String::from_utf8_lossy(&spelling)
                    );
                }
            }
        }
        for secret in secrets {
            assert!(!server.logs().contains(secret), "{secret} is in the log {when}");
        }
    };
    search(&server, "while it runs");
    server.kill();
    search(&server, "after a kill");
    server.start_again();
    search(&server, "after a restart");
    // The recovery key is printed once and kept nowhere.
    let is_key = |word: &&str| {
        word.contains('-') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
    };
    let key = recovery.split_whitespace().filter(is_key).max_by_key(|word| word.len()).unwrap_or_default();
    for file in files(&server.data()) {
        assert!(
            !String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains(key),
            "the recovery key is in {}",
            file.display()
        );
    }
}

#[test]
fn the_search_would_find_a_canary() {
    let spelled = spellings("canary-one-7f3a9c21e5");
    let leak = base64(b"..canary-one-7f3a9c21e5 and more");
    assert!(
        spelled
            .iter()
            .any(|spelling| leak.as_bytes().windows(spelling.len()).any(|window| window == spelling))
    );
}
