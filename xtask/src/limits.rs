//! `docs/limits.md` from `crates/domain/src/limits.rs`: each number, its unit and its source, read as written there.

use std::fmt::Write;

/// Source of the page.
pub(crate) const SOURCE: &str = "crates/domain/src/limits.rs";
/// The page.
pub(crate) const PAGE: &str = "docs/limits.md";

/// The page's text.
pub(crate) fn page(source: &str) -> String {
    let mut page = format!(
        "# Limits\n\nEverything has a limit. This page is generated from [`{SOURCE}`](../{SOURCE}) by `cargo xtask tidy --write`: do not edit it.\n"
    );
    let mut doc: Vec<&str> = Vec::new();
    let mut is_new_table = true;
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("/// ") {
            doc.push(text);
        } else if let Some((name, value)) = constant(line) {
            if is_new_table {
                page.push_str("\n| limit | value | what, and its source |\n|---|---|---|\n");
                is_new_table = false;
            }
            // Writing to a string cannot fail.
            let _ = writeln!(page, "| `{name}` | {value} | {} |", doc.join(" ").replace('|', "\\|"));
            doc.clear();
        } else if line.trim().is_empty() {
            is_new_table = true;
        }
    }
    page
}

/// `pub const NAME: TYPE = VALUE;` as name and shown value.
fn constant(line: &str) -> Option<(&str, String)> {
    let (name, rest) = line.strip_prefix("pub const ")?.split_once(':')?;
    let (_type, value) = rest.trim_end().strip_suffix(';')?.split_once('=')?;
    let value = value.trim();
    let seconds =
        value.strip_prefix("Duration::from_secs(").and_then(|inner| product(inner.strip_suffix(')')?));
    let millis =
        value.strip_prefix("Duration::from_millis(").and_then(|inner| product(inner.strip_suffix(')')?));
    let shown = match (seconds, millis, product(value)) {
        (Some(seconds), ..) => duration(seconds),
        (_, Some(millis), _) => format!("{} ms", thousands(millis)),
        (_, _, Some(number)) => thousands(number),
        _ => format!("`{value}`"),
    };
    Some((name, shown))
}

/// `2 * 365 * 86_400`.
fn product(text: &str) -> Option<u64> {
    text.split('*')
        .try_fold(1_u64, |product, factor| product.checked_mul(factor.trim().replace('_', "").parse().ok()?))
}

fn duration(seconds: u64) -> String {
    let larger = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = larger.iter().find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size));
    match unit {
        Some((size, unit)) => format!("{} s ({} {unit})", thousands(seconds), thousands(seconds / size)),
        None => format!("{} s", thousands(seconds)),
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_with_units() {
        let check = |line: &str, expected: &str| {
            assert_eq!(constant(line).map(|(_, value)| value).as_deref(), Some(expected))
        };
        check("pub const A: usize = 25_600;", "25,600");
        check("pub const A: usize = 16 * 1024;", "16,384");
        check("pub const A: Duration = Duration::from_secs(3_600);", "3,600 s (1 h)");
        check("pub const A: Duration = Duration::from_secs(2 * 365 * 86_400);", "63,072,000 s (730 d)");
        check("pub const A: Duration = Duration::from_millis(250);", "250 ms");
        check("pub const A: &str = \"x\";", "`\"x\"`");
    }

    #[test]
    fn groups_become_tables() {
        let page = page(
            "//! x\n\n/// One. Source: y.\npub const A: u8 = 1;\n\n/// Two\n/// lines.\npub const B: u8 = 2;\n",
        );
        assert_eq!(page.matches("| limit |").count(), 2);
        assert!(page.contains("| `B` | 2 | Two lines. |"));
    }
}
