//! How events are named on the bus: subjects and streams.

use std::borrow::Cow;
use std::fmt;

use tidings_event::limits::TEXT_CHARS_MAX;
use tidings_event::{EventType, PartitionId, TenantId};

/// Characters that a prefix may have.
pub const PREFIX_CHARS_MAX: usize = 48;
/// Bytes that a subject can have. Brokers take lines of 4,096 bytes, the subject of the answer included.
pub const SUBJECT_BYTES_MAX: usize =
    PREFIX_CHARS_MAX + ".events.".len() + PARTITION_DIGITS_MAX + 1 + TENANT_TOKEN_BYTES_MAX + 1 + TEXT_CHARS_MAX;

const PARTITION_DIGITS_MAX: usize = 10;
/// Every character of a tenant's name has at most four bytes, each written as `%XX` at worst.
const TENANT_TOKEN_BYTES_MAX: usize = TEXT_CHARS_MAX * 4 * 3;
const _: () = assert!(SUBJECT_BYTES_MAX + 256 < 4_096);

/// What all subjects of one Tidings begin with, like `tidings` or `prod.tidings`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(String);

/// Why a text is no prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to {PREFIX_CHARS_MAX} lower case letters, digits and '_', in parts that are separated by '.' and begin \
     with a letter"
)]
pub struct PrefixError;

impl Prefix {
    /// Checks a prefix. Hyphens and capitals are left out so that no two prefixes name the same stream.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let part = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_lowercase())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if text.len() <= PREFIX_CHARS_MAX && text.split('.').all(part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PrefixError)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stream of a partition: `TIDINGS-EVENTS-3`.
#[must_use]
pub fn stream_name(prefix: &Prefix, partition: PartitionId) -> String {
    format!("{}-EVENTS-{partition}", prefix.0.to_ascii_uppercase().replace('.', "-"))
}

/// All subjects of a partition's events: `tidings.events.3.>`.
pub(crate) fn partition_subjects(prefix: &Prefix, partition: PartitionId) -> String {
    format!("{prefix}.events.{partition}.>")
}

/// The subject of pokes between the nodes of a log.
pub(crate) fn poke_subject(prefix: &Prefix, log: tidings_event::LogId) -> String {
    format!("{prefix}.poke.{log}")
}

/// The subject of an event: `tidings.events.<partition>.<tenant>.<type>`. The tenant is one token, see
/// [`tenant_token`]; the segments of the type are tokens of their own.
#[must_use]
pub fn event_subject(prefix: &Prefix, partition: PartitionId, tenant: &TenantId, event_type: &EventType) -> String {
    format!("{prefix}.events.{partition}.{}.{event_type}", tenant_token(tenant))
}

/// A tenant's name as one token of a subject: letters, digits, `-`, `_` and `$` stand for themselves, every other byte of
/// its UTF-8 is `%` and two hexadecimal digits.
#[must_use]
pub fn tenant_token(tenant: &TenantId) -> Cow<'_, str> {
    let name = tenant.as_str();
    if name.bytes().all(is_plain) {
        return Cow::Borrowed(name);
    }
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut token = String::with_capacity(name.len() + 16);
    for byte in name.bytes() {
        if is_plain(byte) {
            token.push(char::from(byte));
        } else {
            token.push('%');
            token.push(char::from(HEX[usize::from(byte >> 4)]));
            token.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(token)
}

/// The tenant of a token; none where no tenant is written so.
#[must_use]
pub fn tenant_of_token(token: &str) -> Option<TenantId> {
    let mut name = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match first {
            b'%' => {
                let (digits, after) = after.split_first_chunk::<2>()?;
                let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
                name.push(u8::try_from(high? * 16 + low?).ok()?);
                after
            }
            plain if is_plain(*plain) => {
                name.push(*plain);
                after
            }
            _ => return None,
        };
    }
    let tenant = TenantId::parse(String::from_utf8(name).ok()?).ok()?;
    // One tenant has one token.
    (tenant_token(&tenant) == token).then_some(tenant)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'$')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_tenant_is_one_token_and_comes_back_from_it(name in "[^/\\p{Cc}]{1,255}") {
            let tenant = TenantId::parse(&name).unwrap();
            let token = tenant_token(&tenant);
            prop_assert!(!token.is_empty() && token.len() <= TENANT_TOKEN_BYTES_MAX);
            prop_assert!(token.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'.' | b'*' | b'>')), "{}", token);
            prop_assert_eq!(tenant_of_token(&token), Some(tenant));
        }

        #[test]
        fn a_token_stands_for_one_tenant_or_none(token in "[%a-fA-F0-9.*>$_-]{0,12}") {
            if let Some(tenant) = tenant_of_token(&token) {
                prop_assert_eq!(tenant_token(&tenant), token);
            }
        }
    }

    #[test]
    fn subjects_and_streams_are_named_as_documented() {
        let prefix = Prefix::parse("prod.tidings").unwrap();
        let (partition, event_type) = (PartitionId(3), EventType::parse("sales.lead.created").unwrap());
        for (tenant, expected) in [
            ("acme", "prod.tidings.events.3.acme.sales.lead.created"),
            ("a.b *>c", "prod.tidings.events.3.a%2Eb%20%2A%3Ec.sales.lead.created"),
            ("$system", "prod.tidings.events.3.$system.sales.lead.created"),
            ("ä%", "prod.tidings.events.3.%C3%A4%25.sales.lead.created"),
        ] {
            assert_eq!(event_subject(&prefix, partition, &TenantId::parse(tenant).unwrap(), &event_type), expected);
        }
        assert_eq!(stream_name(&prefix, partition), "PROD-TIDINGS-EVENTS-3");
    }

    #[test]
    fn the_longest_names_make_a_subject_within_the_bound() {
        let prefix = Prefix::parse(&"p".repeat(PREFIX_CHARS_MAX)).unwrap();
        let tenant = TenantId::parse("\u{10FFFD}".repeat(TEXT_CHARS_MAX)).unwrap();
        let event_type = EventType::parse(format!("a.{}", "b".repeat(TEXT_CHARS_MAX - 2))).unwrap();
        let subject = event_subject(&prefix, PartitionId(u32::MAX), &tenant, &event_type);
        assert_eq!(subject.len(), SUBJECT_BYTES_MAX);
    }

    #[test]
    fn a_prefix_is_plain_tokens() {
        for good in ["tidings", "a", "prod.tidings_2", "a.b.c"] {
            assert!(Prefix::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "A", "a-b", "a b", "a.*", ">", "$JS", "_inbox", "1a", "ä"] {
            assert_eq!(Prefix::parse(bad), Err(PrefixError), "{bad}");
        }
        assert_eq!(Prefix::parse(&"p".repeat(PREFIX_CHARS_MAX + 1)), Err(PrefixError));
    }
}
