//! Many deliveries at once, and how fast they are answered.

use std::time::Duration;

use super::report::{Group, Outcome, Report};
use super::sender::{Sender, accepted, is_taken_or_later, tally};
use crate::failure::Failure;

/// Deliveries at the same moment: as many as an endpoint that answers well comes to have under way.
const AT_ONCE: usize = 64;
/// How long an attempt may take where an endpoint sets nothing else.
const TIMEOUT: Duration = Duration::from_secs(15);

pub(super) async fn check(sender: &mut Sender, report: &mut Report) -> Result<(), Failure> {
    report.group(Group::Load)?;
    let drafts: Vec<_> = (0..AT_ONCE).map(|number| sender.next(&format!("at_once_{number}"))).collect();
    let webhooks: Vec<_> = drafts.iter().map(|draft| sender.signed(draft.webhook())).collect();
    let mut answers = sender.send_all(webhooks.clone()).await?;
    let mut is_good = answers.iter().all(is_taken_or_later);
    let put_off: Vec<_> = answers.iter().map(|answer| accepted(answer).is_failed()).collect();
    for (webhook, _) in webhooks.into_iter().zip(put_off).filter(|(_, put_off)| *put_off) {
        if !is_good {
            break;
        }
        // What was put off comes again, by itself and in order.
        let again = sender.signed(webhook);
        let answer = sender.send(again).await?;
        is_good &= !accepted(&answer).is_failed();
        answers.push(answer);
    }
    report.add(
        "concurrent",
        "answers 64 deliveries at the same moment",
        "An endpoint without an order gets up to 64 at once. What it cannot take it answers with 429 or 503, and gets less.",
        if is_good { Outcome::passed(tally(&answers)) } else { Outcome::failed(tally(&answers)) },
    )?;

    let mut times = sender.times.clone();
    times.sort_unstable();
    let (half, longest) = (times.get(times.len() / 2).copied(), times.last().copied());
    if let (Some(half), Some(longest)) = (half, longest) {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        let seen = format!("half within {:.1} ms, the longest {:.1} ms", ms(half), ms(longest));
        let outcome = if longest > TIMEOUT { Outcome::warned(seen) } else { Outcome::noted(seen) };
        let why = "An attempt may take 15 s unless the endpoint says otherwise; what takes longer counts as failed and comes again. Answer first, work after.";
        report.add("answer_time", "answers within 15 s", why, outcome)?;
    }

    let good = sender.good()?;
    let answer = sender.send(good).await?;
    report.add(
        "still_there",
        "accepts a good delivery after all of this",
        "What a sender may send must not bring it down.",
        accepted(&answer),
    )
}
