//! An error and what it comes of, as one line for a person.

use std::error::Error;

/// The error's words and those of all its causes, a colon between them. A cause whose words are the end of what is there already is not
/// said twice.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    for more in causes.map(ToString::to_string) {
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Told(&'static str, Option<Box<Told>>);

    impl fmt::Display for Told {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.0)
        }
    }

    impl Error for Told {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &dyn Error)
        }
    }

    #[test]
    fn causes_are_said_once_each() {
        let cause = |text, cause| Some(Box::new(Told(text, cause)));
        assert_eq!(chain(&Told("a", None)), "a");
        assert_eq!(chain(&Told("a", cause("b", cause("c", None)))), "a: b: c");
        assert_eq!(chain(&Told("a: b", cause("b", cause("c", None)))), "a: b: c");
    }
}
