//! A bus that does to what it carries what a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tidings_bus::{Bus, BusHealth, Entry, Follow, Heard, Poke, Result, StreamEnd};
use tidings_event::{PartitionId, Revision};
use tokio::sync::{broadcast, watch};

/// What becomes of what others say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ear {
    /// It is heard as it was said.
    Good,
    /// Nothing is heard.
    Deaf,
    /// Each second event is lost.
    Patchy,
    /// Everything is heard twice, and backwards.
    Dizzy,
}

/// A bus whose connection seems healthy.
#[derive(Debug)]
pub struct Broken {
    inner: Arc<dyn Bus>,
    events: Ear,
    hints: bool,
    nobody: broadcast::Sender<Poke>,
    /// While it holds, nothing is published.
    held: watch::Sender<bool>,
    /// Whether something waits for that.
    waiting: AtomicBool,
}

impl Broken {
    pub fn over(inner: Arc<dyn Bus>, events: Ear, hints: bool) -> Arc<Self> {
        let nobody = broadcast::channel(1).0;
        Arc::new(Self { inner, events, hints, nobody, held: watch::channel(false).0, waiting: AtomicBool::new(false) })
    }

    /// Holds up whatever is to be published from now on, as a process does that stands still.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    pub fn let_go(&self) {
        self.held.send_replace(false);
    }

    /// Whether something is held up.
    pub fn holds_some(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Bus for Broken {
    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }

    fn poke(&self, pokes: &[Poke]) {
        if self.hints {
            self.inner.poke(pokes);
        }
    }

    fn pokes(&self) -> broadcast::Receiver<Poke> {
        if self.hints { self.inner.pokes() } else { self.nobody.subscribe() }
    }

    async fn end(&self, partition: PartitionId) -> Result<StreamEnd> {
        self.inner.end(partition).await
    }

    async fn publish(
        &self,
        partition: PartitionId,
        behind: u64,
        revision: Revision,
        events: &[Entry<'_>],
    ) -> Result<u64> {
        if *self.held.borrow() {
            self.waiting.store(true, Ordering::SeqCst);
            self.held.subscribe().wait_for(|held| !held).await.unwrap();
        }
        self.inner.publish(partition, behind, revision, events).await
    }

    async fn clear(&self, partition: PartitionId) -> Result<u64> {
        self.inner.clear(partition).await
    }

    async fn follow(&self, partition: PartitionId) -> Result<Box<dyn Follow>> {
        let inner = self.inner.follow(partition).await?;
        Ok(Box::new(BrokenFollow { inner, ear: self.events, count: 0 }))
    }

    async fn health(&self) -> BusHealth {
        self.inner.health().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

struct BrokenFollow {
    inner: Box<dyn Follow>,
    ear: Ear,
    count: usize,
}

#[async_trait]
impl Follow for BrokenFollow {
    async fn next(&mut self) -> Result<Heard> {
        loop {
            let mut heard = self.inner.next().await?;
            match self.ear {
                Ear::Good => {}
                Ear::Deaf => continue,
                Ear::Patchy => heard.events.retain(|_| {
                    self.count += 1;
                    self.count.is_multiple_of(2)
                }),
                Ear::Dizzy => {
                    let again = heard.events.clone();
                    heard.events.extend(again);
                    heard.events.reverse();
                }
            }
            if !heard.events.is_empty() {
                return Ok(heard);
            }
        }
    }
}
