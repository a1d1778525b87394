//! Whoever owns an endpoint: makes it, changes what it wants, pauses and resumes it, rotates its secret, and makes it
//! active again where it was disabled.

use tidings_engine::EndpointError;
use tidings_engine::endpoints::{EndpointPatch, EndpointSettings, From, NewEndpoint, Ordering, Rotate, Wanted};
use tidings_event::{EndpointId, TenantId};

use super::emitter::who;
use super::{Heard, Reach, hear, tenant};
use crate::dice::Dice;
use crate::ledger::TYPES;
use crate::node::Call;

type Answer = Result<Option<EndpointId>, EndpointError>;

pub struct Owner {
    host: u64,
    tenant: String,
    dice: Dice,
    tries: u32,
    /// Once it is made and its owner knows.
    id: Option<EndpointId>,
    call: Option<Call<Answer>>,
    next_us: u64,
    /// It was made active after all faults.
    settled: bool,
    settling: bool,
}

impl Owner {
    pub fn new(host: u64, tenants: u64, mut dice: Dice) -> Self {
        let tenant = tenant(dice.below(tenants));
        let next_us = if dice.chance(0.5) { 0 } else { dice.below(3_000_000) };
        Self { host, tenant, dice, tries: 0, id: None, call: None, next_us, settled: false, settling: false }
    }

    /// Nothing is left to do for it.
    pub fn is_idle(&self) -> bool {
        self.settled && self.call.is_none()
    }

    pub fn step(&mut self, reach: &Reach<'_>) {
        if let Some(call) = &self.call {
            match hear(call, reach.now_us()) {
                Heard::Nothing => return,
                Heard::Answer(Ok(made)) if !reach.loses_reply(&mut self.dice, "an owner") => {
                    if made.is_some() {
                        self.id = made;
                    }
                    self.settled = self.settling;
                }
                Heard::Answer(_) | Heard::Never => {}
            }
            self.call = None;
            self.next_us = reach.now_us() + self.dice.within(10_000, 3_000_000);
        }
        let finishing = !reach.working && !self.settled;
        if finishing && !reach.outside.universe.is_faulty() {
            self.next_us = self.next_us.min(reach.now_us() + 200_000);
        }
        if reach.now_us() < self.next_us || !(reach.working || finishing) {
            return;
        }
        self.settling = false;
        self.call = match self.id.clone() {
            None if reach.working => self.make(reach),
            // Its owner never heard of it, so it is nobody's to make active; it cannot have been paused.
            None => {
                self.settled = true;
                None
            }
            Some(id) => self.change(id, reach),
        };
        if self.call.is_none() {
            self.next_us = reach.now_us() + 100_000;
        }
    }

    fn make(&mut self, reach: &Reach<'_>) -> Option<Call<Answer>> {
        self.tries += 1;
        let tenant = TenantId::parse(self.tenant.as_str()).ok()?;
        let ordering = *self.dice.pick(&[Ordering::None, Ordering::Entity, Ordering::Entity, Ordering::Strict]);
        let schedule = [vec![0, 1, 1, 2, 3, 5, 8, 13, 21], vec![0, 1], vec![0, 1, 2, 4, 8, 16, 32]];
        let new = NewEndpoint {
            url: format!("http://h{}.sim/{}", self.host, self.tries),
            types: self.types(),
            settings: EndpointSettings {
                ordering,
                timeout_ms: 2_000,
                retry_schedule_s: self.dice.pick(&schedule).clone(),
                ..EndpointSettings::default()
            },
            from: if self.dice.chance(0.5) { From::Start } else { From::Now },
            ..NewEndpoint::default()
        };
        let node = reach.some_node(&mut self.dice);
        node.call(&reach.outside.universe, |engine, _| async move {
            let (endpoint, ..) = engine.endpoints().create(&who(), &tenant, new).await?;
            Ok(Some(endpoint.id))
        })
    }

    fn types(&mut self) -> Vec<String> {
        match self.dice.below(3) {
            0 => Vec::new(),
            1 => vec!["shop.order.*".to_owned()],
            _ => vec![(*self.dice.pick(&TYPES)).to_owned()],
        }
    }

    fn change(&mut self, id: EndpointId, reach: &Reach<'_>) -> Option<Call<Answer>> {
        let tenant = TenantId::parse(self.tenant.as_str()).ok()?;
        let mut patch = EndpointPatch::default();
        let mut rotates = false;
        if reach.working {
            match self.dice.below(6) {
                0 => patch.types = Some(self.types()),
                1 => patch.status = Some(Wanted::Paused),
                2..4 => patch.status = Some(Wanted::Active),
                4 => rotates = true,
                _ => patch.description = Some(format!("changed at {}", reach.now_us())),
            }
        } else {
            patch.status = Some(Wanted::Active);
            // One that is disabled while faults last is made active again after them.
            self.settling = !reach.outside.universe.is_faulty();
        }
        let node = reach.some_node(&mut self.dice);
        node.call(&reach.outside.universe, |engine, _| async move {
            let endpoints = engine.endpoints();
            if rotates {
                endpoints.rotate(&who(), &tenant, &id, Rotate::default()).await?;
            } else {
                endpoints.update(&who(), &tenant, &id, patch).await?;
            }
            Ok(None)
        })
    }
}
