//! libFuzzer around one of the targets: the one that `KEYLESS_FUZZ_TARGET` names. `cargo xtask fuzz` builds and starts it.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("KEYLESS_FUZZ_TARGET").unwrap_or_default();
    match fuzz::named(&name) {
        Some(target) => target,
        None => {
            eprintln!("KEYLESS_FUZZ_TARGET={name:?} names none of: {}", fuzz::TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(" "));
            std::process::exit(2)
        }
    }
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.run(data));
