//! A state machine as a picture: states in layers from left to right, moves as curves.

use std::fmt::Write;

use super::highlight::escape;
use crate::definition::Transitions;

mod layout;

use layout::{Graph, Layout, Place};

/// States up to which a picture helps; larger machines are told as a table alone.
const STATES_MAX: usize = 40;
const LABEL_CHARS_MAX: usize = 26;
const CHAR_WIDTH: f64 = 7.9;
const MARGIN: f64 = 14.0;

/// The states of a machine: those in which an entity may begin first, then in the order in which they are reached.
pub(super) fn states(machine: &Transitions) -> Vec<&str> {
    let mut states: Vec<&str> = Vec::new();
    let mut next: Vec<&str> = machine.initial.iter().map(String::as_str).collect();
    next.extend(machine.moves.keys().map(String::as_str).filter(|_| machine.initial.is_empty()));
    let mut at = 0;
    loop {
        for state in next.drain(..) {
            if !states.contains(&state) {
                states.push(state);
            }
        }
        let Some(state) = states.get(at) else { break };
        next.extend(machine.moves.get(*state).into_iter().flatten().map(String::as_str));
        at += 1;
    }
    for (from, to) in &machine.moves {
        for state in std::iter::once(from).chain(to) {
            if !states.contains(&state.as_str()) {
                states.push(state);
            }
        }
    }
    states
}

/// The picture as SVG; empty where there is nothing to draw or too much. `id` makes its names unique on the page.
pub(super) fn svg(machine: &Transitions, id: &str) -> String {
    let states = states(machine);
    if states.is_empty() || states.len() > STATES_MAX {
        return String::new();
    }
    let index = |name: &str| states.iter().position(|state| *state == name);
    let mut graph = Graph { widths: states.iter().map(|state| width(state)).collect(), edges: Vec::new() };
    let mut loops = Vec::new();
    for (from, to) in machine.moves.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to))) {
        match (index(from), index(to)) {
            (Some(from), Some(to)) if from == to => loops.push(from),
            (Some(from), Some(to)) if !graph.edges.contains(&(from, to)) => graph.edges.push((from, to)),
            _ => {}
        }
    }
    let layout = layout::layout(&graph);
    let mut out = String::new();
    open(&layout, id, machine, &mut out);
    for edge in &layout.edges {
        let class = if edge.back { "edge back" } else { "edge" };
        let _ = write!(out, "<path class=\"{class}\" marker-end=\"url(#{id}-tip)\" d=\"{}\"/>", curve(&edge.points));
    }
    for (i, place) in layout.places.iter().enumerate() {
        let initial = machine.initial.is_empty() || machine.initial.iter().any(|state| state == states[i]);
        let last = !graph.edges.iter().any(|(from, _)| *from == i);
        if loops.contains(&i) {
            let (x, y) = (place.x + place.width / 2.0, place.y - layout::NODE_HEIGHT / 2.0);
            let d = format!("M{:.1} {y:.1}c-4 -18 24 -18 20 -1", x - 10.0);
            let _ = write!(out, "<path class=\"edge\" marker-end=\"url(#{id}-tip)\" d=\"{d}\"/>");
        }
        state(states[i], place, initial, last, &mut out);
    }
    out.push_str("</svg>");
    out
}

fn open(layout: &Layout, id: &str, machine: &Transitions, out: &mut String) {
    let (width, height) = (layout.width + 2.0 * MARGIN, layout.height + 2.0 * MARGIN + 8.0);
    let _ = write!(
        out,
        "<svg class=\"machine\" role=\"img\" aria-labelledby=\"{id}-title\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"{:.1} {:.1} {width:.1} {height:.1}\"><title id=\"{id}-title\">States of ",
        -MARGIN,
        -MARGIN - 8.0,
    );
    escape(&machine.field.to_string(), out);
    let _ = write!(
        out,
        " and the moves between them; the table below says the same</title><defs><marker id=\"{id}-tip\" class=\"tip\" \
         viewBox=\"0 0 8 8\" refX=\"7.2\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0.8 0.8L7.2 4L0.8 7.2z\"/></marker></defs>",
    );
}

fn state(name: &str, place: &Place, initial: bool, last: bool, out: &mut String) {
    let class = match (initial, last) {
        (true, _) => "state initial",
        (_, true) => "state last",
        _ => "state",
    };
    let top = place.y - layout::NODE_HEIGHT / 2.0;
    let (width, height) = (place.width, layout::NODE_HEIGHT);
    let _ = write!(out, "<g class=\"{class}\"><title>");
    escape(name, out);
    let _ = write!(
        out,
        "</title><rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"9\"/>",
        place.x
    );
    if last {
        let _ = write!(
            out,
            "<rect class=\"inner\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"6.5\"/>",
            place.x + 3.0,
            top + 3.0,
            width - 6.0,
            height - 6.0
        );
    }
    let _ = write!(out, "<text x=\"{:.1}\" y=\"{:.1}\">", place.x + width / 2.0, place.y + 4.4);
    escape(&label(name), out);
    out.push_str("</text></g>");
}

fn label(name: &str) -> String {
    if name.chars().count() <= LABEL_CHARS_MAX {
        return name.to_owned();
    }
    name.chars().take(LABEL_CHARS_MAX - 1).chain(['…']).collect()
}

fn width(name: &str) -> f64 {
    let chars = u32::try_from(label(name).chars().count()).unwrap_or(0);
    f64::from(chars).max(3.0) * CHAR_WIDTH + 30.0
}

/// A smooth line through points that leaves and arrives level.
fn curve(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = match i.checked_sub(1).map(|before| points[before]) {
            None => write!(d, "M{x:.1} {y:.1}"),
            Some((x0, y0)) => {
                let bend = (x - x0) * 0.5;
                write!(d, "C{:.1} {y0:.1} {:.1} {y:.1} {x:.1} {y:.1}", x0 + bend, x - bend)
            }
        };
    }
    d
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::definition::Pointer;

    fn machine(initial: &[&str], moves: &[(&str, &[&str])]) -> Transitions {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let moves: BTreeMap<_, _> = moves.iter().map(|(from, to)| ((*from).to_owned(), owned(to))).collect();
        Transitions { field: Pointer::parse("/status").unwrap(), of: Vec::new(), initial: owned(initial), moves }
    }

    #[test]
    fn every_state_and_every_move_is_drawn() {
        let machine = machine(&["new"], &[("new", &["open", "new"]), ("open", &["closed", "new"]), ("alone", &[])]);
        let svg = svg(&machine, "m");
        assert_eq!(states(&machine), ["new", "open", "closed", "alone"]);
        assert_eq!(svg.matches("<g class=\"state").count(), 4);
        assert_eq!(svg.matches("marker-end").count(), 4);
        assert_eq!(svg.matches("edge back").count(), 1);
    }

    #[test]
    fn names_of_states_are_text() {
        let svg = svg(&machine(&["<script>"], &[("<script>", &["\"a\""])]), "m");
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;"), "{svg}");
    }

    #[test]
    fn what_is_too_large_is_not_drawn() {
        let names: Vec<String> = (0..=STATES_MAX).map(|i| format!("s{i}")).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(svg(&machine(&all, &[]), "m"), "");
        assert!(!svg(&machine(&all[1..], &[("s1", &all)]), "m").contains("NaN"));
    }
}
