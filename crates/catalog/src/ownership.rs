//! Who may emit what: a service emits the types that it owns, and speaks for nobody else.

use tidings_event::{Source, Violation, violation_code as code};

/// Who hands an event in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// The holder of an admin's key.
    Admin,
    /// The holder of a producer's key, or an outbox, that belongs to a service.
    Service(&'a str),
    /// The holder of a producer's key that does not say that.
    Nameless,
    /// An outbox of which nobody said whose it is.
    Outbox,
}

/// Whether an event of a source may be handed in by this holder. `owner` is the service that owns the event's type, if
/// the type is in the catalog.
///
/// The source of a type that is in the catalog is its owner, or a part of it: `sales`, `sales.import` and `sales/7` are
/// `sales`, while `salesforce` is not. A key that belongs to a service emits as that service alone, and of the types in
/// the catalog only those that the service owns. A producer's key that belongs to none emits no type of the catalog.
///
/// # Errors
/// The broken rule: `key_without_service`, `source_not_own` or `type_not_owned`.
pub fn may_emit(owner: Option<&str>, source: &Source, holder: Holder<'_>) -> Result<(), Violation> {
    let id = source.id.as_str();
    if let (Holder::Nameless, Some(owner)) = (holder, owner) {
        let message =
            format!("the type belongs to the service '{owner}': a key that belongs to no service cannot emit it");
        return Err(violation("/type", code::KEY_WITHOUT_SERVICE, message));
    }
    if let Holder::Service(service) = holder {
        if !is_part_of(id, service) {
            let message = format!("the key or outbox belongs to the service '{service}', and emits as nobody else");
            return Err(violation("/source/id", code::SOURCE_NOT_OWN, message));
        }
        if let Some(owner) = owner
            && owner != service
        {
            let message = format!("the type belongs to the service '{owner}', the key or outbox to '{service}'");
            return Err(violation("/type", code::TYPE_NOT_OWNED, message));
        }
    }
    match owner {
        Some(owner) if !is_part_of(id, owner) => {
            let message = format!("the type belongs to the service '{owner}': its events have that as their source");
            Err(violation("/source/id", code::TYPE_NOT_OWNED, message))
        }
        _ => Ok(()),
    }
}

/// Whether a source is a service, or a part of it.
fn is_part_of(source: &str, service: &str) -> bool {
    source.strip_prefix(service).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
}

fn violation(path: &str, code: &'static str, message: String) -> Violation {
    crate::schema::violation(path.to_owned(), code, message)
}

#[cfg(test)]
mod tests {
    use tidings_event::{SourceKind, Text};

    use super::*;

    #[test]
    fn a_service_emits_what_it_owns_and_as_nobody_else() {
        use Holder::{Admin, Nameless, Outbox, Service};
        let rows = [
            (Some("sales"), "sales", Service("sales"), Ok(())),
            (Some("sales"), "sales.import", Service("sales"), Ok(())),
            (Some("sales"), "sales/7", Service("sales"), Ok(())),
            (Some("sales"), "salesforce", Service("sales"), Err(("/source/id", "source_not_own"))),
            (Some("sales"), "billing", Service("sales"), Err(("/source/id", "source_not_own"))),
            (Some("billing"), "sales", Service("sales"), Err(("/type", "type_not_owned"))),
            (Some("billing"), "billing", Service("sales"), Err(("/source/id", "source_not_own"))),
            (None, "sales", Service("sales"), Ok(())),
            (None, "billing", Service("sales"), Err(("/source/id", "source_not_own"))),
            (Some("sales"), "sales", Nameless, Err(("/type", "key_without_service"))),
            (None, "anybody", Nameless, Ok(())),
            (Some("sales"), "sales", Admin, Ok(())),
            (Some("sales"), "billing", Admin, Err(("/source/id", "type_not_owned"))),
            (None, "anybody", Admin, Ok(())),
            (Some("sales"), "sales.crm", Outbox, Ok(())),
            (Some("sales"), "sal", Outbox, Err(("/source/id", "type_not_owned"))),
            (None, "anybody", Outbox, Ok(())),
        ];
        for (owner, id, holder, expected) in rows {
            let source = Source { kind: SourceKind::Service, id: Text::parse(id).expect("a text") };
            let found = may_emit(owner, &source, holder);
            let found = found.as_ref().copied().map_err(|broken| (broken.path.as_str(), broken.code));
            assert_eq!(found, expected, "{owner:?} {id} {holder:?}");
        }
    }
}
