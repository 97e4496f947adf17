//! The raw limits: what the disk, the store and the signature cost with nothing around them.

use crate::cpu;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use domain::world::random;
use std::{
    cell::Cell,
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
    rc::Rc,
    sync::Arc,
    time::Instant,
};
use store::{CommitId, Key, Store, Write};

/// Committers that fill a store.
const FILLING: usize = 64;
const ENGINE_TABLE: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("entry");

/// Durable 4 KiB writes a second of the file system below `directory`: write and `fdatasync`, one at a time.
pub(crate) fn fdatasync_rate(directory: &Path, writes: u32) -> f64 {
    let mut file: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("fdatasync"))
        .expect("the directory is writable");
    let block = [7_u8; 4096];
    let begin = Instant::now();
    for _ in 0..writes {
        file.write_all(&block).expect("the disk has room");
        file.sync_data().expect("the disk syncs");
    }
    f64::from(writes) / begin.elapsed().as_secs_f64()
}

/// Durable inserts a second of redb itself, so many in each transaction, each of one value of `bytes` at a key that `key` makes of its number:
/// what the engine can do with nothing around it. It has `there` such entries already.
pub(crate) fn engine_rate(
    directory: &Path,
    each: usize,
    key: impl Fn(usize) -> String,
    there: usize,
    total: usize,
    bytes: usize,
) -> f64 {
    let path = directory.join(format!("engine-{each}.redb"));
    let cache = store::RedbOptions::default().page_cache_bytes;
    let database = redb::Builder::new().set_cache_size(cache).create(&path).expect("the file is made");
    let value = vec![7; bytes];
    let insert = |numbers: std::ops::Range<usize>, each: usize| {
        let mut numbers = numbers.peekable();
        while numbers.peek().is_some() {
            let transaction = database.begin_write().expect("nobody else writes");
            {
                let mut table = transaction.open_table(ENGINE_TABLE).expect("the table is there, or made");
                for number in numbers.by_ref().take(each) {
                    table.insert(key(number).as_bytes(), value.as_slice()).expect("the disk has room");
                }
            }
            transaction.commit().expect("the disk syncs");
        }
    };
    insert(total..total + there, FILLING);
    let begin = Instant::now();
    insert(0..total, each);
    let elapsed = begin.elapsed();
    drop(database);
    let _ = std::fs::remove_file(&path);
    total as f64 / elapsed.as_secs_f64()
}

/// Durable commits a second of our own store in `directory`, by so many concurrent committers, each as in [`engine_rate`].
pub(crate) async fn commit_rate(
    directory: &Path,
    committers: usize,
    key: impl Fn(usize) -> String + Copy + 'static,
    there: usize,
    total: usize,
    bytes: usize,
) -> f64 {
    let path = directory.join(format!("raw-{committers}.redb"));
    let store = Rc::new(store::Redb::open(&path, store::RedbOptions::default()).expect("the store opens"));
    commit(&store, FILLING, move |number| key(total + number), there, bytes).await;
    let begin = Instant::now();
    commit(&store, committers, key, total, bytes).await;
    let elapsed = begin.elapsed();
    drop(store);
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir_all(store::redb::commits_of(&path));
    total as f64 / elapsed.as_secs_f64()
}

async fn commit(
    store: &Rc<store::Redb>,
    committers: usize,
    key: impl Fn(usize) -> String + 'static,
    total: usize,
    bytes: usize,
) {
    let value: Arc<[u8]> = vec![7; bytes].into();
    let (key, next) = (Rc::new(key), Rc::new(Cell::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..committers {
        let (store, value, key, next) = (store.clone(), value.clone(), key.clone(), next.clone());
        tasks.spawn_local(async move {
            loop {
                let number = next.replace(next.get() + 1);
                if number >= total {
                    break;
                }
                let write = Write::Put(Key::new(key(number)), value.clone());
                let id = CommitId(u128::from_be_bytes(random(&crypt::SystemEntropy)));
                store.commit(id, &[], &[write]).await.expect("a commit without checks succeeds");
            }
        });
    }
    tasks.join_all().await;
}

/// An RSA-2048 key of the crypto library itself, which signs a token's worth of bytes (RS256).
pub(crate) struct Signer {
    key: KeyPair,
    random: aws_lc_rs::rand::SystemRandom,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).expect("a key can be made");
        Self { key, random: aws_lc_rs::rand::SystemRandom::new() }
    }

    pub(crate) fn sign(&self) {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &self.random, &[b'x'; 800], &mut signature).expect("a key signs");
        std::hint::black_box(&signature);
    }

    /// Microseconds of processor time of a signature, of so many.
    pub(crate) fn us(&self, signatures: u32) -> f64 {
        us(signatures, || self.sign())
    }
}

/// Microseconds of processor time of one RSA-2048 signature by the crypto library itself.
pub(crate) fn signature_us(signatures: u32) -> f64 {
    Signer::new().us(signatures)
}

/// Microseconds of processor time of one P-256 signature (ES256, over a digest's worth of bytes) by the crypto library itself.
pub(crate) fn ec_signature_us(signatures: u32) -> f64 {
    let algorithm = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = aws_lc_rs::signature::EcdsaKeyPair::generate(algorithm).expect("a key can be made");
    let random = aws_lc_rs::rand::SystemRandom::new();
    us(signatures, || {
        std::hint::black_box(key.sign(&random, &[b'x'; 32]).expect("a key signs"));
    })
}

/// Microseconds of processor time of what is done so many times.
fn us(times: u32, mut done: impl FnMut()) -> f64 {
    let begin = cpu::own_nanoseconds();
    for _ in 0..times {
        done();
    }
    (cpu::own_nanoseconds() - begin) as f64 / 1_000.0 / f64::from(times)
}
