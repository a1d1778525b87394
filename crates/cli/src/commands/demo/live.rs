//! The demo while it runs: reports of the shop on one side, the live feeds on the other.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::TENANTS;
use super::children::Shop;
use super::shop::committed_ids;
use super::tally::{Arrival, Tally, Verdict};
use super::view::View;
use crate::failure::Failure;
use crate::http::feed::{Item, Query, Stream};
use crate::http::{Api, Error};

/// Arrivals that may wait to be counted.
const ARRIVALS_MAX: usize = 1_024;

/// Something that a live feed said.
enum Heard {
    /// The feed of one tenant stands.
    Connected,
    /// An event, and when it came, in microseconds since 1970.
    Event(Arrival, i64),
    /// The feed is broken for good.
    Broken(Error),
}

pub(super) struct Live {
    shop: Shop,
    shop_open: bool,
    heard: mpsc::Receiver<Heard>,
    /// The readers; they end with this.
    _readers: JoinSet<()>,
    tally: Tally,
}

impl Live {
    /// Starts a reader for each tenant, and returns when all of them stand, so that no latency holds a connect.
    pub(super) async fn start(api: &Api, shop: Shop) -> Result<Self, Failure> {
        let (sender, heard) = mpsc::channel(ARRIVALS_MAX);
        let mut readers = JoinSet::new();
        for tenant in TENANTS {
            let query = Query { tenant: tenant.to_owned(), from: Some("start".to_owned()), ..Query::default() };
            readers.spawn(read(Stream::new(api.clone(), query, None), sender.clone()));
        }
        let mut live = Self { shop, shop_open: true, heard, _readers: readers, tally: Tally::default() };
        let mut standing = 0;
        while standing < TENANTS.len() {
            match live.heard.recv().await {
                Some(Heard::Connected) => standing += 1,
                Some(Heard::Event(arrival, at_us)) => drop(live.tally.arrive(&arrival, at_us)),
                Some(Heard::Broken(error)) => return Err(error.into()),
                None => return Err(Failure::failed("the readers ended")),
            }
        }
        Ok(live)
    }

    /// Lets the shop sell for a while.
    pub(super) async fn sell(&mut self, time: Duration, view: &mut View) -> Result<(), Failure> {
        let deadline = Instant::now() + time;
        while self.step(deadline, view).await? {}
        self.shop.close();
        Ok(())
    }

    /// Waits until the shop has closed and the feed has given everything that was committed. That it never does is
    /// for the verdict to tell.
    pub(super) async fn settle(&mut self, patience: Duration, view: &mut View) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        while (self.shop_open || !self.tally.is_even()) && self.step(deadline, view).await? {}
        view.draw(&self.tally);
        Ok(())
    }

    /// Takes what comes next. `false` when the time is up.
    async fn step(&mut self, deadline: Instant, view: &mut View) -> Result<bool, Failure> {
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
            () = view.due() => view.draw(&self.tally),
            () = tokio::time::sleep_until(deadline) => return Ok(false),
        }
        Ok(true)
    }

    /// Compares the shop's books with the log, read back from its start.
    pub(super) async fn verdict(self, api: &Api, shop_database: &Path) -> Result<Verdict, Failure> {
        self.shop.end().await?;
        let books = committed_ids(shop_database)?;
        let (mut log, mut heads) = (Vec::new(), Vec::new());
        for tenant in TENANTS {
            let events = read_back(api, tenant).await?;
            heads.push(events.iter().map(|(_, sequence)| *sequence).max().unwrap_or_default());
            log.extend(events);
        }
        Ok(self.tally.verdict(&books, &log, &heads))
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
    sequence: u64,
}

/// Ids and sequences of a tenant's whole log, page by page.
async fn read_back(api: &Api, tenant: &str) -> Result<Vec<(String, u64)>, Failure> {
    let query = Query { tenant: tenant.to_owned(), from: Some("start".to_owned()), ..Query::default() };
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let answer = api.get(&query.path(cursor.as_deref())).await?;
        let page: Page = serde_json::from_value(answer)
            .map_err(|error| Failure::failed(format!("the page cannot be read: {error}")))?;
        found.extend(page.events.into_iter().map(|entry| (entry.id, entry.sequence)));
        if page.up_to_date {
            return Ok(found);
        }
        cursor = Some(page.cursor);
    }
}
