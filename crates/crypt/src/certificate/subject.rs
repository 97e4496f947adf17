//! Distinguished names as text (RFC 4514) and as X.501 has them: who a certificate is about, and who issued it.
//!
//! Owns: [`Subject`], reading and printing it, its limits. Owns not: who may have which name. Multi-valued parts (`CN=a+OU=b`) are
//! supported both ways, as certificates that are imported may have them. As RFC 4514 section 2.1 says, the text begins with what comes
//! last in the encoding: `CN=a,O=b` is encoded with O first, which is also what .NET, and so Key Vault, does.
//!
//! Lenient beyond RFC 4514, as .NET and OpenSSL are: spaces around separators, quoted values (RFC 1779), `;` between parts, some names
//! for types that the RFC writes as numbers (`SERIALNUMBER`, `E`). Strict: no control characters, no empty values.

use super::CertificateError;
use der::{
    Any, Decode as _, Encode as _, Tag, Tagged as _,
    asn1::{BmpString, Ia5StringRef, PrintableStringRef, SetOfVec, Utf8StringRef},
    oid::ObjectIdentifier,
};
use std::{fmt, iter::Peekable, str::Chars};
use x509_cert::{
    attr::AttributeTypeAndValue,
    name::{Name, RdnSequence, RelativeDistinguishedName},
};

/// Bytes of a subject's text. Ours: each of Key Vault's own examples is below 200.
pub const SUBJECT_BYTES_MAX: usize = 2_048;
/// Attributes of a subject. Ours.
pub const SUBJECT_ATTRIBUTES_MAX: usize = 32;

/// A type of attribute: its names in text, the first of which is printed, and its limit in characters (RFC 5280 appendix A.1, `ub-…`).
struct Type {
    names: &'static [&'static str],
    oid: ObjectIdentifier,
    characters_max: usize,
    form: Form,
}

/// As which string a value is encoded (RFC 5280 section 4.1.2.4 and appendix A.1).
#[derive(Clone, Copy)]
enum Form {
    Utf8,
    Printable,
    Ia5,
}

const fn kind(names: &'static [&'static str], oid: &'static str, characters_max: usize, form: Form) -> Type {
    Type { names, oid: ObjectIdentifier::new_unwrap(oid), characters_max, form }
}

const TYPES: &[Type] = &[
    kind(&["CN", "COMMONNAME"], "2.5.4.3", 64, Form::Utf8),
    kind(&["O", "ORGANIZATIONNAME"], "2.5.4.10", 64, Form::Utf8),
    kind(&["OU", "ORGANIZATIONALUNITNAME"], "2.5.4.11", 64, Form::Utf8),
    kind(&["C", "COUNTRYNAME"], "2.5.4.6", 2, Form::Printable),
    kind(&["ST", "S", "STATEORPROVINCENAME"], "2.5.4.8", 128, Form::Utf8),
    kind(&["L", "LOCALITYNAME"], "2.5.4.7", 128, Form::Utf8),
    kind(&["STREET", "STREETADDRESS"], "2.5.4.9", 128, Form::Utf8),
    kind(&["DC", "DOMAINCOMPONENT"], "0.9.2342.19200300.100.1.25", 63, Form::Ia5),
    kind(&["UID", "USERID"], "0.9.2342.19200300.100.1.1", 256, Form::Utf8),
    kind(&["SERIALNUMBER"], "2.5.4.5", 64, Form::Printable),
    kind(&["emailAddress", "E", "EMAIL"], "1.2.840.113549.1.9.1", 255, Form::Ia5),
    kind(&["title", "T"], "2.5.4.12", 64, Form::Utf8),
    kind(&["GN", "G", "GIVENNAME"], "2.5.4.42", 64, Form::Utf8),
    kind(&["SN", "SURNAME"], "2.5.4.4", 64, Form::Utf8),
    kind(&["initials", "I"], "2.5.4.43", 64, Form::Utf8),
    kind(&["pseudonym"], "2.5.4.65", 128, Form::Utf8),
    kind(&["dnQualifier"], "2.5.4.46", 64, Form::Printable),
    kind(&["postalCode"], "2.5.4.17", 40, Form::Utf8),
    kind(&["businessCategory"], "2.5.4.15", 128, Form::Utf8),
    kind(&["organizationIdentifier"], "2.5.4.97", 128, Form::Utf8),
];

/// Characters of a value whose type is written as a number. Ours.
const OTHER_CHARACTERS_MAX: usize = 256;

/// A distinguished name. May be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject(Name);

impl Subject {
    /// Reads a distinguished name. The empty text is the empty name.
    ///
    /// # Errors
    /// [`CertificateError::Subject`], which says what is wrong.
    pub fn parse(text: &str) -> Result<Self, CertificateError> {
        if text.len() > SUBJECT_BYTES_MAX {
            return Err(refused("it is too long"));
        }
        let mut parts = Vec::new();
        let mut attributes = 0_usize;
        let mut rest = Text { characters: text.chars().peekable() };
        rest.skip_spaces();
        while rest.characters.peek().is_some() {
            let mut part: Vec<AttributeTypeAndValue> = Vec::new();
            loop {
                attributes += 1;
                if attributes > SUBJECT_ATTRIBUTES_MAX {
                    return Err(refused("it has too many attributes"));
                }
                let attribute = rest.attribute()?;
                if part.iter().any(|other| other.oid == attribute.oid) {
                    return Err(refused("one part has the same attribute twice"));
                }
                part.push(attribute);
                match rest.characters.next() {
                    Some('+') => (),
                    Some(_) if rest.is_at_end() => return Err(refused("it ends with a separator")),
                    _ => break,
                }
            }
            let part = SetOfVec::try_from(part).map_err(|_| refused("it cannot be encoded"))?;
            parts.push(RelativeDistinguishedName::from(part));
        }
        parts.reverse();
        // By way of its encoding: the library has no other way from parts to a name.
        RdnSequence::from(parts)
            .to_der()
            .and_then(|der| Name::from_der(&der))
            .map(Self)
            .map_err(|_| refused("it cannot be encoded"))
    }

    pub(super) const fn from_name(name: Name) -> Self {
        Self(name)
    }

    pub(super) const fn as_name(&self) -> &Name {
        &self.0
    }

    /// Whether it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The common names in it, as text: what an old client takes for a host's name.
    pub fn common_names(&self) -> impl Iterator<Item = String> {
        const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
        self.0
            .iter()
            .filter(|attribute| attribute.oid == COMMON_NAME)
            .filter_map(|attribute| text_of(&attribute.value))
    }
}

impl fmt::Display for Subject {
    /// RFC 4514 section 2. [`Subject::parse`] reads the same words back, of a parsed subject the very same name. A stranger's may come
    /// back in another kind of string, or not at all if it is over our limits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter_rdn().collect();
        for (number, part) in parts.iter().rev().enumerate() {
            for (inner, attribute) in part.iter().enumerate() {
                let separator = if inner > 0 {
                    "+"
                } else if number > 0 {
                    ","
                } else {
                    ""
                };
                formatter.write_str(separator)?;
                print(attribute, formatter)?;
            }
        }
        Ok(())
    }
}

fn print(attribute: &AttributeTypeAndValue, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let known = TYPES.iter().find(|kind| kind.oid == attribute.oid);
    match (known.and_then(|kind| kind.names.first()), text_of(&attribute.value)) {
        (Some(name), Some(text)) => {
            write!(formatter, "{name}=")?;
            escape(&text, formatter)
        }
        // Section 2.4: a type that is written as a number has its value's encoding behind it.
        _ => {
            let der = attribute.value.to_der().map_err(|_| fmt::Error)?;
            write!(formatter, "{}=#{}", attribute.oid, crate::encoding::hex(&der))
        }
    }
}

fn escape(text: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write as _;
    let last = text.chars().count().saturating_sub(1);
    for (at, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(formatter, "\\{character}")?,
            '#' if at == 0 => formatter.write_str("\\#")?,
            ' ' if at == 0 || at == last => formatter.write_str("\\ ")?,
            character if character.is_ascii_control() => write!(formatter, "\\{:02X}", u32::from(character))?,
            character => formatter.write_char(character)?,
        }
    }
    Ok(())
}

/// A value as text, if it is one of the kinds of string that names have (RFC 5280, `DirectoryString` and `IA5String`).
fn text_of(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
            std::str::from_utf8(value.value()).ok().map(str::to_owned)
        }
        // In practice Latin-1, whatever T.61 says: Windows and OpenSSL read it so.
        Tag::TeletexString => Some(value.value().iter().copied().map(char::from).collect()),
        Tag::BmpString => value.decode_as::<BmpString>().ok().map(|text| text.to_string()),
        _ => None,
    }
}

const fn refused(why: &'static str) -> CertificateError {
    CertificateError::Subject { why }
}

/// The text that is not read yet.
struct Text<'a> {
    characters: Peekable<Chars<'a>>,
}

impl Text<'_> {
    fn skip_spaces(&mut self) {
        while self.characters.next_if_eq(&' ').is_some() {}
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_spaces();
        self.characters.peek().is_none()
    }

    /// `type = value`, up to a separator or the end.
    fn attribute(&mut self) -> Result<AttributeTypeAndValue, CertificateError> {
        self.skip_spaces();
        let mut name = String::new();
        while let Some(next) =
            self.characters.next_if(|next| next.is_ascii_alphanumeric() || matches!(next, '.' | '-'))
        {
            name.push(next);
        }
        self.skip_spaces();
        if self.characters.next() != Some('=') {
            return Err(refused("an attribute is not written as type=value"));
        }
        self.skip_spaces();
        let known =
            TYPES.iter().find(|kind| kind.names.iter().any(|known| known.eq_ignore_ascii_case(&name)));
        let oid = match known {
            Some(kind) => kind.oid,
            None => number(&name).ok_or(refused("an attribute's type is unknown"))?,
        };
        let known = TYPES.iter().find(|kind| kind.oid == oid);
        if self.characters.next_if_eq(&'#').is_some() {
            return Ok(AttributeTypeAndValue { oid, value: self.encoded()? });
        }
        let text = if self.characters.next_if_eq(&'"').is_some() { self.quoted()? } else { self.plain()? };
        let value = encode(known, &text)?;
        Ok(AttributeTypeAndValue { oid, value })
    }

    /// `#` and hex digits: the value's DER, which must be a string for a type that is known.
    fn encoded(&mut self) -> Result<Any, CertificateError> {
        const WRONG: CertificateError = refused("a value after # is not the DER of a string");
        let mut digits = String::new();
        while let Some(digit) = self.characters.next_if(char::is_ascii_hexdigit) {
            digits.push(digit);
        }
        self.end_of_value()?;
        let der = crate::encoding::from_hex(&digits).map_err(|_| WRONG)?;
        let value = Any::from_der(&der).map_err(|_| WRONG)?;
        match text_of(&value) {
            Some(text) if text.is_empty() || text.chars().any(char::is_control) => Err(WRONG),
            Some(text) if text.chars().count() > OTHER_CHARACTERS_MAX => Err(refused("a value is too long")),
            Some(_) => Ok(value),
            None => Err(WRONG),
        }
    }

    fn quoted(&mut self) -> Result<String, CertificateError> {
        let mut bytes = Vec::new();
        loop {
            match self.characters.next() {
                None => return Err(refused("a quotation mark is missing")),
                // A doubled one is one of the value, as .NET writes it.
                Some('"') if self.characters.next_if_eq(&'"').is_some() => bytes.push(b'"'),
                Some('"') => break,
                Some('\\') => bytes.extend(self.escaped()?),
                Some(character) => push(&mut bytes, character),
            }
        }
        self.end_of_value()?;
        String::from_utf8(bytes).map_err(|_| refused("a value is not UTF-8"))
    }

    fn plain(&mut self) -> Result<String, CertificateError> {
        let mut bytes = Vec::new();
        // Spaces at the end do not belong to the value, unless they are escaped.
        let mut kept = 0;
        while let Some(character) = self.characters.next_if(|next| !matches!(next, ',' | ';' | '+')) {
            match character {
                '"' => return Err(refused("a quotation mark is not escaped")),
                '\\' => bytes.extend(self.escaped()?),
                character => push(&mut bytes, character),
            }
            if character != ' ' {
                kept = bytes.len();
            }
        }
        bytes.truncate(kept);
        String::from_utf8(bytes).map_err(|_| refused("a value is not UTF-8"))
    }

    /// What follows a backslash: a special character, or two hex digits that are one byte.
    fn escaped(&mut self) -> Result<Vec<u8>, CertificateError> {
        const WRONG: CertificateError = refused("a backslash escapes nothing");
        let first = self.characters.next().ok_or(WRONG)?;
        if let Some(high) = first.to_digit(16) {
            let low = self.characters.next().and_then(|low| low.to_digit(16)).ok_or(WRONG)?;
            return u8::try_from(high * 16 + low).map(|byte| vec![byte]).map_err(|_| WRONG);
        }
        match first {
            ' ' | '"' | '#' | '+' | ',' | ';' | '<' | '=' | '>' | '\\' => {
                let mut bytes = Vec::new();
                push(&mut bytes, first);
                Ok(bytes)
            }
            _ => Err(WRONG),
        }
    }

    fn end_of_value(&mut self) -> Result<(), CertificateError> {
        self.skip_spaces();
        match self.characters.peek() {
            None | Some(',' | ';' | '+') => Ok(()),
            Some(_) => Err(refused("something follows a value")),
        }
    }
}

fn push(bytes: &mut Vec<u8>, character: char) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// `1.2.3` or `OID.1.2.3`.
fn number(name: &str) -> Option<ObjectIdentifier> {
    let dotted = match name.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("OID.") => name.get(4..)?,
        _ => name,
    };
    ObjectIdentifier::new(dotted).ok()
}

fn encode(kind: Option<&Type>, text: &str) -> Result<Any, CertificateError> {
    if text.is_empty() {
        return Err(refused("a value is empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(refused("a value has a control character"));
    }
    let characters = text.chars().count();
    if characters > kind.map_or(OTHER_CHARACTERS_MAX, |kind| kind.characters_max) {
        return Err(refused("a value is too long"));
    }
    let value = match kind.map_or(Form::Utf8, |kind| kind.form) {
        Form::Utf8 => Utf8StringRef::new(text).map(Any::from),
        Form::Printable => PrintableStringRef::new(text).map(Any::from),
        Form::Ia5 => Ia5StringRef::new(text).map(Any::from),
    };
    let value = value.map_err(|_| refused("a value has a character that its type does not allow"))?;
    match kind {
        // ISO 3166: two letters, no more and no fewer.
        Some(kind) if kind.characters_max == 2 && characters != 2 => {
            Err(refused("a country is not two letters"))
        }
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, printed: &str) {
        let subject = Subject::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(subject.to_string(), printed, "{text}");
        assert_eq!(Subject::parse(printed).as_ref(), Ok(&subject), "{text}");
        // As others read it.
        let der = subject.as_name().to_der().unwrap();
        assert!(x509_parser::x509::X509Name::from_der(&der).is_ok(), "{text}");
    }

    use x509_parser::prelude::FromDer as _;

    #[test]
    fn names_are_read_and_printed_alike() {
        check("", "");
        check("CN=DefaultPolicy", "CN=DefaultPolicy");
        check(
            "CN=contoso.com, OU=IT, O=Contoso, L=Redmond, S=WA, C=US",
            "CN=contoso.com,OU=IT,O=Contoso,L=Redmond,ST=WA,C=US",
        );
        check("cn = a ; o = b ", "CN=a,O=b");
        check(r#"O="Contoso, Ltd.", CN="say ""hi""""#, r#"O=Contoso\, Ltd.,CN=say \"hi\""#);
        check(r"CN=a\,b\+c\\d\=e", r"CN=a\,b\+c\\d=e");
        check(r"CN=\ both ends\ ", r"CN=\ both ends\ ");
        check(r"CN=\#1", r"CN=\#1");
        check(r"CN=Lu\C4\8Di\C4\87", "CN=Lučić");
        check("CN=Ωμέγα 日本", "CN=Ωμέγα 日本");
        check("DC=www,DC=example,DC=com", "DC=www,DC=example,DC=com");
        check("OU=a,OU=b", "OU=a,OU=b");
        check("E=a@b.c,SERIALNUMBER=42,STREET=1 Way", "emailAddress=a@b.c,SERIALNUMBER=42,STREET=1 Way");
        check("2.5.4.3=x, OID.2.5.4.10=y", "CN=x,O=y");
        check("1.3.6.1.4.1.311.60.2.1.3=DE", "1.3.6.1.4.1.311.60.2.1.3=#0c024445");
        check("CN=#0c0161", "CN=a");
        check("CN=a=b", "CN=a=b");
        // Several values in one part: sorted, as DER wants it.
        check("OU=b+CN=a,O=c", "CN=a+OU=b,O=c");
    }

    #[test]
    fn the_last_part_of_the_text_is_encoded_first() {
        let der = Subject::parse("CN=a,C=US").unwrap().as_name().to_der().unwrap();
        let at = |needle: &[u8]| der.windows(needle.len()).position(|window| window == needle).unwrap();
        assert!(at(b"US") < at(b"a"));
        // C is a PrintableString, CN a UTF8String.
        assert!(at(&[0x13, 2, b'U', b'S']) < at(&[0x0c, 1, b'a']));
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_reason() {
        let why = |text: &str| match Subject::parse(text) {
            Err(CertificateError::Subject { why }) => why,
            other => panic!("{text}: {other:?}"),
        };
        for (text, expected) in [
            ("contoso.com", "an attribute is not written as type=value"),
            ("CN", "an attribute is not written as type=value"),
            ("=a", "an attribute's type is unknown"),
            ("XX=a", "an attribute's type is unknown"),
            ("1.2.=a", "an attribute's type is unknown"),
            ("CN=", "a value is empty"),
            ("CN=\"\"", "a value is empty"),
            ("CN=a,", "it ends with a separator"),
            ("CN=a+ ", "an attribute is not written as type=value"),
            ("CN=a,,O=b", "an attribute is not written as type=value"),
            ("CN=\"a", "a quotation mark is missing"),
            ("CN=a\"b", "a quotation mark is not escaped"),
            ("CN=\"a\" b", "something follows a value"),
            (r"CN=a\", "a backslash escapes nothing"),
            (r"CN=a\q", "a backslash escapes nothing"),
            (r"CN=a\4", "a backslash escapes nothing"),
            (r"CN=\C4", "a value is not UTF-8"),
            (r"CN=a\00b", "a value has a control character"),
            ("CN=a\nb", "a value has a control character"),
            ("CN=#zz", "something follows a value"),
            ("CN=#0c0", "a value after # is not the DER of a string"),
            ("CN=#0500", "a value after # is not the DER of a string"),
            ("C=USA", "a value is too long"),
            ("C=U", "a country is not two letters"),
            ("C=é!", "a value has a character that its type does not allow"),
            ("E=é@b.c", "a value has a character that its type does not allow"),
            ("CN=a+CN=a", "one part has the same attribute twice"),
        ] {
            assert_eq!(why(text), expected, "{text}");
        }
        assert_eq!(why(&format!("CN={}", "a".repeat(65))), "a value is too long");
        assert!(Subject::parse(&format!("CN={}", "é".repeat(64))).is_ok());
        assert_eq!(why(&"OU=a,".repeat(33)), "it has too many attributes");
        assert_eq!(why(&format!("CN={}", " ".repeat(SUBJECT_BYTES_MAX))), "it is too long");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}|[CNOU=,+\"\\\\# a1;.]{0,40}") {
            if let Ok(subject) = Subject::parse(&text) {
                prop_assert_eq!(Subject::parse(&subject.to_string()), Ok(subject));
            }
        }

        #[test]
        fn any_value_is_printed_so_that_it_reads_back(value in "[^\\p{Cc}]{1,64}") {
            let quoted = format!("CN=\"{}\"", value.replace('\\', "\\\\").replace('"', "\"\""));
            let subject = Subject::parse(&quoted).unwrap();
            prop_assert_eq!(subject.common_names().collect::<Vec<_>>(), [value]);
            prop_assert_eq!(Subject::parse(&subject.to_string()), Ok(subject));
        }
    }
}
