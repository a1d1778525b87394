//! Finding the lanes that want an event, among as many subscriptions as a partition may hold. Each case has a process
//! of its own, so that what is resident is its subscriptions and nothing that another measurement left behind.

use std::collections::HashMap;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tidings_core::index::{Index, Subscription, wants};
use tidings_core::pattern::Selection;
use tidings_event::{
    Digest, LaneNo, PartitionId, Position, Recorded, Salt, Sequence, SystemMint, TenantNo, Timestamp, parse_event,
};

use crate::Scale;
use crate::report::{Figure, Report, Target};

const GROUP: &str = "matching";
const SUBSCRIPTIONS: usize = 100_000;
const TENANTS: usize = 10_000;
/// Different events; they are matched over and over.
const EVENTS: usize = 16_384;
/// How long one case matches.
const MATCHING: Duration = Duration::from_secs(3);
/// How often a tenant is swapped.
const SWAPS: usize = 2_000;

/// What is subscribed to.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Case {
    /// One to three exact types each.
    Exact,
    /// Exact types, prefixes, regular expressions and filters.
    Mixed,
    /// The same, all of one tenant.
    OneTenant,
}

impl Case {
    const ALL: [Self; 3] = [Self::Exact, Self::Mixed, Self::OneTenant];

    fn name(self) -> &'static str {
        match self {
            Self::Exact => "100,000 exact subscriptions of 10,000 tenants",
            Self::Mixed => "100,000 mixed subscriptions of 10,000 tenants",
            Self::OneTenant => "10,000 mixed subscriptions of one tenant",
        }
    }

    fn argument(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn subscriptions(self) -> usize {
        if self == Self::OneTenant { SUBSCRIPTIONS / 10 } else { SUBSCRIPTIONS }
    }

    fn tenants(self) -> usize {
        if self == Self::OneTenant { 1 } else { TENANTS }
    }

    fn events_per_s_wanted(self) -> Option<f64> {
        match self {
            Self::Exact => Some(200_000.0),
            Self::Mixed => Some(50_000.0),
            Self::OneTenant => None,
        }
    }
}

/// What the process of one case found.
#[derive(Serialize, Deserialize)]
struct Found {
    events_per_s: f64,
    /// Asking every subscription of the event's tenant in turn.
    alone_per_s: f64,
    lanes_per_event: f64,
    parse_ms: f64,
    compile_ms: f64,
    swap_us: f64,
    resident_mib: f64,
}

pub(crate) fn run(report: &mut Report, scale: Scale) -> Result<()> {
    for case in Case::ALL {
        let found = measured(case, scale)?;
        let name = case.name();
        let push = |report: &mut Report, what: &str, value, unit| {
            report.push(Figure::new(GROUP, format!("{name}, {what}"), value, unit));
        };
        let rate = Figure::new(GROUP, name, found.events_per_s, "events/s")
            .against(found.alone_per_s, "asking each subscription of the tenant");
        report.push(match case.events_per_s_wanted() {
            Some(wanted) => rate.target(Target::AtLeast(wanted)),
            None => rate,
        });
        push(report, "cost per event", 1e6 / found.events_per_s, "µs");
        push(report, "lanes found per event", found.lanes_per_event, "lanes");
        push(report, "time to read the patterns", found.parse_ms, "ms");
        push(report, "time to compile", found.compile_ms, "ms");
        push(report, "time to swap one tenant", found.swap_us, "µs");
        let resident = Figure::new(GROUP, format!("{name}, resident"), found.resident_mib, "MiB");
        report.push(resident.target(Target::AtMost(200.0)));
    }
    Ok(())
}

fn measured(case: Case, scale: Scale) -> Result<Found> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--matching-case", &case.argument(), "--scale", &scale.0.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("start the process of a case")?;
    ensure!(output.status.success(), "the process of '{}' failed: {}", case.name(), output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The process of one case.
pub(crate) fn serve(case: Case, scale: Scale) -> Result<()> {
    let mut dice = Dice(7);
    let events = events(case, &mut dice)?;
    let wanted: Vec<_> = (0..case.subscriptions()).map(|_| Wanted::any(case, &mut dice)).collect();
    let before = resident_mib()?;
    let start = Instant::now();
    let mut subscriptions = Vec::with_capacity(wanted.len());
    for (at, wanted) in wanted.iter().enumerate() {
        subscriptions.push(Subscription {
            lane: LaneNo(i64::try_from(at)? + 1),
            tenant: TenantNo(i64::try_from(at % case.tenants())? + 1),
            after: Sequence(0),
            until: None,
            selection: Selection::shared(&wanted.types, wanted.filter.as_ref().map(String::as_bytes))?,
        });
    }
    let parse = start.elapsed();
    // The selections stay, as they do with whoever reads the log for a lane.
    let kept: Vec<Arc<Selection>> = subscriptions.iter().map(|one| Arc::clone(&one.selection)).collect();
    let start = Instant::now();
    let index = Index::build(subscriptions.iter().cloned());
    let compile = start.elapsed();
    let of_tenant = by_tenant(subscriptions);
    let (events_per_s, lanes_per_event) = rate(&events, scale.time(MATCHING), |event, lanes| {
        index.matches(event, lanes);
    });
    // After matching: an expression takes memory of its own the first time that it is used.
    let resident = resident_mib()? - before;
    let (alone_per_s, alone) = rate(&events, scale.time(MATCHING / 3), |event, lanes| {
        lanes.clear();
        let of_tenant = of_tenant.get(&event.tenant_no).map_or(&[][..], Vec::as_slice);
        lanes.extend(of_tenant.iter().filter(|one| wants(&one.selection, event)).map(|one| one.lane));
    });
    ensure!((lanes_per_event - alone).abs() < 1e-9, "the index finds {lanes_per_event} lanes, asking each {alone}");
    let swap = swap(&index, &of_tenant, &mut dice);
    drop(kept);
    let found = Found {
        events_per_s,
        alone_per_s,
        lanes_per_event,
        parse_ms: parse.as_secs_f64() * 1e3,
        compile_ms: compile.as_secs_f64() * 1e3,
        swap_us: swap.as_secs_f64() * 1e6,
        resident_mib: resident,
    };
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}

type OfTenant = HashMap<TenantNo, Vec<Subscription>>;

fn by_tenant(subscriptions: Vec<Subscription>) -> OfTenant {
    let mut of_tenant = OfTenant::new();
    for subscription in subscriptions {
        of_tenant.entry(subscription.tenant).or_default().push(subscription);
    }
    of_tenant
}

/// Events a second on this thread, and lanes an event. Whole rounds over all events, so that the lanes compare.
fn rate(events: &[Recorded], time: Duration, mut matches: impl FnMut(&Recorded, &mut Vec<LaneNo>)) -> (f64, f64) {
    let mut lanes = Vec::new();
    let (mut found, mut matched) = (0_usize, 0_usize);
    let start = Instant::now();
    while matched == 0 || start.elapsed() < time {
        for event in events {
            matches(event, &mut lanes);
            found += black_box(&lanes).len();
        }
        matched += events.len();
    }
    (matched as f64 / start.elapsed().as_secs_f64(), found as f64 / matched as f64)
}

/// The mean time in which one tenant's subscriptions are compiled and stand in a new snapshot.
fn swap(index: &Index, of_tenant: &OfTenant, dice: &mut Dice) -> Duration {
    let tenants: Vec<TenantNo> = of_tenant.keys().copied().collect();
    let swaps = if tenants.len() == 1 { SWAPS / 100 } else { SWAPS };
    let mut index = index.clone();
    let mut spent = Duration::ZERO;
    for _ in 0..swaps {
        let tenant = *dice.one_of(&tenants);
        let subscriptions = of_tenant.get(&tenant).cloned().unwrap_or_default();
        let start = Instant::now();
        let next = index.with_tenant(tenant, subscriptions);
        spent += start.elapsed();
        index = next;
    }
    spent / u32::try_from(swaps).unwrap_or(u32::MAX)
}

/// Splitmix64: the same subscriptions and events in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn one_of<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len())]
    }
}

/// 36 types, so that most events are wanted by some subscription of their tenant.
const DOMAINS: &[&str] = &["shop", "sales", "billing", "support"];
const ENTITIES: &[&str] = &["order", "lead", "invoice"];
const ACTIONS: &[&str] = &["created", "status_changed", "paid"];

fn event_type(dice: &mut Dice) -> String {
    format!("{}.{}.{}", dice.one_of(DOMAINS), dice.one_of(ENTITIES), dice.one_of(ACTIONS))
}

/// A subscription as it is written.
#[derive(Default)]
struct Wanted {
    types: Vec<String>,
    filter: Option<String>,
}

impl Wanted {
    /// Of a hundred mixed ones: 40 name types, 20 a prefix, 15 a regular expression, and 25 have filters.
    fn any(case: Case, dice: &mut Dice) -> Self {
        match if case == Case::Exact { 0 } else { dice.below(100) } {
            0..40 => {
                let types = (0..=dice.below(3)).map(|_| event_type(dice)).collect();
                Self { types, filter: None }
            }
            40..60 => Self { types: vec![Self::prefix(dice)], filter: None },
            60..75 => Self { types: Vec::new(), filter: Some(Self::regex(dice)) },
            _ => {
                let types = vec![if dice.below(2) == 0 { Self::prefix(dice) } else { event_type(dice) }];
                Self { types, filter: Some(Self::filters(dice)) }
            }
        }
    }

    fn prefix(dice: &mut Dice) -> String {
        match dice.below(3) {
            0 => format!("{}.*", dice.one_of(DOMAINS)),
            _ => format!("{}.{}.*", dice.one_of(DOMAINS), dice.one_of(ENTITIES)),
        }
    }

    fn regex(dice: &mut Dice) -> String {
        let (domain, entity, action) = (dice.one_of(DOMAINS), dice.one_of(ENTITIES), dice.one_of(ACTIONS));
        let source = match dice.below(4) {
            0 => format!(r"{domain}\\.({entity}|{})\\..*", dice.one_of(ENTITIES)),
            1 => format!(r"[a-z]+\\.{entity}\\.[a-z_]+"),
            2 => format!(r".*\\.({action}|{})", dice.one_of(ACTIONS)),
            // Hardly any other tenant has the same.
            _ => format!(r"({domain}|own_{})\\.[a-z]+\\.{action}", dice.below(10_000)),
        };
        format!(r#"{{"type":"regex","value":"{source}"}}"#)
    }

    fn filters(dice: &mut Dice) -> String {
        let filters: Vec<String> = (0..=dice.below(2)).map(|_| Self::filter(dice)).collect();
        format!(r#"{{"filters":[{}]}}"#, filters.join(","))
    }

    fn filter(dice: &mut Dice) -> String {
        let (field, operator, value) = match dice.below(6) {
            0 => ("$.data.amount", *dice.one_of(&["gt", "gte", "lt", "lte"]), dice.below(1_000).to_string()),
            1 | 2 => ("$.data.customer", "equals", format!(r#""customer_{}""#, dice.below(1_000))),
            3 => ("$.data.lines[*].sku", "in", format!(r#"["A-{}","B-{}"]"#, dice.below(100), dice.below(100))),
            4 => ("$.data.currency", "not_equals", r#""EUR""#.to_owned()),
            _ => ("$.entity.id", "equals", format!(r#""order_{}""#, dice.below(1_000))),
        };
        format!(r#"{{"field":"{field}","operator":"{operator}","value":{value}}}"#)
    }
}

fn events(case: Case, dice: &mut Dice) -> Result<Vec<Recorded>> {
    let mut mint = SystemMint::default();
    let note = "The customer asked for delivery before noon and for a call from the driver. ".repeat(4);
    let mut events = Vec::with_capacity(EVENTS);
    for n in 1..=EVENTS as u64 {
        let tenant = dice.below(case.tenants()) + 1;
        let json = format!(
            concat!(
                r#"{{"type":"{event_type}","tenant":"t{tenant}","source":{{"type":"service","id":"shop"}},"#,
                r#""entity":{{"type":"order","id":"order_{entity}"}},"actor":"user_{n}","data":{{"order":{n},"#,
                r#""amount":{amount}.50,"currency":"{currency}","customer":"customer_{customer}","lines":["#,
                r#"{{"sku":"A-{a}","quantity":2}},{{"sku":"B-{b}","quantity":1}}],"note":"{note}","paid":true}}}}"#
            ),
            event_type = event_type(dice),
            tenant = tenant,
            entity = dice.below(1_000),
            n = n,
            amount = dice.below(1_000),
            currency = dice.one_of(&["EUR", "USD"]),
            customer = dice.below(1_000),
            a = dice.below(100),
            b = dice.below(100),
            note = note,
        );
        events.push(Recorded {
            event: parse_event(json.as_bytes(), &mut mint)?,
            tenant_no: TenantNo(i64::try_from(tenant)?),
            partition: PartitionId(0),
            position: Position(n),
            sequence: Sequence(n),
            recorded_at: Timestamp::from_micros(1_000_000),
            salt: Salt([0; 16]),
            digest: Digest([0; 32]),
        });
    }
    Ok(events)
}

/// Memory of this process that is in use, as the kernel counts it.
fn resident_mib() -> Result<f64> {
    const PAGE_BYTES: f64 = 4_096.0;
    let statm = std::fs::read_to_string("/proc/self/statm").context("what is resident shows on Linux only")?;
    let pages: f64 = statm.split(' ').nth(1).context("two fields")?.parse()?;
    Ok(pages * PAGE_BYTES / f64::from(1 << 20))
}
