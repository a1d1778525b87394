//! The pages that speak of all types: the index, the owners, personal data, reference sets, policies.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;

use super::model::{Known, Model};
use super::page;
use super::view::view;
use crate::definition::{Class, Definition};
use crate::entry::Policy;

/// Values of a set that its page shows.
const VALUES_MAX: usize = 500;

/// Types by domain and entity.
pub(super) fn index(model: &Model<'_>) -> Value {
    let mut domains: BTreeMap<&str, BTreeMap<&str, Vec<Value>>> = BTreeMap::new();
    for known in &model.types {
        let (domain, rest) = known.name.as_str().split_once('.').unwrap_or((known.name.as_str(), ""));
        let entity = rest.rsplit_once('.').map_or("", |(entity, _)| entity);
        domains.entry(domain).or_default().entry(entity).or_default().push(line(model, known));
    }
    let domains = domains.into_iter().map(|(domain, entities)| {
        let count: usize = entities.values().map(Vec::len).sum();
        let entities = entities.into_iter().map(|(entity, types)| view! { entity, types });
        view! { domain, count, entities => entities.collect::<Vec<_>>() }
    });
    let owners: BTreeSet<&str> = model.types.iter().map(owner_of).collect();
    let stages: BTreeSet<&str> = model.types.iter().map(|known| known.current().lifecycle.stage.as_str()).collect();
    view! {
        domains => domains.collect::<Vec<_>>(),
        owners => owners.into_iter().collect::<Vec<_>>(),
        stages => stages.into_iter().collect::<Vec<_>>(),
        counts => counts(model),
    }
}

fn owner_of<'m>(known: &'m Known<'_>) -> &'m str {
    &known.current().owner
}

fn counts(model: &Model<'_>) -> Value {
    let owners: BTreeSet<&str> = model.types.iter().map(owner_of).collect();
    let personal = model.types.iter().filter(|known| known.class().is_some_and(|class| class >= Class::Pii)).count();
    let lineage = model.input.lineage.as_ref();
    let endpoints = lineage.map(|all| {
        let ids = all.iter().flat_map(|lineage| &lineage.subscribers);
        ids.map(|subscriber| (&subscriber.tenant, &subscriber.endpoint)).collect::<BTreeSet<_>>().len()
    });
    view! { types => model.types.len(), versions => model.input.definitions.len(), owners => owners.len(), personal, endpoints }
}

/// A type in a list.
fn line(model: &Model<'_>, known: &Known<'_>) -> Value {
    let current = known.current();
    view! {
        type => page::name(known.name),
        description => current.description,
        owner => page::owner(model, &current.owner),
        stage => current.lifecycle.stage.as_str(),
        sunset => current.lifecycle.sunset.map(|day| day.to_string()),
        version => current.version.as_str(),
        versions => known.versions.len(),
        class => known.class().filter(|class| *class >= Class::Pii).map(|class| class.as_str()),
        strangers => page::has_strangers(model, known),
    }
}

/// Types by owner.
pub(super) fn owners(model: &Model<'_>) -> Value {
    let mut by_owner: BTreeMap<&str, Vec<&Known<'_>>> = BTreeMap::new();
    for known in &model.types {
        let owners: BTreeSet<&str> = known.versions.iter().map(|version| version.definition.owner.as_str()).collect();
        for owner in owners {
            by_owner.entry(owner).or_default().push(known);
        }
    }
    let owners = by_owner.into_iter().map(|(name, types)| {
        let events: u64 = types.iter().map(|known| own_events(model, known, name)).sum();
        view! {
            owner => page::owner(model, name),
            events => model.input.lineage.is_some().then(|| page::grouped(events)),
            types => types.into_iter().map(|known| line(model, known)).collect::<Vec<_>>(),
        }
    });
    view! { owners => owners.collect::<Vec<_>>() }
}

fn own_events(model: &Model<'_>, known: &Known<'_>, owner: &str) -> u64 {
    let observed = model.lineage(known.name).map_or(&[][..], |lineage| &lineage.observed);
    observed.iter().filter(|publisher| publisher.is_of(owner)).map(|publisher| publisher.events).sum()
}

/// Every field that is classified as personal or secret.
pub(super) fn personal(model: &Model<'_>) -> Value {
    let mut types = Vec::new();
    let mut fields_by_class: BTreeMap<Class, usize> = BTreeMap::new();
    let mut unnamed = 0_usize;
    for known in &model.types {
        for version in known.versions.iter().rev() {
            let definition: &Definition = version.definition;
            let sensitive = definition.classification.iter().filter(|(_, is)| is.class >= Class::Pii);
            let fields: Vec<Value> = sensitive
                .map(|(at, is)| {
                    *fields_by_class.entry(is.class).or_default() += 1;
                    let described = version.rows.iter().find(|row| row.path == at.to_string());
                    let description = described.map_or("", |row| row.description.as_str());
                    view! { path => at.to_string(), class => is.class.as_str(), action => is.action.as_str(), description }
                })
                .collect();
            if fields.is_empty() {
                continue;
            }
            unnamed += usize::from(definition.subject.is_none());
            types.push(view! {
                type => page::name(known.name), version => definition.version.as_str(), anchor => version.anchor,
                owner => page::owner(model, &definition.owner), retention => page::retention(definition),
                subject => definition.subject.as_ref().map(ToString::to_string),
                stage => definition.lifecycle.stage.as_str(), fields,
            });
        }
    }
    let classes = fields_by_class.into_iter().map(|(class, count)| view! { class => class.as_str(), count });
    view! { types, classes => classes.collect::<Vec<_>>(), unnamed }
}

/// The reference sets and the types whose rules look into them.
pub(super) fn sets(model: &Model<'_>) -> Value {
    let mut sets: Vec<_> = model.input.sets.iter().collect();
    sets.sort_by(|a, b| a.name.cmp(&b.name));
    let views = sets.into_iter().map(|set| {
        let values = set.values.iter().take(VALUES_MAX);
        let values = values.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let users = model.types.iter().filter(|known| uses(known, &set.name)).map(|known| page::name(known.name));
        view! {
            name => set.name, anchor => model.sets.get(&set.name), description => set.description,
            values => values.collect::<Vec<_>>(), count => set.values.len(),
            more => set.values.len().saturating_sub(VALUES_MAX), users => users.collect::<Vec<_>>(),
        }
    });
    view! { sets => views.collect::<Vec<_>>() }
}

/// Whether a rule of any version names a set.
fn uses(known: &Known<'_>, set: &str) -> bool {
    let names = |check: &str| {
        check.match_indices("sets.").any(|(at, prefix)| {
            let rest = &check[at + prefix.len()..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            rest[..end] == *set
        })
    };
    known.versions.iter().flat_map(|version| &version.definition.rules).any(|rule| names(&rule.check))
}

/// The policies, the most specific first.
pub(super) fn policies(model: &Model<'_>) -> Value {
    let mut policies: Vec<&Policy> = model.input.policies.iter().collect();
    let weight =
        |policy: &Policy| (policy.tenant.is_none(), std::cmp::Reverse(policy.types.as_ref().map_or(0, String::len)));
    policies.sort_by(|a, b| weight(a).cmp(&weight(b)).then_with(|| a.name.cmp(&b.name)));
    let views = policies.into_iter().map(|policy| {
        view! { name => policy.name, tenant => policy.tenant, types => policy.types,
        known => policy.known.map(|mode| mode.as_str()), unknown => policy.unknown.map(|mode| mode.as_str()) }
    });
    view! { policies => views.collect::<Vec<_>>() }
}
