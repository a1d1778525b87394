//! So many at once, and whoever waits has its turn by tenants.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use tidings_event::TenantNo;
use tokio::sync::oneshot;

/// Places of which one tenant's many waiting callers take no more than their turn.
pub(crate) struct Turns {
    state: Mutex<State>,
}

struct State {
    free: usize,
    waiting: HashMap<TenantNo, VecDeque<oneshot::Sender<()>>>,
    /// Tenants of whom somebody waits, the one whose turn is next first.
    order: VecDeque<TenantNo>,
}

/// A place; given back when it is dropped.
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    /// Places for so many at once, at least one.
    pub(crate) fn new(places: usize) -> Self {
        Self { state: Mutex::new(State { free: places.max(1), waiting: HashMap::new(), order: VecDeque::new() }) }
    }

    /// Waits for a place. Whoever drops the future waits no more.
    pub(crate) async fn take(&self, tenant: TenantNo) -> Turn<'_> {
        let called = {
            let mut state = self.state.lock();
            if state.free > 0 {
                state.free -= 1;
                return Turn(self);
            }
            let (call, called) = oneshot::channel();
            let line = state.waiting.entry(tenant).or_default();
            line.push_back(call);
            if line.len() == 1 {
                state.order.push_back(tenant);
            }
            called
        };
        // From here on a call that nobody takes gives its place back.
        let called = Called { turns: self, called };
        called.wait().await
    }

    /// Gives a place to the next who still waits.
    fn give_back(&self) {
        let mut state = self.state.lock();
        while let Some(tenant) = state.order.pop_front() {
            let Some(line) = state.waiting.get_mut(&tenant) else { continue };
            let next = line.pop_front();
            if line.is_empty() {
                state.waiting.remove(&tenant);
            } else {
                state.order.push_back(tenant);
            }
            if next.is_some_and(|next| next.send(()).is_ok()) {
                return;
            }
        }
        state.free += 1;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// Somebody who waits to be called.
struct Called<'a> {
    turns: &'a Turns,
    called: oneshot::Receiver<()>,
}

impl<'a> Called<'a> {
    async fn wait(mut self) -> Turn<'a> {
        // The sender stands in the line until it calls: the turns outlive whoever waits.
        let _called = (&mut self.called).await;
        Turn(self.turns)
    }
}

impl Drop for Called<'_> {
    fn drop(&mut self) {
        // Called, but gone before it could take its place: the next one has it. Where the call was taken there is
        // nothing left to receive.
        self.called.close();
        if self.called.try_recv().is_ok() {
            self.turns.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_has_its_turn_by_tenants() {
        let turns = Turns::new(1);
        let held = turns.take(TenantNo(1)).await;
        let mut waiting: Vec<_> = [1, 1, 1, 2, 2, 3].map(|no| Box::pin(turns.take(TenantNo(no)))).into();
        for call in &mut waiting {
            assert!(poll!(call).is_pending());
        }
        drop(held);
        let mut order = Vec::new();
        while order.len() < waiting.len() {
            for (at, call) in waiting.iter_mut().enumerate() {
                if !order.contains(&at)
                    && let std::task::Poll::Ready(turn) = poll!(call)
                {
                    order.push(at);
                    drop(turn);
                }
            }
        }
        assert_eq!(order, [0, 3, 5, 1, 4, 2]);
        assert!(turns.state.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn so_many_are_in_at_once_and_no_more() {
        let turns = Turns::new(2);
        let (first, _second) = (turns.take(TenantNo(1)).await, turns.take(TenantNo(1)).await);
        let mut third = pin!(turns.take(TenantNo(2)));
        assert!(poll!(&mut third).is_pending());
        drop(first);
        let _third = third.await;
        assert!(poll!(pin!(turns.take(TenantNo(3)))).is_pending());
    }

    #[tokio::test]
    async fn who_goes_away_leaves_its_turn_to_the_next_whether_it_was_called_or_not() {
        let turns = Turns::new(1);
        let held = turns.take(TenantNo(1)).await;
        let mut gone = Box::pin(turns.take(TenantNo(1)));
        let mut called = Box::pin(turns.take(TenantNo(2)));
        let mut last = pin!(turns.take(TenantNo(3)));
        assert!(poll!(&mut gone).is_pending() && poll!(&mut called).is_pending() && poll!(&mut last).is_pending());
        drop(gone);
        drop(held);
        drop(called);
        let _last = last.await;
    }

    #[tokio::test]
    async fn all_places_are_there_again_in_the_end() {
        let turns = Turns::new(3);
        for round in 0..100 {
            let held: Vec<Turn<'_>> = vec![turns.take(TenantNo(1)).await, turns.take(TenantNo(2)).await];
            let mut waiting: Vec<_> = (0..4).map(|no| Box::pin(turns.take(TenantNo(no + round % 2)))).collect();
            for call in &mut waiting {
                let _in = poll!(call);
            }
            drop(held);
            drop(waiting);
        }
        assert_eq!(turns.state.lock().free, 3);
    }
}
