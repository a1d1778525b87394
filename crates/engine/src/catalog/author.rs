//! Who changes the catalog, and what of it they may change.

use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::judge::Catalog;
use tidings_catalog::source;
use tidings_event::limits::VIOLATIONS_MAX;
use tidings_event::{EventType, TenantId, Text, Version, Violation, violation_code as code};
use tidings_store::Role;

use crate::endpoints::Who;
use crate::keys::covers_type;

/// Who changes the catalog. An admin changes all of it. The holder of another key changes only definitions that its
/// service owns, before and after, of types that its prefixes cover; it must not be limited to tenants, since the
/// catalog is everybody's. The first definition of a type takes a prefix that covers it, or an admin: otherwise whoever
/// came first would own what others emit already.
#[derive(Debug, Clone)]
pub struct Author {
    /// The key.
    pub who: Who,
    /// The service that the key belongs to, if it is one's.
    pub service: Option<Text>,
    /// Which types it may emit and define, by prefix like `sales.`; all when empty.
    pub type_prefixes: Vec<String>,
    /// The tenants that it is limited to; none when empty.
    pub tenants: Vec<TenantId>,
}

/// Without service and limits: right for an admin, who needs none.
impl From<Who> for Author {
    fn from(who: Who) -> Self {
        Self { who, service: None, type_prefixes: Vec::new(), tenants: Vec::new() }
    }
}

impl Author {
    /// Whether it may change all that it wants to; the broken rules otherwise, at most [`VIOLATIONS_MAX`]. A definition
    /// that cannot be read has no owner, and is refused by the checks.
    pub(super) fn check(&self, catalog: &Catalog, entries: &[Entry]) -> Result<(), Vec<Violation>> {
        if self.who.role == Role::Admin {
            return Ok(());
        }
        let unreadable: Vec<Key> = catalog.faults().into_iter().map(|(key, _)| key).collect();
        let forbidden = |entry: &Entry| {
            let (code, message) = self.forbids(catalog, &unreadable, entry)?;
            Some(Violation { path: String::new(), code, message })
        };
        let violations: Vec<Violation> = entries.iter().filter_map(forbidden).take(VIOLATIONS_MAX).collect();
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }

    /// Why it may not change an entry.
    fn forbids(&self, catalog: &Catalog, unreadable: &[Key], entry: &Entry) -> Option<(&'static str, String)> {
        let Key { kind, name, version } = &entry.key;
        let Some(service) = &self.service else {
            return Some((code::KEY_WITHOUT_SERVICE, format!("{kind} {name}: the key belongs to no service")));
        };
        if !self.tenants.is_empty() {
            let why = "the key is limited to tenants, and the catalog is everybody's";
            return Some((code::TENANT_FORBIDDEN, format!("{kind} {name}: {why}")));
        }
        if *kind != Kind::Definition {
            return Some((code::TYPE_NOT_OWNED, format!("{kind} {name}: only an admin changes sets and policies")));
        }
        if !covers_type(&self.type_prefixes, name) {
            return Some((code::TYPE_FORBIDDEN, format!("{name}: no prefix of the key covers this type")));
        }
        let of_type = |key: &Key| key.kind == Kind::Definition && key.name == *name;
        if self.type_prefixes.is_empty() && !catalog.entries().any(|known| of_type(&known.key)) {
            let why = "its first definition takes an admin's key, or a key with a prefix that covers it";
            return Some((code::TYPE_FORBIDDEN, format!("{name} is not in the catalog yet: {why}")));
        }
        if unreadable.iter().any(of_type) {
            let why = "a definition of this type cannot be read, so whose it is is not known: it takes an admin's key";
            return Some((code::TYPE_NOT_OWNED, format!("{name}: {why}")));
        }
        let owner = owners(catalog, entry).into_iter().find(|owner| owner != service.as_str())?;
        Some((code::TYPE_NOT_OWNED, format!("{name}@{version} belongs to {owner}, and the key to {service}")))
    }
}

/// Who owns a definition: by the current version of its type, by this version as it is, and as it shall be.
fn owners(catalog: &Catalog, entry: &Entry) -> Vec<String> {
    let mut owners = Vec::new();
    if let (Ok(name), Ok(version)) = (EventType::parse(&entry.key.name), Version::parse(&entry.key.version)) {
        owners.extend(catalog.owner(&name).map(str::to_owned));
        owners.extend(catalog.definition(&name, &version).map(|definition| definition.owner.clone()));
    }
    let after = entry.source.as_deref().and_then(|text| source::read(text).ok());
    owners.extend(after.map(|definition| definition.owner));
    owners
}
