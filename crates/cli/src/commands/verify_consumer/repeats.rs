//! Repeats, reordering, and keys that change: all of it happens with a sender that delivers at least once.

use bytes::Bytes;

use super::report::{Group, Outcome, Report};
use super::sender::{Sender, accepted, is_taken_or_later, tally};
use crate::commands::webhook::now_s;
use crate::failure::Failure;

/// Times that one event comes at the same moment.
const AT_ONCE: usize = 4;

pub(super) async fn check(sender: &mut Sender, report: &mut Report) -> Result<(), Failure> {
    report.group(Group::Repeats)?;
    repeats(sender, report).await?;
    reordered(sender, report).await?;
    keys(sender, report).await
}

async fn repeats(sender: &mut Sender, report: &mut Report) -> Result<(), Failure> {
    let first = sender.good()?;
    let answer = sender.send(first.clone()).await?;
    let before = sender.settled_state().await;
    let is_known = accepted(&answer);
    let again = sender.send(first.clone()).await?;
    let outcome = if is_known.is_failed() { is_known.and("the first time already") } else { accepted(&again) };
    report.add(
        "duplicate",
        "accepts the very same delivery once more",
        "An answer that got lost on its way makes the sender send again. A repeat that is refused is tried until it is given up.",
        outcome,
    )?;

    let mut retry = first.clone();
    retry.attempt = 2;
    retry.sign(&sender.signer, now_s() + 1);
    let answer = sender.send(retry).await?;
    report.add(
        "retry",
        "accepts the same id with another timestamp",
        "Each attempt is signed anew: the same id and body, another timestamp and signature.",
        accepted(&answer),
    )?;
    let after = sender.settled_state().await;
    report_effects(report, before, after, "repeat_without_effect", "does nothing again on a repeat")?;

    let before = sender.settled_state().await;
    let answers = sender.send_all(vec![first; AT_ONCE]).await?;
    let is_good = answers.iter().all(is_taken_or_later) && answers.iter().any(|a| !accepted(a).is_failed());
    report.add(
        "concurrent_duplicates",
        "accepts repeats that come at the same moment",
        "After a timeout the second attempt may meet the first one, still at work. Both are answered 2xx, or one of them 409, 425, 429 or 503 to come again.",
        if is_good { Outcome::passed(tally(&answers)) } else { Outcome::failed(tally(&answers)) },
    )?;
    let after = sender.settled_state().await;
    let title = "does nothing again on repeats at the same moment";
    report_effects(report, before, after, "concurrent_without_effect", title)?;
    fresh_at_once(sender, report).await
}

/// An event that nobody has seen before, several times at once: it may have one effect.
async fn fresh_at_once(sender: &mut Sender, report: &mut Report) -> Result<(), Failure> {
    let fresh = sender.good()?;
    let mut answers = sender.send_all(vec![fresh.clone(); AT_ONCE]).await?;
    let after = sender.settled_state().await;
    // Who was told to come again comes again.
    answers.push(sender.send(fresh).await?);
    let last = sender.settled_state().await;
    let is_good = answers.iter().all(is_taken_or_later) && answers.last().is_some_and(|a| !accepted(a).is_failed());
    let mut outcome = if is_good { Outcome::passed(tally(&answers)) } else { Outcome::failed(tally(&answers)) };
    if after != last {
        outcome = Outcome::failed("a repeat changed the state");
    }
    report.add(
        "fresh_duplicates",
        "accepts a new event that comes several times at once",
        "Two attempts may meet before either is remembered. The event's effect and the note of its id belong in one transaction.",
        outcome,
    )
}

/// Whether a repeat left the state as it was; nothing where effects cannot be seen.
fn report_effects(
    report: &mut Report,
    before: Option<Bytes>,
    after: Option<Bytes>,
    id: &'static str,
    title: &'static str,
) -> Result<(), Failure> {
    let (Some(before), Some(after)) = (before, after) else { return Ok(()) };
    let outcome = if before == after {
        Outcome::passed("the state is as it was")
    } else {
        Outcome::failed("the state has changed")
    };
    let why = "What is delivered at least once is delivered twice now and then: an amount would be booked twice.";
    report.add(id, title, why, outcome)
}

async fn reordered(sender: &mut Sender, report: &mut Report) -> Result<(), Failure> {
    let older = sender.next("two").webhook();
    let newer = sender.next("two").webhook();
    let (older, newer) = (sender.signed(older), sender.signed(newer));
    let early = sender.send(newer.clone()).await?;
    let late = sender.send(older).await?;
    let again = sender.send(newer).await?;
    let is_good = is_taken_or_later(&early) && !accepted(&late).is_failed() && !accepted(&again).is_failed();
    let seen = tally(&[early, late, again]);
    report.add(
        "reordered",
        "accepts two events in the wrong order",
        "Unless the endpoint asks for an order, a retry comes after events that are newer. The early one may be answered 409, 425, 429 or 503 to come again; the late one is accepted.",
        if is_good { Outcome::passed(seen) } else { Outcome::failed(seen) },
    )
}

async fn keys(sender: &mut Sender, report: &mut Report) -> Result<(), Failure> {
    let (mut webhook, now) = (sender.next("one").webhook(), now_s());
    webhook.sign(&sender.stranger, now);
    let other = webhook.signature.take();
    webhook.sign(&sender.signer, now);
    webhook.signature = joined(other.as_deref(), webhook.signature.as_deref());
    let answer = sender.send(webhook).await?;
    report.add(
        "rotated_keys",
        "accepts two signatures of which the second is right",
        "While a secret is replaced each delivery carries one signature a secret. All have to be tried.",
        accepted(&answer),
    )?;

    let webhook = sender.next("one").webhook();
    let mut webhook = sender.signed(webhook);
    webhook.signature = joined(Some("v9,bm90IGEgc2lnbmF0dXJl x99z,!!"), webhook.signature.as_deref());
    let answer = sender.send(webhook).await?;
    report.add(
        "unknown_version_beside",
        "accepts a right signature beside versions that it does not know",
        "A later version of the standard may add signatures of another kind. What is not known is passed over.",
        accepted(&answer),
    )
}

fn joined(first: Option<&str>, second: Option<&str>) -> Option<String> {
    Some(format!("{} {}", first?, second?))
}
