//! A reader of one tenant's feed: pages and follows, loses answers, and goes on from its cursor.

use std::sync::Arc;
use std::time::Duration;

use tidings_engine::{FeedError, FeedStart, ReadLimit, Selection};
use tidings_event::{Sequence, TenantId};

use super::{Heard, Reach, hear, tenant};
use crate::dice::Dice;
use crate::node::Call;

type Answer = Result<(Vec<(u64, String)>, u64), FeedError>;

pub struct Reader {
    name: String,
    tenant: String,
    dice: Dice,
    /// All that it read, in the order in which it did.
    pub read: Vec<(u64, String)>,
    /// Everything up to here was looked at.
    pub after: u64,
    call: Option<Call<Answer>>,
    next_us: u64,
}

impl Reader {
    pub fn new(number: u64, tenants: u64, mut dice: Dice) -> Self {
        let tenant = tenant(dice.below(tenants));
        Self { name: format!("reader{number}"), tenant, dice, read: Vec::new(), after: 0, call: None, next_us: 0 }
    }

    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    pub fn step(&mut self, reach: &Reach<'_>) {
        if let Some(call) = &self.call {
            match hear(call, reach.now_us()) {
                Heard::Nothing => return,
                Heard::Answer(Ok(page)) if !reach.loses_reply(&mut self.dice, &self.name) => self.heard(page, reach),
                Heard::Answer(Err(FeedError::Store(_)) | Ok(_)) | Heard::Never => {}
                Heard::Answer(Err(error)) => {
                    reach.outside.universe.breaks(format_args!("{} at {}: {error}", self.name, self.after));
                }
            }
            self.call = None;
            self.next_us = reach.now_us() + self.dice.within(1_000, 500_000);
        }
        if reach.now_us() < self.next_us {
            return;
        }
        let Ok(tenant) = TenantId::parse(self.tenant.as_str()) else { return };
        let (after, pages) = (self.after, self.dice.within(1, 3));
        let limit = ReadLimit { events: usize::try_from(self.dice.within(1, 20)).unwrap_or(1), bytes: 1 << 20 };
        let wait = Duration::from_millis(self.dice.below(800));
        let node = reach.some_node(&mut self.dice);
        self.call = node.call(&reach.outside.universe, |engine, _| async move {
            let selection = Arc::new(Selection::new(&["shop.*".to_owned()], None).expect("the shorthand is right"));
            let mut feed = engine.feed(&tenant, FeedStart::After(Sequence(after)), selection).await?;
            let mut read = Vec::new();
            for _ in 0..pages {
                let page = feed.next(limit, wait).await?;
                read.extend(page.events.iter().map(|event| {
                    let recorded = &event.recorded;
                    (recorded.sequence.get(), recorded.event.id.as_str().to_owned())
                }));
            }
            Ok((read, feed.after().get()))
        });
        if self.call.is_none() {
            self.next_us = reach.now_us() + 100_000;
        }
    }

    fn heard(&mut self, (read, after): (Vec<(u64, String)>, u64), reach: &Reach<'_>) {
        let universe = &reach.outside.universe;
        if !read.is_empty() {
            let sequences: Vec<u64> = read.iter().map(|(sequence, _)| *sequence).collect();
            universe.trace(universe.now_us(), format_args!("{} read {sequences:?}", self.name));
        }
        let mut last = self.after;
        for (sequence, _) in &read {
            if *sequence <= last || *sequence > after {
                universe.breaks(format_args!("{} read {sequence} after {last}, up to {after}", self.name));
            }
            last = *sequence;
        }
        self.read.extend(read);
        self.after = self.after.max(after);
    }
}
