//! What every text that an expression matches must hold, so that most texts need not be tried against it.

use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// A condition that is cheap to test, and necessary for a match of the whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Required {
    /// The text begins with one of these.
    Prefix(Box<[Box<[u8]>]>),
    /// The text ends with one of these.
    Suffix(Box<[Box<[u8]>]>),
    /// The text holds this somewhere.
    Inner(Box<[u8]>),
    /// Nothing is known.
    Nothing,
}

/// Literals of one expression; one that would need more is looked for by something shorter.
const LITERALS_MAX: usize = 16;

impl Required {
    /// The condition that rules out the most: the one whose shortest literal is longest.
    pub(super) fn of(expression: &Hir) -> Self {
        let prefixes = extract(expression, ExtractKind::Prefix);
        let suffixes = extract(expression, ExtractKind::Suffix);
        let inner = inner(expression).unwrap_or_default();
        let (prefix, suffix) = (shortest(&prefixes), shortest(&suffixes));
        if prefix.max(suffix).max(inner.len()) == 0 {
            Self::Nothing
        } else if prefix >= suffix && prefix >= inner.len() {
            Self::Prefix(prefixes)
        } else if suffix >= inner.len() {
            Self::Suffix(suffixes)
        } else {
            Self::Inner(inner.into())
        }
    }
}

fn shortest(literals: &[Box<[u8]>]) -> usize {
    literals.iter().map(|literal| literal.len()).min().unwrap_or_default()
}

/// Literals with one of which every match begins or ends; none where there is no such set that is small.
fn extract(expression: &Hir, kind: ExtractKind) -> Box<[Box<[u8]>]> {
    let suffix = matches!(kind, ExtractKind::Suffix);
    let mut literals: Seq = Extractor::new().kind(kind).extract(expression);
    // A few bytes of many literals are fewer literals, and rule out nearly as much.
    for bytes in [16, 8, 4] {
        if literals.len().is_none_or(|count| count <= LITERALS_MAX) {
            break;
        }
        if suffix {
            literals.keep_last_bytes(bytes);
        } else {
            literals.keep_first_bytes(bytes);
        }
        literals.sort();
        literals.dedup();
    }
    match literals.literals() {
        Some(literals) if literals.len() <= LITERALS_MAX => {
            literals.iter().map(|literal| literal.as_bytes().into()).collect()
        }
        _ => Box::default(),
    }
}

/// The longest literal that every match holds.
fn inner(expression: &Hir) -> Option<Vec<u8>> {
    match expression.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        HirKind::Capture(capture) => inner(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => inner(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(inner).max_by_key(Vec::len),
        HirKind::Repetition(_) | HirKind::Alternation(_) | HirKind::Class(_) | HirKind::Look(_) | HirKind::Empty => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expect: &Required) {
        assert_eq!(&Required::of(&super::super::parse(source).unwrap()), expect, "{source}");
    }

    fn literals(literals: &[&str]) -> Box<[Box<[u8]>]> {
        literals.iter().map(|literal| literal.as_bytes().into()).collect()
    }

    #[test]
    fn an_expression_is_looked_for_by_what_it_cannot_do_without() {
        check(r"sales\.(lead|deal)\..*", &Required::Prefix(literals(&["sales.lead.", "sales.deal."])));
        check(r"^sales\..*", &Required::Prefix(literals(&["sales."])));
        check(r".*\.created", &Required::Suffix(literals(&[".created"])));
        check(r"[a-z]+\.(created|deleted)$", &Required::Suffix(literals(&[".created", ".deleted"])));
        check(r"[a-z]+\.lead\.[a-z]+", &Required::Inner(b".lead.".as_slice().into()));
        check(r"s.*\.lead\..*d", &Required::Inner(b".lead.".as_slice().into()));
        check(r"(?:[a-z]+\.invoice){1,2}.*", &Required::Inner(b".invoice".as_slice().into()));
        check(r"[a-z.]*", &Required::Nothing);
        check(r"(?:sales)?.*", &Required::Nothing);
        check("", &Required::Nothing);
    }
}
