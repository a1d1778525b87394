//! Which of a tenant's filters hold for an event.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Hashed;
use crate::json::Node;
use crate::pattern::{Document, Filter, Path, Steps};

/// Names a distinct filter of one tenant: a path, an operator and a value.
pub(super) type FilterNo = u32;

/// From how many values on, those that one path may equal are looked up by hash. Fewer are compared faster one by
/// one, and a table takes a few hundred bytes.
const HASHED_FROM: usize = 5;

/// Gives each distinct filter its number.
#[derive(Default)]
pub(super) struct Numbering {
    known: BTreeMap<Vec<u8>, FilterNo>,
    filters: Vec<Arc<Filter>>,
}

impl Numbering {
    pub(super) fn number(&mut self, filter: &Arc<Filter>) -> FilterNo {
        let mut meaning = Vec::new();
        filter.write_canonical(&mut meaning);
        let next = number(self.filters.len());
        *self.known.entry(meaning).or_insert_with(|| {
            self.filters.push(Arc::clone(filter));
            next
        })
    }

    pub(super) fn finish(self) -> Filters {
        let mut paths: BTreeMap<&str, Vec<(FilterNo, &Filter)>> = BTreeMap::new();
        for (filter, no) in self.filters.iter().zip(0..) {
            paths.entry(filter.path().text()).or_default().push((no, filter));
        }
        let mut places: Vec<(u32, bool)> = vec![(0, false); self.filters.len()];
        let mut arranged = Vec::with_capacity(paths.len());
        for filters in paths.into_values() {
            let Some(path) = filters.first().map(|(_, filter)| Arc::clone(filter.path())) else { continue };
            let equalities = Equalities::of(&filters);
            for (no, filter) in filters {
                let hashed = equalities.is_some() && scalars(filter).is_some();
                if let Some(place) = places.get_mut(no as usize) {
                    *place = (number(arranged.len()), hashed);
                }
            }
            arranged.push(OfPath { path, equalities });
        }
        let filters = self.filters.iter().zip(places);
        Filters {
            filters: filters
                .map(|(filter, (path, hashed))| Known { filter: Arc::clone(filter), path, hashed })
                .collect(),
            paths: arranged.into(),
        }
    }
}

/// The filters of one tenant, by path.
#[derive(Debug)]
pub(super) struct Filters {
    filters: Box<[Known]>,
    paths: Box<[OfPath]>,
}

#[derive(Debug)]
struct Known {
    filter: Arc<Filter>,
    path: u32,
    /// Whether it is among the equalities of its path.
    hashed: bool,
}

#[derive(Debug)]
struct OfPath {
    path: Arc<Path>,
    equalities: Option<Box<Equalities>>,
}

/// The values that the nodes of one path are looked up among. Texts, numbers, truth and null only: a list or an object
/// is told from another by its size more cheaply than by its hash.
#[derive(Debug)]
struct Equalities {
    /// By canonical form: the part of `holding` that it makes hold.
    values: HashMap<Box<[u8]>, (u32, u32), Hashed>,
    holding: Box<[FilterNo]>,
    /// The most steps that one of the filters takes for a node.
    steps: usize,
    /// Bytes of the longest canonical form.
    longest: usize,
}

/// The values that a filter compares with, if it asks for equality with one of them and all are scalars.
fn scalars(filter: &Filter) -> Option<&[Node<'static>]> {
    filter.equal_to().filter(|values| values.iter().all(is_scalar))
}

fn is_scalar(node: &Node<'_>) -> bool {
    matches!(node, Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_))
}

impl Equalities {
    fn of(filters: &[(FilterNo, &Filter)]) -> Option<Box<Self>> {
        let equalities: Vec<_> = filters.iter().filter_map(|(no, filter)| Some((*no, scalars(filter)?))).collect();
        if equalities.iter().map(|(_, values)| values.len()).sum::<usize>() < HASHED_FROM {
            return None;
        }
        let mut by_value: BTreeMap<Vec<u8>, Vec<FilterNo>> = BTreeMap::new();
        let mut steps = 0;
        for (no, values) in equalities {
            // What `Filter::holds_for` takes: a step for the node, and one for each element of a list.
            steps = steps.max(1 + values.len());
            for value in values {
                let mut canonical = Vec::new();
                value.write_canonical(&mut canonical);
                by_value.entry(canonical).or_default().push(no);
            }
        }
        let longest = by_value.keys().map(Vec::len).max().unwrap_or_default();
        let mut values = HashMap::with_capacity_and_hasher(by_value.len(), Hashed::new());
        let mut holding: Vec<FilterNo> = Vec::new();
        for (canonical, mut filters) in by_value {
            filters.dedup();
            let start = number(holding.len());
            holding.append(&mut filters);
            values.insert(canonical.into(), (start, number(holding.len())));
        }
        Some(Box::new(Self { values, holding: holding.into(), steps, longest }))
    }

    /// The filters that hold for a node.
    fn holding(&self, node: &Node<'_>, canonical: &mut Vec<u8>) -> &[FilterNo] {
        // A canonical text holds the text, so a longer one is none of these; a number may be written at length.
        if !is_scalar(node) || matches!(node, Node::Text(text) if text.len() > self.longest) {
            return &[];
        }
        canonical.clear();
        node.write_canonical(canonical);
        match self.values.get(canonical.as_slice()) {
            Some((start, end)) => self.holding.get(*start as usize..*end as usize).unwrap_or_default(),
            None => &[],
        }
    }
}

impl Filters {
    pub(super) fn evaluate<'n, 'a>(&'n self, document: &'n Document<'a>) -> Evaluation<'n, 'a> {
        Evaluation {
            filters: self,
            document,
            known: vec![None; self.filters.len()],
            found: self.paths.iter().map(|_| None).collect(),
            canonical: Vec::new(),
        }
    }
}

/// What is known about one event.
pub(super) struct Evaluation<'n, 'a> {
    filters: &'n Filters,
    document: &'n Document<'a>,
    /// Whether each filter holds, where that was asked before.
    known: Vec<Option<bool>>,
    /// What each path selects, where that was asked before.
    found: Vec<Option<Found<'n>>>,
    canonical: Vec<u8>,
}

enum Found<'n> {
    /// The path ran out of steps, so nothing holds.
    Nothing,
    Nodes {
        nodes: Vec<&'n Node<'n>>,
        /// Steps that each filter may still take.
        left: u32,
        /// Whether all that hold among the equalities of the path are known.
        looked_up: bool,
    },
}

impl Evaluation<'_, '_> {
    pub(super) fn holds(&mut self, no: FilterNo) -> bool {
        if let Some(Some(holds)) = self.known.get(no as usize) {
            return *holds;
        }
        let holds = self.judge(no);
        self.note(no, holds);
        holds
    }

    fn note(&mut self, no: FilterNo, holds: bool) {
        if let Some(known) = self.known.get_mut(no as usize) {
            *known = Some(holds);
        }
    }

    fn judge(&mut self, no: FilterNo) -> bool {
        let filters = self.filters;
        let Some(Known { filter, path: at, hashed }) = filters.filters.get(no as usize) else { return false };
        let Some(OfPath { path, equalities }) = filters.paths.get(*at as usize) else { return false };
        let Some(slot) = self.found.get_mut(*at as usize) else { return false };
        let document = self.document;
        let found = slot.get_or_insert_with(|| {
            let steps = Steps::new();
            match document.select(path, &steps) {
                Ok(nodes) => Found::Nodes { nodes, left: steps.left(), looked_up: false },
                Err(_) => Found::Nothing,
            }
        });
        let Found::Nodes { nodes, left, looked_up } = found else { return false };
        match equalities {
            // Where steps might run out, each filter is judged alone, and runs out where it would alone.
            Some(equalities) if *hashed && nodes.len().saturating_mul(equalities.steps) <= *left as usize => {
                if *looked_up {
                    // Had it held, that would be known.
                    return false;
                }
                *looked_up = true;
                let mut canonical = std::mem::take(&mut self.canonical);
                let mut holds = false;
                for node in nodes.iter() {
                    for holding in equalities.holding(node, &mut canonical) {
                        holds |= *holding == no;
                        if let Some(known) = self.known.get_mut(*holding as usize) {
                            *known = Some(true);
                        }
                    }
                }
                self.canonical = canonical;
                holds
            }
            _ => filter.holds_for(nodes, &Steps::of(*left)),
        }
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("a tenant has far fewer filters than 32 bits count")
}
