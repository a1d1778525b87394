//! Where states stand: layers by the longest way to them, an order within layers that crosses few lines, and bends
//! where a line passes layers.

pub(super) const NODE_HEIGHT: f64 = 34.0;
const NODE_GAP: f64 = 22.0;
const BEND_GAP: f64 = 12.0;
const BEND_HEIGHT: f64 = 6.0;
const LAYER_GAP: f64 = 62.0;
const SWEEPS: usize = 12;
const PULLS: usize = 10;
/// How far from a node's middle lines may meet its side.
const PORT_REACH: f64 = 10.0;

/// What is to be laid out.
pub(super) struct Graph {
    /// One width a node.
    pub(super) widths: Vec<f64>,
    /// From where to where, without loops, none twice.
    pub(super) edges: Vec<(usize, usize)>,
}

/// A node's place: its left side, its middle, its width.
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
}

/// A line, from its start to its tip.
pub(super) struct Line {
    pub(super) points: Vec<(f64, f64)>,
    /// Whether it leads back.
    pub(super) back: bool,
}

/// What came out.
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    pub(super) edges: Vec<Line>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A node or the bend of a line within a layer.
struct Slot {
    layer: usize,
    height: f64,
    width: f64,
    y: f64,
}

/// A line as the slots it passes, from the left to the right.
struct Chain {
    slots: Vec<usize>,
    back: bool,
}

struct Drawing {
    slots: Vec<Slot>,
    chains: Vec<Chain>,
    /// The slots of each layer, from the top.
    layers: Vec<Vec<usize>>,
}

pub(super) fn layout(graph: &Graph) -> Layout {
    let back = backward(graph);
    let layers = layers(graph, &back);
    let mut drawing = Drawing::new(graph, &back, &layers);
    drawing.order();
    drawing.pull();
    drawing.finish(graph)
}

/// Which edges close a circle, found by walking from the first node on.
fn backward(graph: &Graph) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Above,
        Done,
    }
    let mut seen = vec![Seen::No; graph.widths.len()];
    let mut back = vec![false; graph.edges.len()];
    for start in 0..seen.len() {
        if seen[start] != Seen::No {
            continue;
        }
        let mut stack = vec![(start, 0)];
        seen[start] = Seen::Above;
        while let Some((node, next)) = stack.pop() {
            let Some(edge) = (next..graph.edges.len()).find(|edge| graph.edges[*edge].0 == node) else {
                seen[node] = Seen::Done;
                continue;
            };
            stack.push((node, edge + 1));
            let to = graph.edges[edge].1;
            match seen[to] {
                Seen::Above => back[edge] = true,
                Seen::No => {
                    seen[to] = Seen::Above;
                    stack.push((to, 0));
                }
                Seen::Done => {}
            }
        }
    }
    back
}

/// The layer of each node: one more than the layers of all that lead to it.
fn layers(graph: &Graph, back: &[bool]) -> Vec<usize> {
    let mut layers = vec![0; graph.widths.len()];
    // Without the edges that lead back there is no circle, so as many rounds as there are nodes settle it.
    for _ in 0..layers.len() {
        for (edge, (from, to)) in graph.edges.iter().enumerate() {
            if !back[edge] {
                layers[*to] = layers[*to].max(layers[*from] + 1);
            }
        }
    }
    layers
}

impl Drawing {
    fn new(graph: &Graph, back: &[bool], layer_of: &[usize]) -> Self {
        let slot =
            |(node, width): (usize, &f64)| Slot { layer: layer_of[node], height: NODE_HEIGHT, width: *width, y: 0.0 };
        let slots = graph.widths.iter().enumerate().map(slot).collect();
        let count = layer_of.iter().max().map_or(0, |last| last + 1);
        let mut drawing = Self { slots, chains: Vec::new(), layers: vec![Vec::new(); count] };
        for (node, layer) in layer_of.iter().enumerate() {
            drawing.layers[*layer].push(node);
        }
        for (edge, (from, to)) in graph.edges.iter().enumerate() {
            let (left, right) = if back[edge] { (*to, *from) } else { (*from, *to) };
            let mut slots = vec![left];
            for layer in layer_of[left] + 1..layer_of[right] {
                slots.push(drawing.slots.len());
                drawing.layers[layer].push(drawing.slots.len());
                drawing.slots.push(Slot { layer, height: BEND_HEIGHT, width: 0.0, y: 0.0 });
            }
            slots.push(right);
            drawing.chains.push(Chain { slots, back: back[edge] });
        }
        drawing
    }

    /// The pairs of neighbouring slots, each from the left to the right.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        self.chains.iter().flat_map(|chain| chain.slots.windows(2).map(|pair| (pair[0], pair[1])))
    }

    /// Orders each layer by where its neighbours stand, and keeps the order that crosses the fewest lines.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.layers.clone());
        for sweep in 0..SWEEPS {
            let rightwards = sweep % 2 == 0;
            let count = self.layers.len();
            for step in 1..count {
                let layer = if rightwards { step } else { count - 1 - step };
                self.order_layer(layer, rightwards);
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
            }
        }
        self.layers = best.1;
    }

    fn order_layer(&mut self, layer: usize, rightwards: bool) {
        let ranks = self.ranks();
        let mean = |slot: usize| {
            let near = self.pairs().filter_map(|(left, right)| match rightwards {
                true if right == slot => Some(ranks[left]),
                false if left == slot => Some(ranks[right]),
                _ => None,
            });
            let (count, sum) = near.fold((0.0, 0.0), |(count, sum), rank| (count + 1.0, sum + rank));
            if count > 0.0 { sum / count } else { ranks[slot] }
        };
        let mut keyed: Vec<(f64, usize)> = self.layers[layer].iter().map(|slot| (mean(*slot), *slot)).collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.layers[layer] = keyed.into_iter().map(|(_, slot)| slot).collect();
    }

    /// Where each slot stands in its layer, from 0, the top, to 1.
    fn ranks(&self) -> Vec<f64> {
        let mut ranks = vec![0.0; self.slots.len()];
        for layer in &self.layers {
            let step = 1.0 / f64::from(u32::try_from(layer.len()).unwrap_or(1) + 1);
            let mut rank = 0.0;
            for slot in layer {
                rank += step;
                ranks[*slot] = rank;
            }
        }
        ranks
    }

    fn crossings(&self) -> usize {
        let ranks = self.ranks();
        let pairs: Vec<_> = self.pairs().collect();
        let crosses = |(a, b): &(usize, usize), (c, d): &(usize, usize)| {
            self.slots[*a].layer == self.slots[*c].layer && (ranks[*a] - ranks[*c]) * (ranks[*b] - ranks[*d]) < 0.0
        };
        let after = |(i, pair)| pairs[i + 1..].iter().filter(|other| crosses(pair, other)).count();
        pairs.iter().enumerate().map(after).sum()
    }

    /// Moves slots towards their neighbours, as far as their layer has room.
    fn pull(&mut self) {
        for layer in 0..self.layers.len() {
            self.spread(layer, &vec![0.0; self.layers[layer].len()]);
        }
        for _ in 0..PULLS {
            for layer in 0..self.layers.len() {
                let wanted: Vec<f64> = self.layers[layer].iter().map(|slot| self.wanted(*slot)).collect();
                self.spread(layer, &wanted);
            }
        }
    }

    fn wanted(&self, slot: usize) -> f64 {
        let near = self.pairs().filter_map(|(left, right)| match slot {
            slot if slot == left => Some(right),
            slot if slot == right => Some(left),
            _ => None,
        });
        let (count, sum) = near.fold((0.0, 0.0), |(count, sum), other| (count + 1.0, sum + self.slots[other].y));
        if count > 0.0 { sum / count } else { self.slots[slot].y }
    }

    /// Places a layer's slots where they want to be, in their order and with room between them.
    fn spread(&mut self, layer: usize, wanted: &[f64]) {
        let room = |a: &Slot, b: &Slot| {
            let gap = if a.width > 0.0 && b.width > 0.0 { NODE_GAP } else { BEND_GAP };
            (a.height + b.height) / 2.0 + gap
        };
        let slots = &self.layers[layer];
        let mut down: Vec<f64> = wanted.to_vec();
        for i in 1..slots.len() {
            down[i] = down[i].max(down[i - 1] + room(&self.slots[slots[i - 1]], &self.slots[slots[i]]));
        }
        let mut up: Vec<f64> = wanted.to_vec();
        for i in (0..slots.len().saturating_sub(1)).rev() {
            up[i] = up[i].min(up[i + 1] - room(&self.slots[slots[i]], &self.slots[slots[i + 1]]));
        }
        // The mean of two placements that keep the room keeps it too.
        for i in 0..slots.len() {
            self.slots[slots[i]].y = f64::midpoint(down[i], up[i]);
        }
    }

    fn finish(mut self, graph: &Graph) -> Layout {
        let top = self.slots.iter().map(|slot| slot.y - slot.height / 2.0).fold(f64::INFINITY, f64::min).min(1e9);
        let mut height = 0.0_f64;
        for slot in &mut self.slots {
            slot.y -= top;
            height = height.max(slot.y + slot.height / 2.0);
        }
        let mut spans = Vec::new();
        let mut x = 0.0;
        for layer in &self.layers {
            let width = layer.iter().map(|slot| self.slots[*slot].width).fold(0.0, f64::max);
            spans.push((x, x + width));
            x += width + LAYER_GAP;
        }
        let place = |node: usize| {
            let (slot, (from, to)) = (&self.slots[node], spans[self.slots[node].layer]);
            Place { x: from + (to - from - slot.width) / 2.0, y: slot.y, width: slot.width }
        };
        let places: Vec<Place> = (0..graph.widths.len()).map(place).collect();
        let edges = (0..self.chains.len()).map(|chain| self.line(chain, &places, &spans)).collect();
        Layout { places, edges, width: x - LAYER_GAP, height }
    }

    fn line(&self, at: usize, places: &[Place], spans: &[(f64, f64)]) -> Line {
        let chain = &self.chains[at];
        let (left, right) = (chain.slots[0], chain.slots[chain.slots.len() - 1]);
        let mut points = vec![(places[left].x + places[left].width, places[left].y + self.port(at, true))];
        for slot in &chain.slots[1..chain.slots.len() - 1] {
            let (from, to) = spans[self.slots[*slot].layer];
            points.push((from, self.slots[*slot].y));
            points.push((to, self.slots[*slot].y));
        }
        points.push((places[right].x, places[right].y + self.port(at, false)));
        if chain.back {
            points.reverse();
        }
        Line { points, back: chain.back }
    }

    /// How far above or below its node's middle a line meets the node's side: lines meet it in the order in which
    /// they come.
    fn port(&self, at: usize, right_side: bool) -> f64 {
        let end = |chain: &Chain| {
            let last = chain.slots.len() - 1;
            if right_side { (chain.slots[0], chain.slots[1]) } else { (chain.slots[last], chain.slots[last - 1]) }
        };
        let (node, _) = end(&self.chains[at]);
        let mut lines: Vec<(f64, bool, usize)> = Vec::new();
        for (i, chain) in self.chains.iter().enumerate() {
            let (other, neighbour) = end(chain);
            if other == node {
                lines.push((self.slots[neighbour].y, chain.back, i));
            }
        }
        lines.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let count = u32::try_from(lines.len()).unwrap_or(1);
        let rank =
            lines.iter().position(|(_, _, line)| *line == at).and_then(|rank| u32::try_from(rank).ok()).unwrap_or(0);
        if count < 2 { 0.0 } else { PORT_REACH * (2.0 * f64::from(rank) / f64::from(count - 1) - 1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_a_layer_never_overlap_and_lines_end_at_nodes() {
        let edges = vec![(0, 1), (0, 2), (1, 3), (2, 3), (3, 0), (0, 4), (2, 1), (3, 4)];
        let layout = layout(&Graph { widths: vec![60.0; 5], edges });
        for (i, a) in layout.places.iter().enumerate() {
            for b in &layout.places[i + 1..] {
                let apart = (a.y - b.y).abs() >= NODE_HEIGHT || (a.x - b.x).abs() >= 60.0;
                assert!(apart, "({}, {}) and ({}, {})", a.x, a.y, b.x, b.y);
            }
        }
        assert_eq!(layout.edges.len(), 8);
        assert_eq!(layout.edges.iter().filter(|line| line.back).count(), 1);
        assert!(layout.places.iter().all(|place| place.y >= 0.0 && place.y <= layout.height));
    }

    #[test]
    fn nothing_at_all_can_be_laid_out() {
        let layout = layout(&Graph { widths: Vec::new(), edges: Vec::new() });
        assert!(layout.places.is_empty());
    }
}
