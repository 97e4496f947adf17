//! Listing: byte order, exact prefixes, pages that lose nothing.

use crate::client::{Client, key, put};

/// 7.
pub(crate) async fn keys_are_in_byte_order(client: Client) {
    let mut keys: Vec<&[u8]> =
        vec![b"\xff\xff", b"/", b"a", b"\x00", b"a\x00", b"\x80", b"aa", b"\xff", b"\x00\x00", b"b"];
    for key in &keys {
        client.put(key, "v").await;
    }
    keys.sort_unstable();
    assert_eq!(client.keys("").await, keys);
}

/// 8.
pub(crate) async fn prefixes_that_end_in_ff(client: Client) {
    for key in
        [&b"a\xfe"[..], b"a\xff", b"a\xff\x00", b"a\xff\xff", b"b", b"\xff", b"\xff\xff", b"\xff\xff\x01"]
    {
        client.put(key, "v").await;
    }
    assert_eq!(client.keys(b"a\xff").await, [&b"a\xff"[..], b"a\xff\x00", b"a\xff\xff"]);
    assert_eq!(client.keys(b"\xff").await, [&b"\xff"[..], b"\xff\xff", b"\xff\xff\x01"]);
    assert_eq!(client.keys(b"\xff\xff").await, [&b"\xff\xff"[..], b"\xff\xff\x01"]);
}

/// 9.
pub(crate) async fn a_prefix_is_not_its_sibling(client: Client) {
    for key in ["a", "a/", "a/1", "a0", "a.", "b/1"] {
        client.put(key, "v").await;
    }
    assert_eq!(client.keys("a/").await, [&b"a/"[..], b"a/1"]);
}

/// 10.
pub(crate) async fn after_is_exclusive_and_need_not_exist(client: Client) {
    for key in ["k/1", "k/2", "k/3"] {
        client.put(key, "v").await;
    }
    client.delete("k/2").await;
    let after = async |after: &str| {
        let page = client.page("k/", Some(&key(after)), 10).await;
        page.entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(after("k/1").await, [key("k/3")]);
    assert_eq!(after("k/2").await, [key("k/3")]);
    assert_eq!(after("k/15").await, [key("k/3")]);
    assert_eq!(after("a").await, [key("k/1"), key("k/3")], "before the prefix");
    assert_eq!(after("k/3").await, []);
    assert_eq!(after("z").await, []);
}

/// 11.
pub(crate) async fn pages_beside_writers(client: Client) {
    let stays: Vec<String> = (0..30).map(|number| format!("p/{number:02}-stays")).collect();
    client.commit(&[], &stays.iter().map(|key| put(key, "v")).collect::<Vec<_>>()).await.unwrap();
    let writer = client.clone();
    let writing = tokio::spawn(async move {
        for round in 0..40 {
            let at = format!("p/{:02}-comes", (round * 7) % 30);
            writer.put(&at, "v").await;
            writer.delete(&at).await;
        }
    });
    let mut rounds = 0;
    while rounds < 5 || !writing.is_finished() {
        let keys = client.keys("p/").await;
        assert!(keys.is_sorted_by(|one, other| one < other), "no key twice");
        for stays in &stays {
            assert!(keys.contains(&stays.clone().into_bytes()), "{stays} was there all the time");
        }
        rounds += 1;
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
}

/// 12.
pub(crate) async fn more_is_exact(client: Client) {
    for number in 0..6 {
        client.put(format!("m/{number}"), "v").await;
    }
    client.put("n", "v").await;
    for (limit, pages) in [(1, 6), (2, 3), (3, 2), (4, 2), (5, 2), (6, 1), (7, 1), (u16::MAX, 1)] {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = client.page("m/", after.as_ref(), limit).await;
            count += 1;
            after = page.entries.last().map(|entry| entry.key.clone());
            if !page.more {
                break;
            }
        }
        assert_eq!(count, pages, "pages of {limit}");
    }
}

/// 13.
pub(crate) async fn bytes_split_pages(client: Client) {
    let value = vec![b'x'; 60_000];
    for number in 0..20 {
        client.put(format!("b/{number:02}"), &value).await;
    }
    let page = client.page("b/", None, 256).await;
    assert!(page.more && !page.entries.is_empty());
    let bytes: usize = page.entries.iter().map(|entry| entry.value.len()).sum();
    assert!(bytes <= 1024 * 1024, "{bytes} bytes");
    assert_eq!(client.all("b/", 256).await.len(), 20);
}

/// 14.
pub(crate) async fn nothing_of_ours_is_listed(client: Client) {
    client.put("only", "v").await;
    client.put("only", "w").await;
    assert_eq!(client.keys("").await, [b"only"]);
}
