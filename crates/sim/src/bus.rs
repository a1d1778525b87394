//! The bus: a broker that all nodes share, which loses, repeats and reorders, goes away, and forgets.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_bus::{Bus, BusError, BusHealth, Entry, Follow, Heard, Last, Poke, Result, StreamEnd};
use tidings_event::{PartitionId, Recorded, Revision};
use tokio::sync::{Notify, broadcast};
use tokio::time::sleep;

use crate::dice::Dice;
use crate::place::Place;
use crate::universe::Universe;

/// Hints that wait for one node.
const POKES_MAX: usize = 32;

/// The broker.
#[derive(Default)]
pub struct Broker(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    streams: BTreeMap<PartitionId, Stream>,
    hearers: Vec<(PartitionId, Weak<Queue>)>,
    /// Nodes, by name, with what they are hinted at.
    nodes: BTreeMap<String, broadcast::Sender<Poke>>,
    away_until_us: u64,
}

/// What is published of a partition.
#[derive(Default)]
struct Stream {
    /// The number of the last message that there ever was.
    last: u64,
    /// The last messages.
    messages: VecDeque<Recorded>,
}

/// What waits for one hearer.
#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Heard>>,
    some: Notify,
}

impl Broker {
    /// Goes away, or forgets something.
    pub fn trouble(&self, universe: &Universe, dice: &mut Dice) {
        let now = universe.now_us();
        let mut inside = self.0.lock();
        let streams = inside.streams.len() as u64;
        let kind = dice.below(4);
        if kind == 0 {
            let length = dice.within(100_000, 5_000_000);
            inside.away_until_us = now + length;
            universe.fault(now, "bus_away", format_args!("for {length}"));
            return;
        }
        let at = usize::try_from(dice.below(streams)).unwrap_or(0);
        let Some((partition, stream)) = inside.streams.iter_mut().nth(at) else { return };
        let held = stream.messages.len() as u64;
        let gone = if kind == 1 { held } else { dice.below(held + 1) };
        if gone == 0 {
            return;
        }
        let fault = match kind {
            1 | 2 => {
                stream.messages.drain(..usize::try_from(gone).unwrap_or(0));
                if kind == 1 { "bus_purged" } else { "bus_truncated" }
            }
            _ => {
                stream.messages.truncate(usize::try_from(held - gone).unwrap_or(0));
                stream.last -= gone;
                "bus_rewound"
            }
        };
        universe.fault(now, fault, format_args!("{partition} by {gone}"));
    }

    fn is_away(&self, now_us: u64) -> bool {
        now_us < self.0.lock().away_until_us
    }
}

/// The bus as one run of one node sees it.
pub struct NodeBus {
    broker: Arc<Broker>,
    place: Arc<Place>,
    pokes: broadcast::Sender<Poke>,
}

impl fmt::Debug for NodeBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeBus")
    }
}

impl NodeBus {
    pub fn of(broker: &Arc<Broker>, place: &Arc<Place>) -> Arc<Self> {
        let pokes = broadcast::Sender::new(POKES_MAX);
        broker.0.lock().nodes.insert(place.name.clone(), pokes.clone());
        Arc::new(Self { broker: broker.clone(), place: place.clone(), pokes })
    }

    fn is_away(&self) -> bool {
        self.place.universe.is_faulty() && self.broker.is_away(self.place.now_us())
    }

    /// Reaches the broker, or does not.
    async fn reach(&self) -> Result<()> {
        let length = self.place.with_dice(|dice| dice.below(3));
        if length > 0 {
            sleep(Duration::from_millis(length)).await;
        }
        if self.is_away() {
            return Err(BusError::Unavailable("as the seed says".to_owned()));
        }
        Ok(())
    }

    /// Whether a message suffers, where there is one that could.
    fn suffers(&self, kind: &'static str, could: bool) -> bool {
        let chance = self.place.chaos.bus_messages;
        let suffers = self.place.universe.is_faulty() && self.place.with_dice(|dice| dice.chance(chance)) && could;
        if suffers {
            self.place.fault(kind, format_args!(""));
        }
        suffers
    }

    /// Brings messages to all who hear a partition: most of them once and in order.
    fn spread(&self, inside: &mut Inside, partition: PartitionId, events: &[Recorded], revision: Revision) {
        inside.hearers.retain(|(_, queue)| queue.strong_count() > 0);
        for (_, queue) in inside.hearers.iter().filter(|(of, _)| *of == partition) {
            let Some(queue) = queue.upgrade() else { continue };
            let mut waiting = queue.waiting.lock();
            for event in events {
                let heard = Heard { events: vec![event.clone()], revision };
                if self.suffers("bus_message_lost", true) {
                    continue;
                }
                if self.suffers("bus_message_repeated", true) {
                    waiting.push_back(heard.clone());
                }
                let before_last = waiting.len().saturating_sub(1);
                let overtakes = self.suffers("bus_message_reordered", !waiting.is_empty());
                let place = if overtakes { before_last } else { waiting.len() };
                waiting.insert(place, heard);
            }
            drop(waiting);
            queue.some.notify_one();
        }
    }
}

#[async_trait]
impl Bus for NodeBus {
    fn is_connected(&self) -> bool {
        !self.is_away()
    }

    fn poke(&self, pokes: &[Poke]) {
        if self.is_away() {
            return;
        }
        let inside = self.broker.0.lock();
        for (_, node) in inside.nodes.iter().filter(|(name, _)| **name != self.place.name) {
            let is_heard = node.receiver_count() > 0;
            for poke in pokes {
                if self.suffers("hint_lost", is_heard) {
                    continue;
                }
                if self.suffers("hint_repeated", is_heard) {
                    let _nobody = node.send(poke.clone());
                }
                let _nobody = node.send(poke.clone());
            }
        }
    }

    fn pokes(&self) -> broadcast::Receiver<Poke> {
        self.pokes.subscribe()
    }

    async fn end(&self, partition: PartitionId) -> Result<StreamEnd> {
        self.reach().await?;
        let mut inside = self.broker.0.lock();
        let stream = inside.streams.entry(partition).or_default();
        let last = stream
            .messages
            .back()
            .map_or(Last::None, |event| Last::Event { position: event.position, digest: event.digest });
        Ok(StreamEnd { message: stream.last, first: stream.messages.front().map(|event| event.position), last })
    }

    async fn publish(
        &self,
        partition: PartitionId,
        behind: u64,
        revision: Revision,
        events: &[Entry<'_>],
    ) -> Result<u64> {
        self.reach().await?;
        let breaks = self.suffers("bus_publish_broken", !events.is_empty());
        let mut inside = self.broker.0.lock();
        let stream = inside.streams.entry(partition).or_default();
        if stream.last != behind {
            return Err(BusError::Moved);
        }
        let mut written: Vec<Recorded> = events.iter().map(|entry| entry.recorded.clone()).collect();
        if breaks {
            let half = written.len() / 2;
            written.truncate(half);
        }
        stream.messages.extend(written.iter().cloned());
        stream.last += written.len() as u64;
        let last = stream.last;
        if let (Some(first), Some(end)) = (written.first(), written.last()) {
            self.place.trace(format_args!("published {partition} {}..={}", first.position, end.position));
        }
        self.spread(&mut inside, partition, &written, revision);
        if breaks { Err(BusError::Unavailable("as the seed says".to_owned())) } else { Ok(last) }
    }

    async fn clear(&self, partition: PartitionId) -> Result<u64> {
        self.reach().await?;
        let mut inside = self.broker.0.lock();
        let stream = inside.streams.entry(partition).or_default();
        stream.messages.clear();
        self.place.trace(format_args!("cleared the stream of {partition}"));
        Ok(stream.last)
    }

    async fn follow(&self, partition: PartitionId) -> Result<Box<dyn Follow>> {
        self.reach().await?;
        let queue = Arc::<Queue>::default();
        self.broker.0.lock().hearers.push((partition, Arc::downgrade(&queue)));
        Ok(Box::new(Hearer(queue)))
    }

    async fn health(&self) -> BusHealth {
        BusHealth { connected: self.is_connected(), ..BusHealth::default() }
    }

    async fn close(&self) {}
}

struct Hearer(Arc<Queue>);

#[async_trait]
impl Follow for Hearer {
    async fn next(&mut self) -> Result<Heard> {
        loop {
            if let Some(heard) = self.0.waiting.lock().pop_front() {
                return Ok(heard);
            }
            self.0.some.notified().await;
        }
    }
}
