//! Every file of the corpora, every input that once broke something, and simple changes of them: always the same ones, a few seconds in all.
//! So each `cargo test` fuzzes a little, without any tool.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use fuzz::Target;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// Changes of each file.
const CHANGES: usize = 12;
/// When to leave it at that: a machine may be slow, and the files themselves are what must be tried.
const CHANGING_TIME_MAX: Duration = Duration::from_secs(5);

/// Xorshift: the same numbers in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % end.max(1)
    }

    /// A small change of an input, or a splice of two.
    fn change(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut changed = input.to_vec();
        let place = self.below(changed.len());
        match self.below(5) {
            0 => changed.truncate(place),
            1 => {
                let end = place + self.below(changed.len() - place + 1);
                let piece = changed[place..end].to_vec();
                changed.splice(place..place, piece);
            }
            2 => {
                changed.truncate(place);
                changed.extend_from_slice(&other[self.below(other.len())..]);
            }
            3 => {
                if let Some(byte) = changed.get_mut(place) {
                    *byte = [0, 1, 0x7f, 0x80, 0xff, b'{', b'"', b'%'][self.below(8)];
                }
            }
            _ => {
                if let Some(byte) = changed.get_mut(place) {
                    *byte ^= 1 << self.below(8);
                }
            }
        }
        changed
    }
}

fn inputs(folder: &str, target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target.name);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn replay(name: &str) {
    let target = fuzz::named(name).unwrap();
    let corpus = inputs("corpus", &target);
    assert!(corpus.len() >= 4, "{name}: {} files", corpus.len());
    for input in inputs("crashes-mended", &target).iter().chain(&corpus) {
        target.run(input);
    }
    let (began, mut dice) = (Instant::now(), Dice(0x9e37_79b9_7f4a_7c15));
    for _ in 0..CHANGES {
        for input in &corpus {
            let other = &corpus[dice.below(corpus.len())];
            let changed = dice.change(input, other);
            target.run(&changed);
            if began.elapsed() > CHANGING_TIME_MAX {
                return;
            }
        }
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { replay(stringify!($name)); })*

        #[test]
        fn no_target_is_left_out() {
            let all: Vec<_> = fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(all, [$(stringify!($name)),*]);
        }
    };
}

targets! {
    arm_body arm_filter arm_path assertion backup bearer config jwk keyvault_body keyvault_path msi package passkey pem pfx record
    root_files scm stack token_request x509
}
