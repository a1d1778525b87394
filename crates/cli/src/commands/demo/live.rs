//! The demo while it runs: reports of the shop on one side, the live feeds and the receiver's visitors on the other.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::TENANTS;
use super::children::Shop;
use super::deliveries::{Delivered, Deliveries};
use super::receiver::{Receiver, Visit};
use super::shop::committed_ids;
use super::tally::{Arrival, Tally, Verdict};
use super::view::View;
use super::webhooks::Webhooks;
use crate::failure::Failure;
use crate::http::feed::{Item, Query, Stream};
use crate::http::{Api, Error};

/// Arrivals that may wait to be counted.
const ARRIVALS_MAX: usize = 1_024;
/// The receiver goes down when so many tenths of the time have passed.
const DOWN_AFTER_TENTHS: u32 = 4;
/// It stays down for a fifth of the time, at most for so long.
const DOWN_MAX: Duration = Duration::from_secs(4);

/// Something that a live feed said.
enum Heard {
    /// The feed of one tenant stands.
    Connected,
    /// An event, and when it came, in microseconds since 1970.
    Event(Arrival, i64),
    /// The feed is broken for good.
    Broken(Error),
}

/// What happens to the receiver.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Down,
    Back,
}

pub(super) struct Live {
    shop: Shop,
    shop_open: bool,
    heard: mpsc::Receiver<Heard>,
    /// The readers; they end with this.
    _readers: JoinSet<()>,
    receiver: Receiver,
    visits: mpsc::Receiver<Visit>,
    turns: VecDeque<(Instant, Turn)>,
    webhooks: Webhooks,
    tally: Tally,
    deliveries: Deliveries,
}

impl Live {
    /// Opens the receiver with an endpoint for each tenant, starts a reader for each, and returns when all of them
    /// stand, so that no latency holds a connect.
    pub(super) async fn start(api: &Api) -> Result<Stage, Failure> {
        let (sender, visits) = mpsc::channel(ARRIVALS_MAX);
        let receiver = Receiver::open(sender).await?;
        let webhooks = Webhooks::create(api, &receiver).await?;
        let (sender, mut heard) = mpsc::channel(ARRIVALS_MAX);
        let mut readers = JoinSet::new();
        for tenant in TENANTS {
            let query = Query { tenant: tenant.to_owned(), from: Some("start".to_owned()), ..Query::default() };
            readers.spawn(read(Stream::new(api.clone(), query, None), sender.clone()));
        }
        let mut standing = 0;
        while standing < TENANTS.len() {
            match heard.recv().await {
                Some(Heard::Connected) => standing += 1,
                // The shop has not opened yet.
                Some(Heard::Event(..)) => {}
                Some(Heard::Broken(error)) => return Err(error.into()),
                None => return Err(Failure::failed("the readers ended")),
            }
        }
        Ok(Stage { heard, readers, receiver, visits, webhooks })
    }

    /// Lets the shop sell for a while, during which the receiver goes down and comes back.
    pub(super) async fn sell(&mut self, time: Duration, view: &mut View) -> Result<(), Failure> {
        let now = Instant::now();
        let down = now + time * DOWN_AFTER_TENTHS / 10;
        self.turns = VecDeque::from([(down, Turn::Down), (down + (time / 5).min(DOWN_MAX), Turn::Back)]);
        while self.step(now + time, view).await? {}
        self.shop.close();
        Ok(())
    }

    /// Waits until the shop has closed and everything that was committed has come by the feed and been delivered. That
    /// it never does is for the verdict to tell.
    pub(super) async fn settle(&mut self, patience: Duration, view: &mut View) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        while !self.is_even() && self.step(deadline, view).await? {}
        view.draw(&self.tally, &self.deliveries);
        Ok(())
    }

    fn is_even(&self) -> bool {
        !self.shop_open && self.tally.is_even() && self.deliveries.has_all(self.tally.commits().keys())
    }

    /// Takes what comes next. `false` when the time is up.
    async fn step(&mut self, deadline: Instant, view: &mut View) -> Result<bool, Failure> {
        let turn = self.turns.front().map(|(at, _)| *at);
        tokio::select! {
            report = self.shop.next(), if self.shop_open => match report {
                Some(report) => {
                    self.tally.report(&report);
                    view.report(&report);
                }
                None => self.shop_open = false,
            },
            heard = self.heard.recv() => match heard {
                Some(Heard::Event(arrival, at_us)) => {
                    let latency = self.tally.arrive(&arrival, at_us);
                    view.arrive(&arrival, latency);
                }
                Some(Heard::Connected) => {}
                Some(Heard::Broken(error)) => return Err(error.into()),
                None => return Err(Failure::failed("the readers ended")),
            },
            Some(visit) = self.visits.recv() => {
                self.deliveries.visit(&visit);
                view.visit(&visit);
            }
            () = tokio::time::sleep_until(turn.unwrap_or(deadline)), if turn.is_some() => self.turn().await?,
            () = view.due() => view.draw(&self.tally, &self.deliveries),
            () = tokio::time::sleep_until(deadline) => return Ok(false),
        }
        Ok(true)
    }

    async fn turn(&mut self) -> Result<(), Failure> {
        let now_us = || jiff::Timestamp::now().as_microsecond();
        match self.turns.pop_front() {
            Some((_, Turn::Down)) => {
                self.receiver.go_down().await;
                self.deliveries.went_down(now_us());
            }
            Some((_, Turn::Back)) => {
                // What was heard before it went down and not counted yet is no backlog.
                while let Ok(visit) = self.visits.try_recv() {
                    self.deliveries.visit(&visit);
                }
                self.receiver.come_back().await?;
                self.deliveries.came_back(now_us(), self.tally.commits().keys());
            }
            None => {}
        }
        Ok(())
    }

    /// Compares the shop's books with the log, read back from its start, and with what the receiver took. The
    /// receiver stays open.
    pub(super) async fn verdict(
        mut self,
        api: &Api,
        shop_database: &Path,
        patience: Duration,
    ) -> Result<Reckoning, Failure> {
        self.shop.end().await?;
        let books = committed_ids(shop_database)?;
        let (mut log, mut heads, mut told) = (Vec::new(), Vec::new(), 0);
        for tenant in TENANTS {
            let events = read_back(api, tenant).await?;
            heads.push(events.iter().map(|entry| entry.sequence).max().unwrap_or_default());
            let (ours, theirs): (Vec<_>, Vec<_>) = events.into_iter().partition(|entry| entry.is_by_tidings());
            told += ours.len() as u64;
            log.extend(theirs.into_iter().map(|entry| (entry.id, entry.sequence)));
        }
        let server = self.webhooks.settle(api, patience).await?;
        // What was sent again while all this was counted.
        while let Ok(visit) = self.visits.try_recv() {
            self.deliveries.visit(&visit);
        }
        let feed = self.tally.verdict(&books, &log, &heads, told);
        let delivered = self.deliveries.verdict(&books, self.tally.commits(), server);
        Ok(Reckoning { feed, delivered, webhooks: self.webhooks, receiver: self.receiver })
    }
}

/// Everything but the shop.
pub(super) struct Stage {
    heard: mpsc::Receiver<Heard>,
    readers: JoinSet<()>,
    receiver: Receiver,
    visits: mpsc::Receiver<Visit>,
    webhooks: Webhooks,
}

impl Stage {
    /// The shop opens.
    pub(super) fn open(self, shop: Shop) -> Live {
        let Self { heard, readers, receiver, visits, webhooks } = self;
        let (turns, tally, deliveries) = (VecDeque::new(), Tally::default(), Deliveries::default());
        Live { shop, shop_open: true, heard, _readers: readers, receiver, visits, turns, webhooks, tally, deliveries }
    }
}

/// What it all came to.
pub(super) struct Reckoning {
    pub(super) feed: Verdict,
    pub(super) delivered: Delivered,
    pub(super) webhooks: Webhooks,
    /// Still open.
    pub(super) receiver: Receiver,
}

impl Reckoning {
    /// Whether every figure is as promised.
    pub(super) fn is_good(&self) -> bool {
        self.feed.is_good() && self.delivered.is_good()
    }
}

async fn read(mut stream: Stream, heard: mpsc::Sender<Heard>) {
    loop {
        let said = match stream.next().await {
            Ok(Item::Event(json)) => {
                let at_us = jiff::Timestamp::now().as_microsecond();
                match serde_json::from_str(&json) {
                    Ok(arrival) => Heard::Event(arrival, at_us),
                    // Not an event of the shop; someone tries things out.
                    Err(_) => continue,
                }
            }
            Ok(Item::Connected) => Heard::Connected,
            Ok(Item::Progress | Item::Lost { .. }) => continue,
            Err(error) => Heard::Broken(error),
        };
        let ends = matches!(said, Heard::Broken(_));
        if heard.send(said).await.is_err() || ends {
            return;
        }
    }
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Entry>,
    cursor: String,
    up_to_date: bool,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    sequence: u64,
}

impl Entry {
    /// Whether it is Tidings that tells something: of a circuit that opened, say.
    fn is_by_tidings(&self) -> bool {
        self.event_type.starts_with(tidings_event::EventType::RESERVED_PREFIX)
    }
}

/// A tenant's whole log, page by page.
async fn read_back(api: &Api, tenant: &str) -> Result<Vec<Entry>, Failure> {
    let query = Query { tenant: tenant.to_owned(), from: Some("start".to_owned()), ..Query::default() };
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let answer = api.get(&query.path(cursor.as_deref())).await?;
        let page: Page = serde_json::from_value(answer)
            .map_err(|error| Failure::failed(format!("the page cannot be read: {error}")))?;
        found.extend(page.events);
        if page.up_to_date {
            return Ok(found);
        }
        cursor = Some(page.cursor);
    }
}
