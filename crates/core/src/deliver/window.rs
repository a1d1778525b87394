//! The events of a lane that are held in memory: from the oldest that is not settled to the newest that was taken in.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use tidings_event::delivery::AttemptResult;
use tidings_event::{Position, Sequence, Timestamp};

use super::Item;
use super::hash::NumberMap;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It can be sent.
    Ready,
    /// It waits for one of the same key.
    Blocked,
    /// It is under way.
    InFlight,
    /// It needs nothing more.
    Settled,
}

/// One event.
#[derive(Debug)]
pub(super) struct Slot<E> {
    pub(super) sequence: Sequence,
    pub(super) position: Position,
    pub(super) recorded_at: Timestamp,
    /// When it was taken in.
    pub(super) taken_at: Timestamp,
    /// The hash of its entity.
    pub(super) entity: Option<u64>,
    /// What orders it in its lane now.
    key: Option<u64>,
    /// The event that matched before it.
    pub(super) previous: Option<Sequence>,
    /// Attempts made that did not count against its schedule.
    pub(super) uncounted: u32,
    /// Probes that failed although the endpoint was reached.
    pub(super) refused: u32,
    pub(super) last: Option<AttemptResult>,
    pub(super) system: bool,
    pub(super) state: State,
    /// Whether it was settled by delivery.
    delivered: bool,
    /// None once it is settled.
    pub(super) payload: Option<E>,
}

/// A bounded run of events in order of sequence, which is their order of position too.
#[derive(Debug)]
pub(super) struct Window<E> {
    slots: VecDeque<Slot<E>>,
    /// Those that can be sent, and some that no longer can: a slot's state decides.
    ready: BinaryHeap<Reverse<Sequence>>,
    /// How many of a key are ready or under way.
    busy: NumberMap<u64, u32>,
    /// Those that wait for one of the same key, by key.
    blocked: BTreeSet<(u64, Sequence)>,
    in_flight: usize,
    /// Delivered ones that are not the oldest, so that nothing durable can cover them yet.
    delivered_within: u32,
    /// The highest position of all that has left.
    left_at: Position,
}

impl<E> Window<E> {
    pub(super) fn new() -> Self {
        Self {
            slots: VecDeque::new(),
            ready: BinaryHeap::new(),
            busy: NumberMap::default(),
            blocked: BTreeSet::new(),
            in_flight: 0,
            delivered_within: 0,
            left_at: Position(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn left_at(&self) -> Position {
        self.left_at
    }

    /// The oldest event that is not settled: what is settled leaves from the front at once.
    pub(super) fn oldest(&self) -> Option<&Slot<E>> {
        self.slots.front()
    }

    pub(super) fn newest(&self) -> Option<Sequence> {
        self.slots.back().map(|slot| slot.sequence)
    }

    fn find(&self, sequence: Sequence) -> Option<usize> {
        self.slots.binary_search_by_key(&sequence, |slot| slot.sequence).ok()
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<&Slot<E>> {
        self.find(sequence).map(|index| &self.slots[index])
    }

    pub(super) fn get_mut(&mut self, sequence: Sequence) -> Option<&mut Slot<E>> {
        self.find(sequence).map(|index| &mut self.slots[index])
    }

    /// Whether an event is here and not settled.
    pub(super) fn holds(&self, sequence: Sequence) -> bool {
        self.get(sequence).is_some_and(|slot| slot.state != State::Settled)
    }

    /// Takes an event in, newer than all that are here. It is blocked if `blocked` says so or one of its key is here.
    pub(super) fn admit(
        &mut self,
        item: Item<E>,
        key: Option<u64>,
        blocked: bool,
        previous: Option<Sequence>,
        now: Timestamp,
    ) {
        let mut slot = Slot {
            sequence: item.sequence,
            position: item.position,
            recorded_at: item.recorded_at,
            taken_at: now,
            entity: item.key,
            key,
            previous,
            uncounted: 0,
            refused: 0,
            last: None,
            system: item.system,
            state: State::Ready,
            delivered: false,
            payload: Some(item.payload),
        };
        self.line_up(&mut slot, blocked);
        self.slots.push_back(slot);
    }

    /// Takes note of an event, newer than all that are here, that is settled already. It keeps a place while an older
    /// one does not, so that it is not read again. Returns the number of delivered events that left.
    pub(super) fn pass(&mut self, item: &Item<E>, delivered: bool, now: Timestamp) -> u32 {
        if self.slots.is_empty() {
            self.left_at = item.position;
            return u32::from(delivered);
        }
        self.slots.push_back(Slot {
            sequence: item.sequence,
            position: item.position,
            recorded_at: item.recorded_at,
            taken_at: now,
            entity: None,
            key: None,
            previous: None,
            uncounted: 0,
            refused: 0,
            last: None,
            system: item.system,
            state: State::Settled,
            delivered,
            payload: None,
        });
        self.delivered_within += u32::from(delivered);
        0
    }

    /// An event that was settled otherwise was delivered after all; false when it is not here any longer.
    pub(super) fn deliver_settled(&mut self, sequence: Sequence) -> bool {
        let Some(slot) = self.get_mut(sequence) else { return false };
        let first = !std::mem::replace(&mut slot.delivered, true);
        self.delivered_within += u32::from(first);
        true
    }

    /// Puts a slot that is not under way where it belongs: behind others of its key, or among the ready.
    fn line_up(&mut self, slot: &mut Slot<E>, blocked: bool) {
        if let Some(key) = slot.key {
            if blocked || self.busy.contains_key(&key) || self.has_blocked(key) {
                slot.state = State::Blocked;
                self.blocked.insert((key, slot.sequence));
                return;
            }
            self.busy.insert(key, 1);
        }
        slot.state = State::Ready;
        self.ready.push(Reverse(slot.sequence));
    }

    pub(super) fn has_blocked(&self, key: u64) -> bool {
        self.first_blocked(key).is_some()
    }

    fn first_blocked(&self, key: u64) -> Option<Sequence> {
        let from = (key, Sequence(0));
        self.blocked.range(from..).next().filter(|(of, _)| *of == key).map(|(_, sequence)| *sequence)
    }

    /// The oldest event that can be sent.
    pub(super) fn first_ready(&mut self) -> Option<Sequence> {
        while let Some(Reverse(sequence)) = self.ready.peek() {
            if self.get(*sequence).is_some_and(|slot| slot.state == State::Ready) {
                return Some(*sequence);
            }
            self.ready.pop();
        }
        None
    }

    /// Events that can be sent, oldest first.
    pub(super) fn all_ready(&self) -> impl Iterator<Item = &Slot<E>> {
        self.slots.iter().filter(|slot| slot.state == State::Ready)
    }

    /// Sends an event.
    pub(super) fn take(&mut self, sequence: Sequence) -> Option<&mut Slot<E>> {
        let index = self.find(sequence)?;
        let slot = &mut self.slots[index];
        if slot.state != State::Ready {
            return None;
        }
        slot.state = State::InFlight;
        self.in_flight += 1;
        Some(slot)
    }

    /// An event that was under way can be sent again.
    pub(super) fn give_back(&mut self, sequence: Sequence) {
        if let Some(slot) = self.get_mut(sequence).filter(|slot| slot.state == State::InFlight) {
            slot.state = State::Ready;
            self.in_flight -= 1;
            self.ready.push(Reverse(sequence));
        }
    }

    /// An event needs nothing more here. Returns its key if it was the last of that key that was ready or under way,
    /// and the number of delivered events that left with it.
    pub(super) fn settle(&mut self, sequence: Sequence, delivered: bool) -> (Option<u64>, u32) {
        let Some(index) = self.find(sequence) else { return (None, 0) };
        let slot = &mut self.slots[index];
        let before = std::mem::replace(&mut slot.state, State::Settled);
        slot.payload = None;
        slot.delivered = delivered;
        let key = slot.key;
        match before {
            State::InFlight => self.in_flight -= 1,
            State::Settled => return (None, 0),
            State::Ready | State::Blocked => {}
        }
        self.delivered_within += u32::from(delivered);
        let freed = match (key, before) {
            (Some(key), State::Blocked) => {
                self.blocked.remove(&(key, sequence));
                None
            }
            (Some(key), _) => self.free(key),
            (None, _) => None,
        };
        (freed, self.leave())
    }

    fn free(&mut self, key: u64) -> Option<u64> {
        let count = self.busy.get_mut(&key)?;
        *count -= 1;
        (*count == 0).then(|| {
            self.busy.remove(&key);
            key
        })
    }

    /// Lets go of what is settled at the front; how many delivered ones left.
    fn leave(&mut self) -> u32 {
        let mut delivered = 0;
        while let Some(slot) = self.slots.pop_front_if(|slot| slot.state == State::Settled) {
            self.left_at = slot.position;
            delivered += u32::from(slot.delivered);
        }
        self.delivered_within -= delivered;
        delivered
    }

    /// Lets the oldest event of a key go on, unless one is ready or under way.
    pub(super) fn unblock(&mut self, key: u64) {
        if self.busy.contains_key(&key) {
            return;
        }
        let Some(sequence) = self.first_blocked(key) else { return };
        self.blocked.remove(&(key, sequence));
        self.busy.insert(key, 1);
        if let Some(slot) = self.get_mut(sequence) {
            slot.state = State::Ready;
            self.ready.push(Reverse(sequence));
        }
    }

    /// The oldest blocked event of a key, if nothing of that key is ready or under way.
    pub(super) fn parkable(&self, key: u64) -> Option<Sequence> {
        if self.busy.contains_key(&key) { None } else { self.first_blocked(key) }
    }

    /// The keys of which something is blocked, each once, at most so many.
    pub(super) fn blocked_keys(&self, most: usize) -> Vec<u64> {
        let mut keys: Vec<u64> = self.blocked.iter().map(|(key, _)| *key).collect();
        keys.dedup();
        keys.truncate(most);
        keys
    }

    /// Orders all anew, by a key for each slot. `waits` says which keys have to wait for something outside.
    pub(super) fn reorder(&mut self, key: impl Fn(Option<u64>) -> Option<u64>, waits: impl Fn(u64) -> bool) {
        self.ready.clear();
        self.busy.clear();
        self.blocked.clear();
        let mut slots = std::mem::take(&mut self.slots);
        for slot in &mut slots {
            slot.key = key(slot.entity);
            if let (Some(key), State::InFlight) = (slot.key, slot.state) {
                *self.busy.entry(key).or_default() += 1;
            }
        }
        for slot in &mut slots {
            if matches!(slot.state, State::Ready | State::Blocked) {
                let blocked = slot.key.is_some_and(&waits);
                self.line_up(slot, blocked);
            }
        }
        self.slots = slots;
    }

    /// Forgets events at the end that are not under way, all but the first `keep` of the window: they can be read
    /// again. Returns the last event that is still here, if any was forgotten.
    pub(super) fn forget_tail(&mut self, keep: usize) -> Option<Sequence> {
        let before = self.slots.len();
        while self.slots.len() > keep.max(1)
            && let Some(slot) = self.slots.pop_back_if(|slot| matches!(slot.state, State::Ready | State::Blocked))
        {
            match (slot.key, slot.state) {
                (Some(key), State::Blocked) => {
                    self.blocked.remove(&(key, slot.sequence));
                }
                (Some(key), _) => {
                    self.free(key);
                }
                (None, _) => {}
            }
        }
        if self.slots.len() == before {
            return None;
        }
        self.ready = self.all_ready().map(|slot| Reverse(slot.sequence)).collect();
        self.slots.shrink_to(keep);
        self.newest()
    }

    /// The oldest of those that are not under way and were recorded at `cutoff` or before; at most so many.
    pub(super) fn aged(&self, cutoff: Timestamp, most: usize) -> Vec<Sequence> {
        let idle = |slot: &&Slot<E>| matches!(slot.state, State::Ready | State::Blocked);
        let aged = self.slots.iter().filter(idle).filter(|slot| slot.recorded_at <= cutoff);
        aged.take(most).map(|slot| slot.sequence).collect()
    }

    /// Follows a clock that was set back.
    pub(super) fn shift(&mut self, micros: i64) {
        for slot in &mut self.slots {
            slot.taken_at = super::clock::shifted(slot.taken_at, micros);
        }
    }

    /// Gives memory back while nothing is here.
    pub(super) fn shrink(&mut self) {
        if self.slots.is_empty() && self.slots.capacity() > 0 {
            self.slots = VecDeque::new();
            self.ready = BinaryHeap::new();
            self.busy = NumberMap::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(keys: &[Option<u64>]) -> Window<()> {
        let mut window = Window::new();
        for (index, key) in keys.iter().enumerate() {
            let n = index as u64 + 1;
            let now = Timestamp::from_micros(0);
            let item = Item {
                sequence: Sequence(n * 10),
                position: Position(n * 100),
                recorded_at: now,
                key: *key,
                system: false,
                payload: (),
            };
            window.admit(item, *key, false, None, now);
        }
        window
    }

    fn send_all(window: &mut Window<()>) -> Vec<u64> {
        std::iter::from_fn(|| {
            let sequence = window.first_ready()?;
            window.take(sequence)?;
            Some(sequence.0)
        })
        .collect()
    }

    #[test]
    fn one_of_a_key_is_under_way_at_a_time_and_the_others_follow_in_order() {
        let mut window = window(&[Some(1), Some(2), Some(1), None, Some(1), None]);
        assert_eq!(send_all(&mut window), [10, 20, 40, 60]);
        assert_eq!(window.settle(Sequence(20), true), (Some(2), 0));
        assert_eq!(window.settle(Sequence(10), true), (Some(1), 2));
        window.unblock(1);
        assert_eq!(send_all(&mut window), [30]);
        window.give_back(Sequence(30));
        assert_eq!(send_all(&mut window), [30]);
        window.settle(Sequence(30), true);
        window.unblock(1);
        assert_eq!(send_all(&mut window), [50]);
    }

    #[test]
    fn the_oldest_is_never_settled_and_what_left_is_counted_by_position() {
        let mut window = window(&[None; 4]);
        send_all(&mut window);
        assert_eq!(window.settle(Sequence(20), true), (None, 0));
        assert_eq!(window.settle(Sequence(20), true), (None, 0));
        assert_eq!((window.delivered_within, window.oldest().map(|s| s.sequence.0)), (1, Some(10)));
        assert_eq!(window.settle(Sequence(10), false), (None, 1));
        assert_eq!((window.left_at(), window.oldest().map(|s| s.sequence.0)), (Position(200), Some(30)));
        assert_eq!((window.delivered_within, window.in_flight()), (0, 2));
    }

    #[test]
    fn forgetting_the_tail_keeps_the_first_and_all_that_was_sent() {
        let mut short = window(&[Some(1), Some(1), Some(1)]);
        assert_eq!(short.forget_tail(1), Some(Sequence(10)));
        assert_eq!(send_all(&mut short), [10]);
        assert_eq!(short.settle(Sequence(10), true), (Some(1), 1));
        assert!(short.is_empty() && short.blocked.is_empty());
        let mut sent = window(&[None, Some(1), Some(2)]);
        sent.take(Sequence(30));
        assert_eq!(sent.forget_tail(1), None);
    }

    #[test]
    fn a_new_order_holds_for_all_that_was_not_sent() {
        let mut window = window(&[None, Some(1), Some(1), Some(1)]);
        window.take(Sequence(20));
        window.reorder(|_| None, |_| false);
        window.take(Sequence(30));
        window.reorder(|entity| entity, |_| false);
        assert_eq!(send_all(&mut window), [10]);
        assert_eq!(window.settle(Sequence(20), true).0, None);
        assert_eq!(window.settle(Sequence(30), true).0, Some(1));
        window.unblock(1);
        assert_eq!(send_all(&mut window), [40]);
    }
}
