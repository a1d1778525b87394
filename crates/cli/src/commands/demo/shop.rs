//! The shop: a producer as anyone would write one. It has a database of its own and links `tidings-outbox`; it knows
//! neither the server nor any other part of Tidings.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidings_outbox::event::{Data, Entity, Event, EventType, Source, SourceKind, SystemMint, TenantId, Text};
use tokio::io::AsyncReadExt as _;

use super::TENANTS;
use crate::failure::Failure;

/// One transaction in so many is rolled back on purpose.
const ROLLED_BACK_IN: u32 = 6;
/// Orders that are open at the same time.
const OPEN_ORDERS: i64 = 12;

const SCHEMA: &str = "
    create table if not exists orders (
      id     text primary key,
      number integer not null unique,
      tenant text not null,
      status text not null,
      cents  integer not null,
      steps  integer not null
    ) strict;
    create table if not exists ledger (event_id text primary key) strict;
";

#[derive(Debug, clap::Args)]
pub(super) struct ShopArgs {
    /// The shop's own database
    #[arg(long)]
    database: PathBuf,
    /// Transactions in a second
    #[arg(long)]
    rate: u32,
}

/// What one transaction came to; printed as a line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Report {
    /// Whether it was committed; rolled back otherwise.
    pub(super) committed: bool,
    /// When it was, in microseconds since 1970.
    pub(super) at_us: i64,
    pub(super) tenant: String,
    pub(super) order: String,
    /// The ids and types of its events.
    pub(super) events: Vec<(String, String)>,
}

/// Sells until standard input ends.
pub(super) async fn run(args: &ShopArgs) -> Result<(), Failure> {
    let mut shop = Shop::open(&args.database).map_err(|error| broken(&error))?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / args.rate.max(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut input = tokio::io::stdin();
    let mut bytes = [0_u8; 64];
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let report = shop.transact().map_err(|error| broken(&error))?;
                let line = serde_json::to_string(&report).map_err(|error| Failure::failed(error.to_string()))?;
                let mut out = std::io::stdout().lock();
                writeln!(out, "{line}")?;
                out.flush()?;
            }
            read = input.read(&mut bytes) => if !matches!(read, Ok(1..)) { return Ok(()) },
        }
    }
}

/// Every event id that the shop has committed, by its own books.
pub(super) fn committed_ids(database: &Path) -> Result<Vec<String>, Failure> {
    let read = || {
        let connection = Connection::open(database)?;
        let mut statement = connection.prepare("select event_id from ledger")?;
        let ids = statement.query_map([], |row| row.get(0))?;
        ids.collect::<Result<Vec<String>, rusqlite::Error>>()
    };
    read().map_err(|error| broken(&error.into()))
}

fn broken(error: &anyhow::Error) -> Failure {
    Failure::failed(format!("the shop: {error:#}"))
}

struct Shop {
    connection: Connection,
    mint: SystemMint,
}

/// An order, and what can happen to it next.
struct Order {
    id: String,
    tenant: String,
    status: String,
    cents: i64,
    steps: i64,
}

impl Shop {
    fn open(database: &Path) -> anyhow::Result<Self> {
        let mut connection = Connection::open(database)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        tidings_outbox::rusqlite::install(&mut connection)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection, mint: SystemMint::default() })
    }

    /// One transaction: an order changes, and its event goes with it. Or neither.
    fn transact(&mut self) -> anyhow::Result<Report> {
        let fails = one_in(ROLLED_BACK_IN);
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let open = tx
            .query_row("select count(*) from orders where status in ('new', 'paid')", [], |row| row.get::<_, i64>(0))?;
        let mut order = if open < OPEN_ORDERS { create(&tx)? } else { pick(&tx)? };
        let mut events = Vec::new();
        // A customer in a hurry orders and pays at once: two events of one transaction.
        let happenings = if order.status.is_empty() && one_in(5) { 2 } else { 1 };
        for _ in 0..happenings {
            let event = advance(&tx, &mut order, &mut self.mint)?;
            tidings_outbox::rusqlite::append(&tx, &event)?;
            tx.execute("insert into ledger values (?1)", [event.id.as_str()])?;
            events.push((event.id.to_string(), event.event_type.to_string()));
        }
        if fails {
            tx.rollback()?;
        } else {
            tx.commit()?;
        }
        let at_us = jiff::Timestamp::now().as_microsecond();
        Ok(Report { committed: !fails, at_us, tenant: order.tenant, order: order.id, events })
    }
}

/// Chance.
fn one_in(count: u32) -> bool {
    rand::random::<u32>().is_multiple_of(count)
}

/// A new order; its status says that nothing has happened to it yet.
fn create(tx: &Transaction<'_>) -> anyhow::Result<Order> {
    let number: i64 = tx.query_row("select coalesce(max(number), 0) + 1 from orders", [], |row| row.get(0))?;
    let tenant = TENANTS[usize::try_from(number)? % TENANTS.len()].to_owned();
    let cents = 500 + i64::from(rand::random::<u16>() % 20_000);
    let id = format!("order_{number}");
    tx.execute("insert into orders values (?1, ?2, ?3, '', ?4, 0)", (&id, number, &tenant, cents))?;
    Ok(Order { id, tenant, status: String::new(), cents, steps: 0 })
}

/// Any order that is still open.
fn pick(tx: &Transaction<'_>) -> anyhow::Result<Order> {
    let order = tx.query_row(
        "select id, tenant, status, cents, steps from orders where status in ('new', 'paid') order by random() limit 1",
        [],
        |row| {
            Ok(Order {
                id: row.get(0)?,
                tenant: row.get(1)?,
                status: row.get(2)?,
                cents: row.get(3)?,
                steps: row.get(4)?,
            })
        },
    );
    order.optional()?.ok_or_else(|| anyhow::anyhow!("no order is open"))
}

/// Changes the order's row and gives the event that says so.
fn advance(tx: &Transaction<'_>, order: &mut Order, mint: &mut SystemMint) -> anyhow::Result<Event> {
    let cancelled = one_in(5);
    let (status, event_type) = match order.status.as_str() {
        "" => ("new", "shop.order.created"),
        "new" if cancelled => ("cancelled", "shop.order.cancelled"),
        "new" => ("paid", "shop.order.paid"),
        _ => ("shipped", "shop.order.shipped"),
    };
    status.clone_into(&mut order.status);
    order.steps += 1;
    tx.execute("update orders set status = ?2, steps = ?3 where id = ?1", (&order.id, status, order.steps))?;
    let data = json!({"status": status, "amount_cents": order.cents, "step": order.steps});
    let mut event = Event::new(
        EventType::parse(event_type)?,
        TenantId::parse(&order.tenant)?,
        Source { kind: SourceKind::Service, id: Text::parse("shop")? },
        Data::parse(data.to_string()).map_err(|violation| anyhow::anyhow!(violation.message))?,
        mint,
    );
    event.entity = Some(Entity { kind: Text::parse("order")?, id: Text::parse(&order.id)? });
    Ok(event)
}
