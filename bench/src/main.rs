//! `cargo xtask bench`: what Keyless costs, as ratios against its raw limits, measured in one run.
//!
//! Alternating rounds, server and load generator pinned to a core each, processor time as the kernel counts it, medians.
//! Absolute figures belong to the machine; only the ratios travel. Nothing here is part of the product.

mod bare;
mod cpu;
mod load;
mod raw;
mod report;
mod scenario;
mod system;

use std::path::PathBuf;

/// `bench bare [--tls CHAIN KEY] CONTENT-TYPE BODY-FILE`, `bench endpoint …` (inside an app), or `bench KEYLESS [--quick] [--write FILE]`.
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["bare", "--tls", chain, key, rest @ ..] => {
            let identity = bare::Identity { chain_pem: text(chain), key_pkcs8: bytes(key) };
            run_bare(Some(identity), rest);
        }
        ["bare", rest @ ..] => run_bare(None, rest),
        ["endpoint", rest @ ..] => runtime().block_on(scenario::endpoint_load(rest)),
        [keyless, options @ ..] => {
            let mut options = options.iter();
            let (mut is_quick, mut file) = (false, None);
            while let Some(option) = options.next() {
                match *option {
                    "--quick" => is_quick = true,
                    "--write" => file = options.next().map(PathBuf::from),
                    other => usage(other),
                }
            }
            let local = tokio::task::LocalSet::new();
            let report = local.block_on(&runtime(), scenario::all(&PathBuf::from(keyless), is_quick));
            let text = report.markdown();
            #[expect(clippy::print_stdout, reason = "the report is this program's output")]
            {
                println!("{text}");
            }
            if let Some(file) = file {
                std::fs::write(&file, text).expect("the report file is writable");
            }
        }
        [] => usage(""),
    }
}

fn run_bare(identity: Option<bare::Identity>, rest: &[&str]) {
    let [content_type, body] = rest else { return usage("bare") };
    let content_type: &'static str = Box::leak((*content_type).to_owned().into_boxed_str());
    runtime().block_on(bare::serve(identity, content_type, bytes(body)));
}

fn usage(what: &str) {
    #[expect(clippy::print_stderr, reason = "a usage error")]
    {
        eprintln!("bench: {what:?}? usage: bench PATH-TO-KEYLESS [--quick] [--write FILE]");
    }
    std::process::exit(2);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).expect("the file is there")
}

fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(path).expect("the file is there")
}
