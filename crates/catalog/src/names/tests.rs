use proptest::prelude::*;

use super::*;

/// The codes of what is found in a name that are more than advice, and what is proposed.
fn judge(name: &str) -> (Vec<&'static str>, Option<String>) {
    let findings = lint(&EventType::parse(name).expect("a type"));
    let serious: Vec<_> = findings.into_iter().filter(|finding| finding.severity != Severity::Info).collect();
    let proposal = serious.first().and_then(|finding| finding.proposal.clone());
    (serious.into_iter().map(|finding| finding.code).collect(), proposal)
}

#[test]
fn names_that_say_what_happened_pass() {
    for name in [
        "sales.lead.created",
        "sales.lead.status_changed",
        "sales.lead.changed",
        "billing.payment.failed",
        "billing.invoice.paid",
        "billing.invoice.sent",
        "billing.payment.requested",
        "billing.refund.approval_requested",
        "auth.user.password_reset",
        "auth.user.reset",
        "auth.user.logged_in",
        "auth.session.timed_out",
        "auth.user.signed_up",
        "auth.oauth2_token.issued",
        "auth.oauth2.token_issued",
        "storage.s3.object_deleted",
        "shop.cart.set",
        "shop.cart.item_put_aside",
        "shop.order.split",
        "shop.order.shipped_to_customer",
        "shop.order.assigned_to_agent",
        "shop.order.written_off",
        "shop.product.bought",
        "shop.deal.won",
        "shop.deal.lost",
        "shop.deal.closed_won",
        "chat.message.read",
        "chat.message.marked_as_read",
        "chat.message.broadcast",
        "chat.conversation.begun",
        "ai.decision.recorded",
        "ai.tool.invoked",
        "ai.policy.violated",
        "ai.evaluation.completed",
        "ai.feedback.ingested",
        "workflow.run.started",
        "workflow.process.started",
        "workflow.status.updated",
        "workflow.processing.finished",
        "crm.address.verified",
        "crm.analysis.completed",
        "crm.series.cancelled",
        "crm.business.access_granted",
        "news.news.published",
        "transit.bus.departed",
        "payments.payment.settled",
        "invoice.overdue_notice_sent",
        "invoice.became_overdue",
        "device.went_offline",
        "a.b.c.d.created",
        "calendar.event.moved",
        "chat.message.sent",
        "hr.employee.fired",
        "media.video.not_delivered",
        "media.video.made_public",
        "billing.invoice.marked_uncollectible",
        "billing.payment.failed_permanently",
        "billing.balance.funds_became_available",
        "github.branch.converted_to_draft",
        "shop.task.freed",
        "sales.deal.agreed",
        "shop.goods.received",
        "shop.clothes.returned",
        "meeting.minutes.approved",
        "bank.earnings.reported",
        "bank.funds.withdrawn",
        "shop.contents.checked",
        "legal.terms.accepted",
        "app.settings.changed",
        "app.preferences.saved",
        "auth.credentials.rotated",
        "shop.details.updated",
        "data.sync.completed",
        "data.export.requested",
    ] {
        assert_eq!(judge(name), (vec![], None), "{name}");
    }
}

#[test]
fn names_that_do_not_are_refused_with_one_that_does() {
    let rows: &[(&str, &[&str], &str)] = &[
        // Commands.
        ("email.message.send_email", &["name_command"], "email.message.email_sent"),
        ("crm.email.send_email", &["name_command"], "crm.email.sent"),
        ("crm.email.send", &["name_command"], "crm.email.sent"),
        ("shop.order.create_order", &["name_command"], "shop.order.created"),
        ("shop.order.create_orders", &["name_command"], "shop.order.created"),
        ("shop.order.order_create", &["name_command"], "shop.order.created"),
        ("shop.cart.order_create", &["name_command"], "shop.cart.order_created"),
        ("billing.invoice.request_payment", &["name_command"], "billing.invoice.payment_requested"),
        ("billing.invoice.pay", &["name_command"], "billing.invoice.paid"),
        ("auth.user.reset_password", &["name_command"], "auth.user.password_reset"),
        ("auth.user.set_email", &["name_command"], "auth.user.email_set"),
        ("auth.user.log_in", &["name_command"], "auth.user.logged_in"),
        ("auth.user.update", &["name_command"], "auth.user.updated"),
        ("auth.user.notify", &["name_command"], "auth.user.notified"),
        ("auth.user.stop", &["name_command"], "auth.user.stopped"),
        ("auth.user.choose_plan", &["name_command"], "auth.user.plan_chosen"),
        ("workflow.task.cancel", &["name_command"], "workflow.task.cancelled"),
        ("workflow.task.transfer_to_team", &["name_command"], "workflow.task.transferred_to_team"),
        // Present and progressive.
        ("shop.order.creates", &["name_present"], "shop.order.created"),
        ("shop.order.tries", &["name_present"], "shop.order.tried"),
        ("shop.order.sends_mail", &["name_present"], "shop.order.mail_sent"),
        ("shop.order.creating", &["name_progressive"], "shop.order.created"),
        ("shop.order.shipping", &["name_progressive"], "shop.order.shipped"),
        ("shop.order.paying", &["name_progressive"], "shop.order.paid"),
        ("shop.order.sending_mail", &["name_present"], "shop.order.mail_sent"),
        ("shop.letter.wrote", &["name_not_past_tense"], "shop.letter.written"),
        ("shop.letter.chose", &["name_not_past_tense"], "shop.letter.chosen"),
        // Words that only say when.
        ("shop.order.was_created", &["name_tense_word"], "shop.order.created"),
        ("shop.order.has_been_sent", &["name_tense_word"], "shop.order.sent"),
        ("shop.order.please_confirm", &["name_tense_word", "name_command"], "shop.order.confirmed"),
        ("shop.order.is_active", &["name_tense_word", "name_state"], "shop.order.became_active"),
        // Nouns.
        ("shop.order.creation", &["name_noun"], "shop.order.created"),
        ("shop.order.deletion", &["name_noun"], "shop.order.deleted"),
        ("shop.order.cancellation", &["name_noun"], "shop.order.cancelled"),
        ("shop.order.shipment", &["name_noun"], "shop.order.shipped"),
        ("shop.order.approval", &["name_noun"], "shop.order.approved"),
        ("shop.order.assignment", &["name_noun"], "shop.order.assigned"),
        ("shop.order.payment_failure", &["name_noun"], "shop.order.payment_failed"),
        ("shop.order.status_modification", &["name_noun"], "shop.order.status_modified"),
        ("auth.user.registration", &["name_noun"], "auth.user.registered"),
        ("auth.user.activation", &["name_noun"], "auth.user.activated"),
        ("auth.user.login", &["name_noun"], "auth.user.logged_in"),
        ("auth.user.verification", &["name_noun"], "auth.user.verified"),
        ("billing.invoice.overdue", &["name_state"], "billing.invoice.became_overdue"),
        ("stripe.cash_balance.funds_available", &["name_state"], "stripe.cash_balance.funds_became_available"),
        ("shop.product.make_available", &["name_command"], "shop.product.made_available"),
        ("device.sensor.online", &["name_state"], "device.sensor.went_online"),
        // Plurals.
        ("auth.permissions.granted", &["name_plural"], "auth.permission.granted"),
        ("ops.metrics.exported", &["name_plural"], "ops.metric.exported"),
        ("shop.returns.approved", &["name_plural"], "shop.return.approved"),
        ("shop.orders.created", &["name_plural"], "shop.order.created"),
        ("orders.created", &["name_plural"], "order.created"),
        ("shop.order_items.added", &["name_plural"], "shop.order_item.added"),
        ("crm.people.merged", &["name_plural"], "crm.person.merged"),
        ("crm.companies.merged", &["name_plural"], "crm.company.merged"),
        ("crm.addresses.changed", &["name_plural"], "crm.address.changed"),
        ("crm.statuses.changed", &["name_plural"], "crm.status.changed"),
        // Versions.
        ("shop.order.created_v2", &["name_version_suffix"], "shop.order.created"),
        ("shop.order.created2", &["name_version_suffix"], "shop.order.created"),
        ("shop.order.created_2", &["name_version_suffix"], "shop.order.created"),
        ("shop.order.created.v1", &["name_version_suffix"], "shop.order.created"),
        ("shop.order_v2.created", &["name_version_suffix"], "shop.order.created"),
        ("shop.v2.order.created", &["name_version_suffix"], "shop.order.created"),
        // Generic ones.
        ("shop.order.event", &["name_generic"], "shop.order.changed"),
        ("shop.order.data", &["name_generic"], "shop.order.changed"),
        ("shop.order.created_event", &["name_generic"], "shop.order.created"),
        ("shop.order.status", &["name_not_past_tense"], "shop.order.status_changed"),
        ("shop.order.billing_address", &["name_not_past_tense"], "shop.order.billing_address_changed"),
        ("shop.order.speed", &["name_command"], "shop.order.sped"),
        ("shop.order.feed", &["name_command"], "shop.order.fed"),
        // Several at once.
        ("shop.orders.create_v2", &["name_version_suffix", "name_plural", "name_command"], "shop.order.created"),
        ("shop.emails.send_emails", &["name_plural", "name_command"], "shop.email.sent"),
    ];
    for (name, codes, proposal) in rows {
        assert_eq!(judge(name), (codes.to_vec(), Some((*proposal).to_owned())), "{name}");
        assert_eq!(judge(proposal), (vec![], None), "what is proposed for {name} passes itself");
    }
}

#[test]
fn nothing_is_proposed_where_what_is_meant_can_only_be_guessed() {
    for (name, code) in [
        ("stripe.subscription.trial_will_end", "name_not_past_tense"),
        ("stripe.invoice.will_be_due", "name_tense_word"),
        ("shop.order.will_send", "name_tense_word"),
        ("shop.order.to_be_shipped", "name_tense_word"),
        ("github.sponsorship.pending_cancellation", "name_not_past_tense"),
        ("news.reader.rss_feed", "name_not_past_tense"),
        ("billing.invoice.credit_note", "name_command"),
        ("shop.parcel.out_for_delivery", "name_not_past_tense"),
        ("shop.product.out_of_stock", "name_not_past_tense"),
        ("hr.employee.on_leave", "name_not_past_tense"),
        ("github.workflow_run.in_progress", "name_not_past_tense"),
        ("github.pull_request.ready_for_review", "name_not_past_tense"),
        ("stripe.invoice.upcoming", "name_not_past_tense"),
        ("stripe.invoice.unpaid", "name_not_past_tense"),
        ("shop.order.foo", "name_not_past_tense"),
        ("shop.fabric.tweed", "name_not_past_tense"),
        ("shop.reader.newsfeed", "name_not_past_tense"),
        ("device.lamp.led", "name_not_past_tense"),
        ("shop.club.united", "name_not_past_tense"),
        ("shop.report.detailed", "name_not_past_tense"),
        ("shop.course.advanced", "name_not_past_tense"),
        ("shop.garden.shed", "name_command"),
        ("shop.order.become", "name_command"),
        ("shop.order.come", "name_command"),
        ("shop.order.cost", "name_command"),
        ("shop.flat.let", "name_command"),
        ("shop.product.limited_edition", "name_not_past_tense"),
        ("plant.valve.closed_loop_control", "name_not_past_tense"),
        ("ops.cron.scheduled_job", "name_not_past_tense"),
        ("billing.invoice.failed_payment_retry", "name_not_past_tense"),
        ("billing.invoice.paid_status", "name_not_past_tense"),
    ] {
        let (codes, proposal) = judge(name);
        assert_eq!((codes.first().copied(), proposal), (Some(code), None), "{name}");
    }
    assert_eq!(judge("med.wound.bleed"), (vec!["name_command"], Some("med.wound.bled".to_owned())));
}

#[test]
fn what_is_only_likely_wrong_is_a_warning() {
    let severity = |name: &str| lint(&EventType::parse(name).expect("a type"))[0].severity;
    for name in ["auth.permissions.granted", "ops.cron.scheduled_job", "shop.course.advanced", "zoo.zebras.fed"] {
        assert_eq!(severity(name), Severity::Warning, "{name}");
    }
    for name in ["shop.orders.created", "crm.people.merged", "shop.order_items.added", "ops.cron.schedule_job"] {
        assert_eq!(severity(name), Severity::Error, "{name}");
    }
}

#[test]
fn a_name_that_says_nothing_of_its_entity_is_warned_of() {
    assert_eq!(judge("data.created"), (vec!["name_generic"], None));
    assert_eq!(judge("shop.data.changed"), (vec!["name_generic"], None));
}

#[test]
fn names_of_another_length_are_advised() {
    let codes =
        |name: &str| lint(&EventType::parse(name).expect("a type")).into_iter().map(|f| f.code).collect::<Vec<_>>();
    assert_eq!(codes("order.created"), ["name_short"]);
    assert_eq!(codes("shop.eu.order.created"), ["name_long"]);
}

#[test]
fn an_exception_with_a_reason_makes_errors_advice() {
    let name = EventType::parse("shop.orders.create").expect("a type");
    let mut definition =
        Definition::new(name, tidings_event::Version::first(), "shop", serde_json::json!({ "type": "object" }));
    assert!(lint_definition(&definition).iter().any(|finding| finding.severity == Severity::Error));
    definition.name_exception = Some("the old shop calls it so".to_owned());
    let findings = lint_definition(&definition);
    assert!(findings.iter().all(|finding| finding.severity == Severity::Info));
    assert!(findings[0].message.ends_with("(excepted: the old shop calls it so)"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]
    #[test]
    fn every_name_is_judged_and_what_is_proposed_passes(
        segments in prop::collection::vec(
            "(v[0-9]|is|was|to|reset|set|send|created|orders|ing|ses|[a-z]{1,6})(_(v2|[0-9]|ed|s|will|[a-z]{1,5})){0,3}", 2..=5,
        )
    ) {
        let name = EventType::parse(segments.join(".")).expect("a type");
        for finding in lint(&name) {
            if let Some(proposal) = finding.proposal {
                prop_assert_ne!(&proposal, name.as_str());
                prop_assert_eq!(judge(&proposal), (vec![], None), "proposed for {}", name);
            }
        }
    }
}
