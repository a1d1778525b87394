//! What can be said about an expression without evaluating it.

use super::ir::{Function, Ir, Loop, LoopKind, Operator};

/// Places in `data` that an expression speaks of. A place is the way to it; `*` is every element.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// What it uses.
    pub used: Vec<Vec<String>>,
    /// What it asks for with `has()`.
    pub tested: Vec<Vec<String>>,
}

/// What an expression speaks of.
pub(super) fn mentions(root: &Ir) -> Mentions {
    let Mentions { mut used, mut tested } = walk(root).found;
    for paths in [&mut used, &mut tested] {
        paths.sort();
        paths.dedup();
    }
    Mentions { used, tested }
}

/// Whether an expression looks into the envelope.
pub(super) fn sees_envelope(root: &Ir) -> bool {
    walk(root).envelope
}

fn walk(root: &Ir) -> Walk {
    let mut walk = Walk { found: Mentions::default(), envelope: false, variables: Vec::new() };
    walk.uses(root);
    walk
}

struct Walk {
    found: Mentions,
    envelope: bool,
    /// The places that the loops around are at; none where that is not a place in the data.
    variables: Vec<Option<Vec<String>>>,
}

impl Walk {
    /// Looks at a node. The place that it is, if it is one: whoever asks says whether it is used.
    fn look(&mut self, ir: &Ir) -> Option<Vec<String>> {
        match ir {
            Ir::Data => Some(Vec::new()),
            Ir::Variable(at) => self.variables.get(*at).cloned().flatten(),
            Ir::Member(of, name) => self.look(of).map(|path| joined(path, name)),
            Ir::HasMember(of, name) => {
                if let Some(path) = self.look(of) {
                    self.found.tested.push(joined(path, name));
                }
                None
            }
            Ir::Index(of, by) => {
                self.uses(by);
                self.look(of).map(|path| joined(path, crate::pointer::WILDCARD))
            }
            Ir::Event(_) | Ir::HasEvent(_) => {
                self.envelope = true;
                None
            }
            Ir::Const(_) | Ir::SizeOfSet(_) => None,
            Ir::InSet(a, _) | Ir::Not(a) | Ir::Negate(a) | Ir::Matches(a, _) => {
                self.uses(a);
                None
            }
            Ir::In(a, b) | Ir::And(a, b) | Ir::Or(a, b) | Ir::Binary(_, a, b) => {
                self.uses(a);
                self.uses(b);
                None
            }
            Ir::If(a, b, c) => {
                [a, b, c].into_iter().for_each(|ir| self.uses(ir));
                None
            }
            Ir::Call(_, args) | Ir::List(args) => {
                args.iter().for_each(|ir| self.uses(ir));
                None
            }
            Ir::Map(entries) => {
                for (key, value) in entries {
                    self.uses(key);
                    self.uses(value);
                }
                None
            }
            Ir::Loop(looped) => self.look_at_loop(looped),
        }
    }

    fn uses(&mut self, ir: &Ir) {
        if let Some(path) = self.look(ir) {
            self.found.used.push(path);
        }
    }

    fn look_at_loop(&mut self, looped: &Loop) -> Option<Vec<String>> {
        let range = self.look(&looped.range);
        if let Some(path) = &range {
            self.found.used.push(path.clone());
        }
        self.variables.push(range.clone().map(|path| joined(path, crate::pointer::WILDCARD)));
        for ir in [&looped.test, &looped.make].into_iter().flatten() {
            self.uses(ir);
        }
        self.variables.pop();
        // What `filter` leaves are elements of what it goes over.
        if looped.kind == LoopKind::Filter { range } else { None }
    }
}

fn joined(mut path: Vec<String>, name: &str) -> Vec<String> {
    path.push(name.to_owned());
    path
}

/// Whether an expression can be a boolean; false only where it certainly is something else.
pub(super) fn may_be_boolean(root: &Ir) -> bool {
    match root {
        Ir::Const(constant) => matches!(constant, super::ir::Constant::Bool(_)),
        Ir::Data | Ir::Event(_) | Ir::SizeOfSet(_) | Ir::Negate(_) | Ir::List(_) | Ir::Map(_) => false,
        Ir::Binary(operator, ..) => matches!(
            operator,
            Operator::Equal
                | Operator::NotEqual
                | Operator::Less
                | Operator::LessOrEqual
                | Operator::Greater
                | Operator::GreaterOrEqual
        ),
        Ir::Call(function, _) => matches!(
            function,
            Function::Contains | Function::StartsWith | Function::EndsWith | Function::Min | Function::Max
        ),
        Ir::Loop(looped) => !matches!(looped.kind, LoopKind::Filter | LoopKind::Map),
        Ir::If(_, yes, no) => may_be_boolean(yes) || may_be_boolean(no),
        Ir::HasEvent(_)
        | Ir::Variable(_)
        | Ir::Member(..)
        | Ir::HasMember(..)
        | Ir::Index(..)
        | Ir::InSet(..)
        | Ir::In(..)
        | Ir::Not(_)
        | Ir::And(..)
        | Ir::Or(..)
        | Ir::Matches(..) => true,
    }
}
