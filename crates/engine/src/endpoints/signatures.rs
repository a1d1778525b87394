//! What follows.
#![allow(clippy::todo, unused_variables, clippy::unused_async)]
use super::*;

impl Endpoints {
    /// Makes an endpoint. Returns it with the secret's text, shown this once, and the public key where there is one.
    /// A tenant that has no events yet may have endpoints. With a challenge its status is disabled, for the reason
    /// `unverified`, until [`Self::verify`] succeeds.
    pub async fn create(
        &self,
        who: &Who,
        tenant: &TenantId,
        new: NewEndpoint,
    ) -> Result<(Endpoint, String, Option<String>)> {
        todo!()
    }
    /// One endpoint.
    pub async fn get(&self, tenant: &TenantId, id: &EndpointId) -> Result<Endpoint> {
        todo!()
    }
    /// Endpoints by id, after the given one; at most `limit`.
    pub async fn list(&self, tenant: &TenantId, after: Option<&EndpointId>, limit: usize) -> Result<Vec<Endpoint>> {
        todo!()
    }
    /// Changes an endpoint.
    pub async fn update(
        &self,
        who: &Who,
        tenant: &TenantId,
        id: &EndpointId,
        patch: EndpointPatch,
    ) -> Result<Endpoint> {
        todo!()
    }
    /// Deletes an endpoint, its secrets and what waits for it.
    pub async fn delete(&self, who: &Who, tenant: &TenantId, id: &EndpointId) -> Result<()> {
        todo!()
    }
    /// The secrets that sign now, newest first, without the secrets.
    pub async fn secrets(&self, tenant: &TenantId, id: &EndpointId) -> Result<Vec<SecretInfo>> {
        todo!()
    }
    /// Gives an endpoint a new secret; the old ones go on to sign for a while. Returns the new secret's text, shown
    /// this once, and the public key where there is one.
    pub async fn rotate(
        &self,
        who: &Who,
        tenant: &TenantId,
        id: &EndpointId,
        rotate: Rotate,
    ) -> Result<(String, Option<String>)> {
        todo!()
    }
    /// Challenges the owner of an endpoint's URL, and makes the endpoint active when the answer is right.
    pub async fn verify(&self, who: &Who, tenant: &TenantId, id: &EndpointId) -> Result<Exchange> {
        todo!()
    }
    /// Sends a signed sample and shows the whole exchange.
    pub async fn test(&self, tenant: &TenantId, id: &EndpointId, event_type: Option<String>) -> Result<Exchange> {
        todo!()
    }
    /// How an endpoint does.
    pub async fn stats(&self, tenant: &TenantId, id: &EndpointId) -> Result<Stats> {
        todo!()
    }
    /// Attempts, newest first, and the cursor of the next page.
    pub async fn attempts(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
        search: AttemptSearch,
    ) -> Result<(Vec<Attempt>, Option<String>)> {
        todo!()
    }
    /// Dead letters, oldest sequence first, and the cursor of the next page.
    pub async fn dead_letters(
        &self,
        tenant: &TenantId,
        search: DeadSearch,
    ) -> Result<(Vec<DeadLetterView>, Option<String>)> {
        todo!()
    }
    /// One dead letter by its id.
    pub async fn dead_letter(&self, tenant: &TenantId, id: &str) -> Result<DeadLetterView> {
        todo!()
    }
    /// Delivers a dead letter after all.
    pub async fn redrive(&self, who: &Who, tenant: &TenantId, id: &str) -> Result<()> {
        todo!()
    }
    /// Forgets a dead letter.
    pub async fn discard(&self, who: &Who, tenant: &TenantId, id: &str) -> Result<()> {
        todo!()
    }
    /// Delivers all dead letters after all that a search finds; returns how many.
    pub async fn redrive_all(&self, who: &Who, tenant: &TenantId, search: DeadSearch) -> Result<u64> {
        todo!()
    }
    /// Forgets all dead letters that a search finds; returns how many.
    pub async fn discard_all(&self, who: &Who, tenant: &TenantId, search: DeadSearch) -> Result<u64> {
        todo!()
    }
    /// Sends past events once more, in a lane of its own, or only counts them.
    pub async fn replay(&self, who: &Who, tenant: &TenantId, id: &EndpointId, new: NewReplay) -> Result<ReplayStarted> {
        todo!()
    }
    /// Replays of an endpoint, newest first, and the cursor of the next page.
    pub async fn replays(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Replay>, Option<String>)> {
        todo!()
    }
    /// One replay.
    pub async fn replay_get(&self, tenant: &TenantId, id: &EndpointId, replay: &str) -> Result<Replay> {
        todo!()
    }
    /// Ends a replay; one that has ended stays as it is.
    pub async fn replay_cancel(&self, who: &Who, tenant: &TenantId, id: &EndpointId, replay: &str) -> Result<Replay> {
        todo!()
    }
    /// Why an event did or did not reach an endpoint.
    pub async fn explain(&self, tenant: &TenantId, id: &EndpointId, event: &EventId) -> Result<Explanation> {
        todo!()
    }
    /// What a selection would have found among past events, before it is switched on.
    pub async fn backtest(&self, tenant: &TenantId, query: BacktestQuery) -> Result<Backtest> {
        todo!()
    }
}
