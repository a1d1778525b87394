//! State machines: which value of a field may follow which, from one event of an entity to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_event::log::Newest;
use tidings_event::{Event, EventType, Violation, violation_code as code};

use crate::definition::{Definition, Pointer, Transitions};
use crate::document::Document;
use crate::entry::Mode;
use crate::schema::violation;

/// States that a message lists.
const LISTED_MAX: usize = 12;

/// All machines of one definition. Judged while the entity's stream stands still, so that nothing comes in between.
#[derive(Debug)]
pub struct StateRule {
    mode: Mode,
    machines: Arc<Machines>,
}

#[derive(Debug)]
pub(crate) struct Machines {
    types: Arc<[EventType]>,
    machines: Vec<Machine>,
}

#[derive(Debug)]
struct Machine {
    field: Pointer,
    /// The types whose events tell where this machine stands; a part of all that are asked for.
    of: Vec<EventType>,
    initial: Vec<String>,
    moves: BTreeMap<String, Vec<String>>,
}

impl Machines {
    /// The machines of a definition, if it has any.
    pub(crate) fn of(definition: &Definition) -> Option<Arc<Self>> {
        if definition.transitions.is_empty() {
            return None;
        }
        let machines: Vec<Machine> =
            definition.transitions.iter().map(|transitions| Machine::of(transitions, &definition.name)).collect();
        let mut types: Vec<EventType> = machines.iter().flat_map(|machine| machine.of.iter().cloned()).collect();
        types.sort();
        types.dedup();
        Some(Arc::new(Self { types: types.into(), machines }))
    }
}

impl Machine {
    fn of(transitions: &Transitions, own: &EventType) -> Self {
        let of = if transitions.of.is_empty() { vec![own.clone()] } else { transitions.of.clone() };
        Self {
            field: transitions.field.clone(),
            of,
            initial: transitions.initial.clone(),
            moves: transitions.moves.clone(),
        }
    }

    fn judge(&self, newest: &Newest, state: &str) -> Option<Violation> {
        let (code, message) = match newest {
            Newest::None if self.initial.is_empty() || self.initial.iter().any(|initial| initial == state) => {
                return None;
            }
            Newest::None => (code::INITIAL_STATE_FORBIDDEN, format!("must begin as {}", listed(&self.initial))),
            Newest::Event(before) => {
                if !self.of.contains(&before.event_type) {
                    return None;
                }
                let document = Document::parse(before.data.as_bytes()).ok()?;
                let Some(Document::Text(from)) = document.get(self.field.segments()) else { return None };
                let allowed = self.moves.get(&**from).map(Vec::as_slice).unwrap_or_default();
                if allowed.iter().any(|to| to == state) {
                    return None;
                }
                let message = match allowed {
                    [] => format!("nothing may follow {}", quoted(from)),
                    _ => format!("after {} only {} may follow, not {}", quoted(from), listed(allowed), quoted(state)),
                };
                (code::TRANSITION_FORBIDDEN, message)
            }
            Newest::Unknown => return None,
        };
        Some(violation(format!("/data{}", self.field), code, message))
    }
}

impl StateRule {
    pub(crate) fn new(mode: Mode, machines: Arc<Machines>) -> Self {
        Self { mode, machines }
    }

    /// What becomes of events that make a move which is not allowed.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The types among which the entity's newest event is looked for: 1 to 20, each once, in order.
    #[must_use]
    pub fn types(&self) -> &Arc<[EventType]> {
        &self.machines.types
    }

    /// Judges an event by the newest one of its entity among [`StateRule::types`].
    ///
    /// A machine whose field the event does not have, or not as a string, has nothing to say; nor has one that does not
    /// know where the entity stands: its newest event lies too far back, is of a type that only another machine looks
    /// at, or does not have the field.
    #[must_use]
    pub fn judge(&self, newest: &Newest, event: &Event) -> Vec<Violation> {
        let Ok(document) = Document::parse(event.data.as_bytes()) else { return Vec::new() };
        let judge = |machine: &Machine| match document.get(machine.field.segments()) {
            Some(Document::Text(state)) => machine.judge(newest, state),
            _ => None,
        };
        self.machines.machines.iter().filter_map(judge).collect()
    }
}

fn listed(states: &[String]) -> String {
    let mut text = states.iter().take(LISTED_MAX).map(|state| quoted(state)).collect::<Vec<_>>().join(", ");
    if states.len() > LISTED_MAX {
        text.push_str(&format!(" and {} more", states.len() - LISTED_MAX));
    }
    text
}

fn quoted(state: &str) -> String {
    let short: String = state.chars().take(40).collect();
    let more = if short.len() < state.len() { "…" } else { "" };
    format!("\"{short}{more}\"")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{definition, event};

    fn rule() -> StateRule {
        let mut definition = definition("sales.lead.status_changed", "1", json!({"type": "object"}));
        definition.transitions = vec![
            Transitions {
                field: Pointer::of(["to"]),
                of: vec![
                    EventType::parse("sales.lead.status_changed").expect("a type"),
                    EventType::parse("sales.lead.created").expect("a type"),
                ],
                initial: vec!["new".to_owned()],
                moves: [("new", vec!["qualified", "lost"]), ("qualified", vec!["won", "lost", "qualified"])]
                    .into_iter()
                    .map(|(from, to)| (from.to_owned(), to.into_iter().map(str::to_owned).collect()))
                    .collect(),
            },
            Transitions {
                field: Pointer::of(["a", "phase"]),
                of: Vec::new(),
                initial: Vec::new(),
                moves: [("1".to_owned(), vec!["2".to_owned()])].into(),
            },
        ];
        StateRule::new(Mode::Strict, Machines::of(&definition).expect("it has machines"))
    }

    fn newest(event_type: &str, data: Value) -> Newest {
        Newest::Event(Box::new(event(event_type, "1", data)))
    }

    #[test]
    fn only_the_moves_that_are_declared_are_allowed() {
        let changed = "sales.lead.status_changed";
        let rows = [
            (Newest::None, json!({"to": "new"}), None),
            (Newest::None, json!({"to": "won"}), Some(("initial_state_forbidden", "must begin as \"new\""))),
            (newest(changed, json!({"to": "new"})), json!({"to": "qualified"}), None),
            (newest("sales.lead.created", json!({"to": "new"})), json!({"to": "lost"}), None),
            (
                newest(changed, json!({"to": "new"})),
                json!({"to": "won"}),
                Some(("transition_forbidden", "after \"new\" only \"qualified\", \"lost\" may follow, not \"won\"")),
            ),
            (newest(changed, json!({"to": "qualified"})), json!({"to": "qualified"}), None),
            (
                newest(changed, json!({"to": "new"})),
                json!({"to": "new"}),
                Some(("transition_forbidden", "after \"new\" only \"qualified\", \"lost\" may follow, not \"new\"")),
            ),
            (
                newest(changed, json!({"to": "won"})),
                json!({"to": "new"}),
                Some(("transition_forbidden", "nothing may follow \"won\"")),
            ),
            (Newest::Unknown, json!({"to": "won"}), None),
            (newest(changed, json!({})), json!({"to": "won"}), None),
            (newest(changed, json!({"to": 7})), json!({"to": "won"}), None),
            (newest(changed, json!({"to": "new"})), json!({}), None),
            (newest(changed, json!({"to": "new"})), json!({"to": 7}), None),
        ];
        let rule = rule();
        for (before, data, expected) in rows {
            let found = rule.judge(&before, &event(changed, "1", data.clone()));
            let found = found.first().map(|broken| {
                assert_eq!(broken.path, "/data/to");
                (broken.code, broken.message.as_str())
            });
            assert_eq!(found, expected, "{before:?} {data}");
        }
    }

    #[test]
    fn every_machine_is_judged_and_each_by_its_own_types() {
        let rule = rule();
        let changed = "sales.lead.status_changed";
        let forbidden = event(changed, "1", json!({"to": "won", "a": {"phase": "3"}}));
        let found = rule.judge(&newest(changed, json!({"to": "new", "a": {"phase": "1"}})), &forbidden);
        assert_eq!(found.iter().map(|broken| broken.path.as_str()).collect::<Vec<_>>(), ["/data/to", "/data/a/phase"]);
        let found = rule.judge(&newest("sales.lead.created", json!({"to": "new", "a": {"phase": "1"}})), &forbidden);
        assert_eq!(found.iter().map(|broken| broken.path.as_str()).collect::<Vec<_>>(), ["/data/to"]);
    }

    #[test]
    fn the_types_of_all_machines_are_asked_for_once() {
        let rule = rule();
        let types: Vec<&str> = rule.types().iter().map(EventType::as_str).collect();
        assert_eq!(types, ["sales.lead.created", "sales.lead.status_changed"]);
    }
}
