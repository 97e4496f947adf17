//! Which passwords a user may have. What is guessed first is refused; nobody is told to mix digits and signs (NIST SP 800-63B section
//! 5.1.1.2).

use crate::UserError;
use domain::{Secret, UserName, limits};

/// The passwords that are tried first, of those that are long enough, in lower case.
const COMMON: &[&str] = &[
    "00000000",
    "000000000",
    "11111111",
    "111111111",
    "11223344",
    "12121212",
    "12341234",
    "12344321",
    "12345678",
    "123456789",
    "1234567890",
    "12345678910",
    "123456123",
    "123123123",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "87654321",
    "88888888",
    "987654321",
    "99999999",
    "a1b2c3d4",
    "aa123456",
    "aaaaaaaa",
    "abc12345",
    "abcd1234",
    "abcdefgh",
    "access14",
    "admin123",
    "admin1234",
    "administrator",
    "asdfasdf",
    "asdfghjk",
    "asdfghjkl",
    "baseball",
    "changeit",
    "changeme",
    "changeme1",
    "changeme123",
    "computer",
    "football",
    "iloveyou",
    "internet",
    "jennifer",
    "letmein1",
    "letmein123",
    "michelle",
    "mustang1",
    "p@ssw0rd",
    "p@ssword",
    "pa$$w0rd",
    "pass1234",
    "passw0rd",
    "password",
    "password!",
    "password1",
    "password12",
    "password123",
    "password1234",
    "princess",
    "qazwsxedc",
    "qwer1234",
    "qwerty12",
    "qwerty123",
    "qwertyui",
    "qwertyuiop",
    "sunshine",
    "superman",
    "test1234",
    "trustno1",
    "welcome1",
    "welcome123",
    "whatever",
    "zxcvbnm1",
];

/// May this user have this password?
pub(crate) fn check(password: &Secret<String>, name: &UserName) -> Result<(), UserError> {
    let text = password.expose();
    let unfit = |rule| Err(UserError::PasswordUnfit { rule });
    let chars = text.chars().count();
    if chars < limits::PASSWORD_CHARS_MIN {
        return unfit("it has less than 8 characters");
    }
    if chars > limits::PASSWORD_CHARS_MAX {
        return unfit("it has more than 256 characters");
    }
    let name = name.as_str();
    let local = name.split_once('@').map_or(name, |(local, _)| local);
    if text.eq_ignore_ascii_case(name) || text.eq_ignore_ascii_case(local) {
        return unfit("it is the user name");
    }
    if COMMON.iter().any(|common| text.eq_ignore_ascii_case(common)) {
        return unfit("it is one of those that are guessed first");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_not_guessed_first() {
        let name = UserName::parse("Alice.Smith@keyless.localhost").unwrap();
        let is_fit = |text: &str| check(&Secret::new(text.to_owned()), &name).is_ok();
        assert!(is_fit("xkcdxkcd") && is_fit("éééééééé") && is_fit(&"é".repeat(256)) && is_fit("        "));
        for text in ["", "xkcdxkc", "ééééééé", "Password1", "QWERTYUIOP", "alice.smith"] {
            assert!(!is_fit(text), "{text}");
        }
        assert!(!is_fit("ALICE.SMITH@keyless.localhost") && !is_fit(&"x".repeat(257)));
        for common in COMMON {
            assert!(
                common.len() >= limits::PASSWORD_CHARS_MIN && *common == common.to_lowercase(),
                "{common}"
            );
        }
    }
}
