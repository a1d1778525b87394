//! How a search is answered, the same on both databases: which column drives, and what is left to look at.

use tidings_event::Text;

use crate::{Search, TypeFilter};

/// Types that a search's prefixes may stand for before it is answered by walking the sequences instead.
pub(crate) const PREFIX_TYPES_MAX: usize = 200;

/// The index by which rows are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// All rows in order of sequence.
    Sequence,
    /// The one row with an id, where it names no correlation of its own.
    Id,
    /// An entity's rows.
    Entity,
    /// The rows that name a correlation.
    Correlation,
    /// The rows that name a cause.
    Causation,
    /// The rows of a type.
    Type,
}

impl Driver {
    /// The sets of them that answer a search.
    #[cfg(test)]
    pub(crate) const SETS: [&[Self]; 5] =
        [&[Self::Sequence], &[Self::Entity], &[Self::Correlation, Self::Id], &[Self::Causation], &[Self::Type]];

    /// Whether it is asked for values, rather than once.
    pub(crate) fn takes_values(self) -> bool {
        !matches!(self, Self::Sequence | Self::Entity)
    }
}

/// A search, taken apart.
pub(crate) struct Question {
    lead: Lead,
    exact: Vec<String>,
    /// Prefixes that types may begin with.
    pub(crate) prefixes: Vec<String>,
}

/// What leads to the rows.
enum Lead {
    Causation(String),
    Correlation(String),
    Entity,
    /// These types; prefixes among them are resolved first.
    Types(Vec<String>),
    Sequence,
}

impl Question {
    pub(crate) fn of(search: &Search) -> Self {
        let columns = &search.columns;
        let (mut exact, mut prefixes) = (Vec::new(), Vec::new());
        for wanted in &columns.types {
            match wanted {
                TypeFilter::Exact(name) => exact.push(name.to_string()),
                TypeFilter::Prefix(prefix) => prefixes.push(prefix.clone()),
            }
        }
        let text = |text: &Text| text.to_string();
        let lead = if let Some(cause) = &columns.causation_id {
            Lead::Causation(text(cause))
        } else if let Some(correlation) = &columns.correlation_id {
            Lead::Correlation(text(correlation))
        } else if columns.entity_kind.is_some() && columns.entity_id.is_some() {
            Lead::Entity
        } else if columns.types.is_empty() {
            Lead::Sequence
        } else {
            Lead::Types(exact.clone())
        };
        Self { lead, exact, prefixes }
    }

    /// Whether the types that the prefixes stand for must be known first.
    pub(crate) fn drives_by_type(&self) -> bool {
        matches!(self.lead, Lead::Types(_))
    }

    /// Takes the types that the prefixes stand for.
    pub(crate) fn resolve(&mut self, found: Vec<String>) {
        if let Lead::Types(types) = &mut self.lead {
            types.extend(found);
            types.sort_unstable();
            types.dedup();
            if types.len() > PREFIX_TYPES_MAX {
                self.lead = Lead::Sequence;
            }
        }
    }

    /// Which indexes to ask, and each of the values to ask them for; the answer is what any of them finds. The ways
    /// that are not driven by a value are asked once.
    pub(crate) fn drivers(&self) -> (&'static [Driver], Vec<&str>) {
        match &self.lead {
            Lead::Causation(cause) => (&[Driver::Causation], vec![cause]),
            // An event that names no correlation carries its own id as one.
            Lead::Correlation(id) => (&[Driver::Correlation, Driver::Id], vec![id]),
            Lead::Entity => (&[Driver::Entity], Vec::new()),
            Lead::Sequence => (&[Driver::Sequence], Vec::new()),
            Lead::Types(types) => (&[Driver::Type], types.iter().map(String::as_str).collect()),
        }
    }

    /// The types still to be looked at row by row: exact ones, and prefixes. Nothing when the driver sees to it.
    pub(crate) fn rest(&self) -> Option<(&[String], &[String])> {
        let asked = !(self.exact.is_empty() && self.prefixes.is_empty());
        (asked && !self.drives_by_type()).then_some((&self.exact, &self.prefixes))
    }

    /// The same, as JSON arrays.
    pub(crate) fn rest_as_json(&self) -> (Option<String>, Option<String>) {
        let json = |list: &[String]| serde_json::Value::from(list).to_string();
        self.rest().map(|(exact, prefixes)| (json(exact), json(prefixes))).unzip()
    }
}
