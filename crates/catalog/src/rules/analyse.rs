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

/// Whether the steps that an expression takes may grow faster than the data: whether something is done for every element
/// of a list that takes as long as something outside of the element is large.
pub(super) fn is_costly(root: &Ir) -> bool {
    costly_within(root, None)
}

/// The same of a part; `innermost` is the variable of the loop around it.
fn costly_within(ir: &Ir, innermost: Option<usize>) -> bool {
    let within = |ir: &Ir| costly_within(ir, innermost);
    let outside = |ir: &Ir| innermost.is_some_and(|variable| mentions_outside(ir, variable));
    match ir {
        Ir::Loop(looped) => {
            let inner = Some(innermost.map_or(0, |variable| variable + 1));
            let parts = [&looped.test, &looped.make];
            outside(&looped.range)
                || within(&looped.range)
                || parts.into_iter().flatten().any(|part| costly_within(part, inner))
        }
        // Equal values are told apart as fast as the smaller one is walked through.
        Ir::Binary(Operator::Equal | Operator::NotEqual, a, b) => (outside(a) && outside(b)) || within(a) || within(b),
        Ir::Binary(Operator::Add, ..) | Ir::Call(..) | Ir::In(..) | Ir::Matches(..) => {
            outside(ir) || parts(ir).into_iter().any(within)
        }
        _ => parts(ir).into_iter().any(within),
    }
}

/// Whether a part looks at anything but constants, sets and what the loops from this one inwards are at.
fn mentions_outside(ir: &Ir, variable: usize) -> bool {
    match ir {
        Ir::Data => true,
        Ir::Variable(at) => *at < variable,
        _ => parts(ir).into_iter().any(|part| mentions_outside(part, variable)),
    }
}

/// The parts that a node is made of.
fn parts(ir: &Ir) -> Vec<&Ir> {
    match ir {
        Ir::Const(_) | Ir::Data | Ir::Event(_) | Ir::HasEvent(_) | Ir::Variable(_) | Ir::SizeOfSet(_) => Vec::new(),
        Ir::Member(a, _) | Ir::HasMember(a, _) | Ir::InSet(a, _) | Ir::Not(a) | Ir::Negate(a) | Ir::Matches(a, _) => {
            vec![a]
        }
        Ir::Index(a, b) | Ir::In(a, b) | Ir::And(a, b) | Ir::Or(a, b) | Ir::Binary(_, a, b) => vec![a, b],
        Ir::If(a, b, c) => vec![a, b, c],
        Ir::Call(_, args) | Ir::List(args) => args.iter().collect(),
        Ir::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
        Ir::Loop(looped) => {
            [Some(&looped.range), looped.test.as_ref(), looped.make.as_ref()].into_iter().flatten().collect()
        }
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
