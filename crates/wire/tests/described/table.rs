//! The lists: what operations there are, what each takes and answers, and since which version.

use super::shape::Shapes;

/// A version of the API that has a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V7_5,
    V2025_07_01,
}

impl Version {
    /// As clients send it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::V7_5 => "7.5",
            Self::V2025_07_01 => "2025-07-01",
        }
    }

    /// Takes off what says since when something is there.
    pub(super) fn since(text: &str) -> (String, Self) {
        match text.split_once('@') {
            None => (text.to_owned(), Self::V7_5),
            Some((name, "2025-07-01")) => (name.to_owned(), Self::V2025_07_01),
            Some((_, other)) => panic!("no such version: {other}"),
        }
    }
}

/// How this server refuses an operation that it has only in form: status, code, inner code.
pub(super) type Refusal = (u16, String, Option<String>);

/// One line of `operations.txt`.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) since: Version,
    pub(super) method: String,
    template: String,
    pub(super) query: Vec<(String, Version)>,
    pub(super) body: Option<String>,
    pub(super) status: u16,
    pub(super) answer: Option<String>,
    pub(super) refused: Option<Refusal>,
}

impl Operation {
    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, method, path, body, status, answer, marks @ ..] = &*words else {
            panic!("name, method, path, body, status, answer: {line}")
        };
        let (name, since) = Version::since(name);
        let (template, query) = path.split_once('?').unwrap_or((path, ""));
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        let mut refused = None;
        for mark in marks {
            match mark.strip_prefix("refused=").map(|refusal| refusal.split('/').collect::<Vec<_>>()) {
                Some(refusal) => {
                    let [status, code, inner] = &*refusal else { panic!("status/code/inner: {line}") };
                    refused = Some((status.parse().unwrap(), (*code).to_owned(), some(inner)));
                }
                None => assert_eq!(*mark, "hsm", "a mark: {line}"),
            }
        }
        Self {
            name,
            since,
            method: (*method).to_owned(),
            template: template.to_owned(),
            query: query.split(',').filter(|name| !name.is_empty()).map(Version::since).collect(),
            body: some(body),
            status: status.parse().unwrap(),
            answer: some(answer),
            refused,
        }
    }

    /// The path with what stands in braces filled in.
    pub(super) fn path(&self, values: &[(&str, &str)]) -> String {
        let filled = values
            .iter()
            .fold(self.template.clone(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
        assert!(!filled.contains('{'), "{}: {filled}", self.name);
        filled
    }
}

/// Both lists.
#[derive(Clone)]
pub(super) struct Table {
    operations: Vec<Operation>,
    pub(super) shapes: Shapes,
}

impl Table {
    /// As they stand beside this file.
    pub(super) fn read() -> Self {
        let lines = include_str!("operations.txt").lines();
        let operations =
            lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(Operation::parse);
        Self { operations: operations.collect(), shapes: Shapes::parse(include_str!("shapes.txt")) }
    }

    /// The operations of a version.
    pub(super) fn operations(&self, version: Version) -> Vec<Operation> {
        self.operations.iter().filter(|operation| operation.since <= version).cloned().collect()
    }

    /// The operation of this name.
    pub(super) fn operation(&self, name: &str) -> Operation {
        let found = self.operations.iter().find(|operation| operation.name == name);
        found.unwrap_or_else(|| panic!("{name} is in operations.txt")).clone()
    }
}
