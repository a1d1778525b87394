//! Which of many texts another text begins with.

/// A trie whose nodes are the texts themselves: each knows the longest other text that it begins with. They lie in
/// sorted order in one block of memory, so a lookup is a binary search and a walk up.
#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Box<[Node]>,
    /// The texts, one after the other.
    bytes: Box<[u8]>,
    values: Box<[u32]>,
}

#[derive(Debug)]
struct Node {
    /// Where its text lies in `bytes`.
    start: u32,
    end: u32,
    /// Where its values begin; they end where those of the next node begin.
    values: u32,
    /// The node of the longest text that this one begins with, or [`ROOT`].
    parent: u32,
}

const ROOT: u32 = u32::MAX;

impl Trie {
    /// Texts with a value each; a text may have several.
    pub(super) fn new(mut entries: Vec<(Vec<u8>, u32)>) -> Self {
        entries.sort();
        entries.dedup();
        let mut nodes: Vec<Node> = Vec::new();
        let mut bytes: Vec<u8> = Vec::new();
        // The texts that the current one begins with, longest last.
        let mut path: Vec<(u32, &[u8])> = Vec::new();
        for (index, (text, _)) in entries.iter().enumerate() {
            if path.last().is_some_and(|(_, last)| last == text) {
                continue;
            }
            while path.last().is_some_and(|(_, above)| !text.starts_with(above)) {
                path.pop();
            }
            let start = length(&bytes);
            bytes.extend_from_slice(text);
            let parent = path.last().map_or(ROOT, |(node, _)| *node);
            path.push((length(&nodes), text));
            nodes.push(Node { start, end: length(&bytes), values: u32::try_from(index).unwrap_or(u32::MAX), parent });
        }
        let values = entries.iter().map(|(_, value)| *value).collect();
        Self { nodes: nodes.into(), bytes: bytes.into(), values }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Appends the values of all texts that this one begins with; a value that several of them have comes as often.
    pub(super) fn find(&self, text: &[u8], found: &mut Vec<u32>) {
        // Everything between a text's beginning and the text itself, in sorted order, has that beginning too. So all
        // beginnings of the text are above the last node that does not come after it.
        let after = self.nodes.partition_point(|node| self.text(node) <= text);
        let mut at = after.checked_sub(1);
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            if text.starts_with(self.text(node)) {
                let end = at.and_then(|at| self.nodes.get(at + 1)).map_or(self.values.len(), |next| index(next.values));
                found.extend_from_slice(self.values.get(index(node.values)..end).unwrap_or_default());
            }
            at = (node.parent != ROOT).then(|| index(node.parent));
        }
    }

    fn text(&self, node: &Node) -> &[u8] {
        self.bytes.get(index(node.start)..index(node.end)).unwrap_or_default()
    }
}

fn length<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).expect("a tenant's patterns have far less than 4 GiB of text")
}

fn index(number: u32) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_trie_finds_what_trying_each_text_finds(
            texts in proptest::collection::vec("[ab.]{0,6}", 0..24),
            text in "[ab.]{0,8}",
        ) {
            let entries: Vec<(Vec<u8>, u32)> =
                texts.iter().zip(0..).map(|(text, value)| (text.clone().into_bytes(), value)).collect();
            let mut found = Vec::new();
            Trie::new(entries).find(text.as_bytes(), &mut found);
            found.sort_unstable();
            let expect: Vec<u32> =
                texts.iter().zip(0..).filter(|(begin, _)| text.starts_with(*begin)).map(|(_, value)| value).collect();
            prop_assert_eq!(found, expect);
        }
    }
}
