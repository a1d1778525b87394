//! Which mode holds for whom.

use std::cmp::Reverse;
use std::collections::HashMap;

use tidings_event::EventType;

use crate::entry::{Mode, Policy};

/// What becomes of events that break rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Modes {
    /// Of types and versions that are in the catalog.
    pub known: Mode,
    /// Of all others.
    pub unknown: Mode,
}

/// All policies, in an order in which the first that says something counts.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// By name.
    all: Vec<Policy>,
    /// Indexes into `all` of those that name a tenant, the most specific one first.
    of_tenants: HashMap<String, Vec<usize>>,
    /// Indexes of the others.
    of_all: Vec<usize>,
}

impl Policies {
    pub(super) fn new(mut all: Vec<Policy>) -> Self {
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let mut order: Vec<usize> = (0..all.len()).collect();
        // A longer pattern is the narrower one of two that accept the same type.
        order.sort_by_key(|index| {
            Reverse(all.get(*index).and_then(|policy| policy.types.as_ref()).map_or(0, String::len))
        });
        let (mut of_tenants, mut of_all) = (HashMap::<String, Vec<usize>>::new(), Vec::new());
        for index in order {
            match all.get(index).and_then(|policy| policy.tenant.clone()) {
                Some(tenant) => of_tenants.entry(tenant).or_default().push(index),
                None => of_all.push(index),
            }
        }
        Self { all, of_tenants, of_all }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Policy> {
        self.all.iter()
    }

    /// The modes for a tenant's events of a type.
    pub(super) fn modes(&self, tenant: &str, event_type: &EventType) -> Modes {
        let (mut known, mut unknown) = (None, None);
        if !self.all.is_empty() {
            let of_tenant = self.of_tenants.get(tenant).map(Vec::as_slice).unwrap_or_default();
            for policy in of_tenant.iter().chain(&self.of_all).filter_map(|index| self.all.get(*index)) {
                if (known.is_none() && policy.known.is_some() || unknown.is_none() && policy.unknown.is_some())
                    && accepts(policy.types.as_deref(), event_type.as_str())
                {
                    known = known.or(policy.known);
                    unknown = unknown.or(policy.unknown);
                }
            }
        }
        Modes { known: known.unwrap_or(Mode::Strict), unknown: unknown.unwrap_or(Mode::Off) }
    }
}

/// Whether a policy's types hold a type.
fn accepts(types: Option<&str>, event_type: &str) -> bool {
    match types {
        None | Some("*") => true,
        Some(types) => match types.strip_suffix('*') {
            Some(prefix) => event_type.starts_with(prefix),
            None => types == event_type,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_policy_that_says_something_counts() {
        let policy = |name: &str, tenant: Option<&str>, types: Option<&str>, known, unknown| Policy {
            name: name.to_owned(),
            tenant: tenant.map(str::to_owned),
            types: types.map(str::to_owned),
            known,
            unknown,
        };
        use Mode::{Observe, Off, Quarantine, Strict};
        let policies = Policies::new(vec![
            policy("a", None, None, None, Some(Observe)),
            policy("b", None, Some("sales.*"), Some(Quarantine), None),
            policy("c", None, Some("sales.lead.created"), Some(Observe), Some(Strict)),
            policy("d", Some("acme"), None, Some(Off), None),
            policy("e", Some("acme"), Some("sales.*"), None, Some(Quarantine)),
        ]);
        let rows = [
            ("other", "chat.message.sent", Strict, Observe),
            ("other", "sales.deal.won", Quarantine, Observe),
            ("other", "sales.lead.created", Observe, Strict),
            ("other", "salesforce.lead.created", Strict, Observe),
            ("acme", "chat.message.sent", Off, Observe),
            ("acme", "sales.lead.created", Off, Quarantine),
        ];
        for (tenant, event_type, known, unknown) in rows {
            let modes = policies.modes(tenant, &EventType::parse(event_type).expect("a type"));
            assert_eq!(modes, Modes { known, unknown }, "{tenant} {event_type}");
        }
    }

    #[test]
    fn without_a_policy_known_types_are_strict_and_unknown_ones_are_not_judged() {
        let modes = Policies::default().modes("acme", &EventType::parse("sales.lead.created").expect("a type"));
        assert_eq!(modes, Modes { known: Mode::Strict, unknown: Mode::Off });
    }
}
