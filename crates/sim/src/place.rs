//! A node's surroundings: its clock, its dice, and what goes wrong between it and everything else.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidings_engine::world::World;
use tidings_event::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::plan::{Chaos, Plan};
use crate::sabotage::Sabotage;
use crate::universe::{EPOCH_US, Excuse, Universe};

/// One run of one node: from its start to its end or death.
pub struct Place {
    /// The node's name.
    pub name: String,
    /// Which run of it: 1, 2, 3, …
    pub boot: u32,
    pub universe: Arc<Universe>,
    pub chaos: Chaos,
    pub sabotage: Option<Sabotage>,
    /// When it began, in microseconds since the world's beginning, and by its runtime's clock.
    begun_us: u64,
    begun: Instant,
    /// How far its wall clock is off.
    pub skew_us: Arc<AtomicI64>,
    dice: Mutex<Dice>,
    /// When it last woke from a pause; its beginning, if it never did.
    pub woke_us: AtomicU64,
    /// It shall not live on.
    killed: AtomicBool,
    pub kill_now: Notify,
    /// It does not reach the database.
    cut: Arc<AtomicBool>,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Well,
    Fails,
    AnswerLost,
    KilledBefore,
    KilledAfter,
    Cut,
}

/// A call, as it is drawn before it begins.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    pub fate: Fate,
    pub before: Duration,
    pub after: Duration,
}

/// What outlives a node's run.
#[derive(Clone, Default)]
pub struct Lasting {
    pub skew_us: Arc<AtomicI64>,
    pub cut: Arc<AtomicBool>,
}

impl Place {
    /// The surroundings of a run that begins now; called on its runtime.
    pub fn begin(
        name: &str,
        boot: u32,
        universe: &Arc<Universe>,
        plan: &Plan,
        lasting: &Lasting,
        dice: Dice,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            boot,
            universe: universe.clone(),
            chaos: plan.chaos,
            sabotage: plan.sabotage,
            begun_us: universe.now_us(),
            begun: Instant::now(),
            skew_us: lasting.skew_us.clone(),
            dice: Mutex::new(dice),
            woke_us: AtomicU64::new(universe.now_us()),
            killed: AtomicBool::new(false),
            kill_now: Notify::new(),
            cut: lasting.cut.clone(),
        })
    }

    /// Microseconds since the world's beginning, as this node has lived; called on its runtime.
    pub fn now_us(&self) -> u64 {
        self.begun_us + u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(0)
    }

    /// The moment of its runtime's clock that a time of the world is.
    pub fn instant(&self, at_us: u64) -> Instant {
        self.begun + Duration::from_micros(at_us.saturating_sub(self.begun_us))
    }

    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Kills the node where it stands.
    pub async fn kill<T>(&self) -> T {
        self.killed.store(true, Ordering::Relaxed);
        self.kill_now.notify_one();
        std::future::pending().await
    }

    pub fn with_dice<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.dice.lock())
    }

    /// Writes a line of the trace.
    pub fn trace(&self, what: std::fmt::Arguments<'_>) {
        self.universe.trace(self.now_us(), format_args!("{}/{} {what}", self.name, self.boot));
    }

    pub fn fault(&self, kind: &'static str, where_: std::fmt::Arguments<'_>) {
        self.universe.fault(self.now_us(), kind, format_args!("{}/{} {where_}", self.name, self.boot));
    }

    /// A call suffers. Nothing that befalls a producer's database has anything delivered again.
    fn call_fault(&self, kind: &'static str, op: &str) {
        let (at, where_) = (self.now_us(), format_args!("{}/{} {op}", self.name, self.boot));
        if ["outbox_", "intent", "probe_row"].iter().any(|prefix| op.starts_with(prefix)) {
            self.universe.fault(at, kind, where_);
        } else {
            self.universe.upset(at, kind, where_);
        }
    }

    /// Draws what becomes of a call to a database.
    pub fn draw(&self, writes: bool) -> Course {
        let chaos = &self.chaos;
        let faulty = self.universe.is_faulty();
        let mut dice = self.dice.lock();
        let mut some = |probability: f64| faulty && dice.chance(probability);
        let fate = if self.cut.load(Ordering::Relaxed) {
            Fate::Cut
        } else if some(chaos.killed_at_call) {
            if some(0.5) { Fate::KilledBefore } else { Fate::KilledAfter }
        } else if some(chaos.call_fails) {
            Fate::Fails
        } else if some(chaos.answer_lost) && writes {
            Fate::AnswerLost
        } else {
            Fate::Well
        };
        let slow = some(chaos.call_slow);
        let longest_ms = match (slow, dice.below(4)) {
            (true, 0) => 4_000,
            (true, _) => 300,
            (false, 0) => 4,
            (false, _) => 0,
        };
        let mut wait = || Duration::from_millis(dice.below(longest_ms + 1));
        let (before, after) = (wait(), wait());
        Course { fate, before, after }
    }

    /// Makes a call take its course.
    pub async fn call<T, E>(
        &self,
        op: &'static str,
        writes: bool,
        unavailable: impl Fn(bool) -> E,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Course { fate, before, after } = self.draw(writes);
        if before + after > Duration::from_millis(100) {
            self.call_fault("call_slow", op);
        }
        pause(before).await;
        match fate {
            Fate::Cut => {
                self.call_fault("call_cut", op);
                pause(Duration::from_millis(self.with_dice(|dice| dice.within(1, 1_500)))).await;
                // Whether a request was lost or its answer cannot be told apart.
                return Err(unavailable(writes));
            }
            Fate::Fails => {
                self.call_fault("call_failed", op);
                return Err(unavailable(false));
            }
            Fate::KilledBefore => {
                self.universe.excuses(self.now_us(), Excuse::Everybody);
                self.fault("killed_before_call", format_args!("{op}"));
                return self.kill().await;
            }
            Fate::Well | Fate::AnswerLost | Fate::KilledAfter => {}
        }
        self.universe.database_reaches(self.now_us());
        let answer = work.await;
        match fate {
            Fate::KilledAfter => {
                self.universe.excuses(self.now_us(), Excuse::Everybody);
                self.fault("killed_after_call", format_args!("{op}"));
                self.kill().await
            }
            Fate::AnswerLost => {
                self.call_fault("answer_lost", op);
                pause(after).await;
                Err(unavailable(true))
            }
            _ => {
                pause(after).await;
                answer
            }
        }
    }
}

async fn pause(length: Duration) {
    if !length.is_zero() {
        sleep(length).await;
    }
}

/// The world that a node's thread is in while the node lives.
pub struct NodeWorld(pub Arc<Place>);

impl NodeWorld {
    pub fn of(place: &Arc<Place>) -> Rc<Self> {
        Rc::new(Self(place.clone()))
    }
}

impl World for NodeWorld {
    fn now(&self) -> Timestamp {
        let skew = self.0.skew_us.load(Ordering::Relaxed);
        Timestamp::from_micros(EPOCH_US + self.0.now_us().cast_signed() + skew)
    }

    fn roll(&self, bytes: &mut [u8]) {
        self.0.dice.lock().fill(bytes);
    }
}
