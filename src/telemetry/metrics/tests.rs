//! Events move the right figures, and nothing else.

use super::*;
use crate::model::channel::Channel;
use crate::model::contact::{Mode, NotAdmitted, Outcome, Resolution, StateName};
use crate::model::event::{About, AssignedReason, Event, EventBody, QueuedReason};
use crate::model::id::{AdministrationId, ContactId, ConversationId, OfficeId, OperatorId, PoolId, QueueId};
use crate::model::operator::PresenceState;
use crate::model::time::Timestamp;
use crate::port::store::ContactCount;

fn pool() -> PoolId {
    PoolId::new("main").expect("name")
}

fn event(seconds: i64, contact: u128, mode: Mode, body: EventBody) -> Event {
    let name = "urp";
    let about = About {
        contact: ContactId(contact),
        conversation: ConversationId(contact),
        administration: AdministrationId::new("comune").expect("name"),
        office: OfficeId::new(name).expect("name"),
        queue: QueueId::new(name).expect("name"),
        channel: Channel::new(if mode == Mode::Live { "phone" } else { "email" }).expect("name"),
        mode,
        version: 1,
    };
    Event { seq: seconds, at: Timestamp::from_secs(seconds), about: Some(about), body }
}

fn queued(reason: QueuedReason) -> EventBody {
    EventBody::ContactQueued { due: Timestamp::from_secs(1_000), reason }
}

/// Whether the text has the series with the value.
fn shows(metrics: &Metrics, series: &str, value: &str) {
    let text = metrics.encode();
    let line = format!("{series} {value}");
    assert!(
        text.lines().any(|found| found == line),
        "no `{line}` in\n{}",
        text.lines().filter(|found| found.starts_with(&series[..20])).collect::<Vec<_>>().join("\n")
    );
}

const PHONE: &str = r#"administration="comune",channel="phone""#;
const EMAIL: &str = r#"administration="comune",channel="email""#;

#[test]
fn a_live_contact_rings_and_is_accepted() {
    let metrics = Metrics::new();
    let operator = OperatorId(1);
    for (at, body) in [
        (0, queued(QueuedReason::New)),
        (3, EventBody::OfferMade { ordinal: 1, operator, deadline: Timestamp::from_secs(23) }),
        (23, EventBody::OfferExpired { ordinal: 1, operator }),
        (23, queued(QueuedReason::Expired)),
        (24, EventBody::OfferMade { ordinal: 2, operator, deadline: Timestamp::from_secs(44) }),
        (28, EventBody::OfferAccepted { ordinal: 2, operator }),
        (100, EventBody::ContactClosed { operator: Some(operator), outcome: Outcome { topic: None, resolution: Resolution::Resolved } }),
    ] {
        metrics.event(&pool(), &event(at, 1, Mode::Live, body));
    }
    shows(&metrics, &format!("sportello_offers_total{{{PHONE},outcome=\"made\",queue=\"urp\"}}"), "2");
    shows(&metrics, &format!("sportello_offers_total{{{PHONE},outcome=\"expired\",queue=\"urp\"}}"), "1");
    shows(&metrics, &format!("sportello_contacts_routed_total{{{PHONE},queue=\"urp\"}}"), "1");
    shows(&metrics, &format!("sportello_contacts_returned_total{{{PHONE},queue=\"urp\",reason=\"expired\"}}"), "1");
    shows(&metrics, &format!("sportello_contacts_closed_total{{{PHONE},queue=\"urp\",resolution=\"resolved\"}}"), "1");
    shows(&metrics, &format!("sportello_live_time_to_offer_seconds_sum{{{PHONE},queue=\"urp\"}}"), "4");
    shows(&metrics, &format!("sportello_live_time_to_accept_seconds_sum{{{PHONE},queue=\"urp\"}}"), "4");
    shows(&metrics, &format!("sportello_live_time_to_accept_seconds_count{{{PHONE},queue=\"urp\"}}"), "1");
    shows(&metrics, r#"sportello_events_total{event="offer.made",pool="main"}"#, "2");
}

#[test]
fn a_letter_is_assigned() {
    let metrics = Metrics::new();
    metrics.event(&pool(), &event(0, 1, Mode::Deferrable, queued(QueuedReason::New)));
    let assigned = |reason| EventBody::ContactAssigned { operator: OperatorId(1), reason, untouched_until: None };
    metrics.event(&pool(), &event(600, 1, Mode::Deferrable, assigned(AssignedReason::Routed)));
    // Taken by the owner again: no wait, and not the router's doing.
    metrics.event(&pool(), &event(900, 1, Mode::Deferrable, assigned(AssignedReason::Resumed)));
    shows(&metrics, &format!("sportello_deferrable_time_to_assign_seconds_sum{{{EMAIL},queue=\"urp\"}}"), "600");
    shows(&metrics, &format!("sportello_deferrable_time_to_assign_seconds_count{{{EMAIL},queue=\"urp\"}}"), "1");
    shows(&metrics, &format!("sportello_contacts_routed_total{{{EMAIL},queue=\"urp\"}}"), "1");
}

/// Only those that were turned into letters when they came: a citizen who leaves words is not one.
#[test]
fn calls_that_were_not_admitted_are_counted_by_why() {
    let metrics = Metrics::new();
    for (contact, not_admitted) in
        [(1, Some(NotAdmitted::QueueFull)), (2, Some(NotAdmitted::QueueFull)), (3, Some(NotAdmitted::QueueClosed)), (4, None)]
    {
        // after it the contact is a deferrable one, by its channel still a call
        let mut event = event(0, contact, Mode::Live, EventBody::ContactDeferrable { not_admitted });
        event.about.as_mut().expect("about a contact").mode = Mode::Deferrable;
        metrics.event(&pool(), &event);
    }
    let series = |reason| format!("sportello_contacts_not_admitted_total{{{PHONE},queue=\"urp\",reason=\"{reason}\"}}");
    shows(&metrics, &series("full"), "2");
    shows(&metrics, &series("closed"), "1");
}

#[test]
fn operators_are_where_they_were_last_seen() {
    let metrics = Metrics::new();
    let says = |operator, presence, connected| Event {
        seq: 1,
        at: Timestamp(0),
        about: None,
        body: EventBody::OperatorPresence { operator: OperatorId(operator), presence, connected },
    };
    metrics.roster(&pool(), []);
    shows(&metrics, r#"sportello_operators{pool="main",presence="ready"}"#, "0");
    metrics.event(&pool(), &says(1, PresenceState::Ready, true));
    metrics.event(&pool(), &says(2, PresenceState::Ready, true));
    metrics.event(&pool(), &says(2, PresenceState::Ready, false));
    metrics.event(&pool(), &says(1, PresenceState::Away { reason: "lunch".into() }, true));
    shows(&metrics, r#"sportello_operators{pool="main",presence="ready"}"#, "0");
    shows(&metrics, r#"sportello_operators{pool="main",presence="away"}"#, "1");
    shows(&metrics, r#"sportello_operators{pool="main",presence="lost"}"#, "1");
    metrics.roster(&pool(), []);
    shows(&metrics, r#"sportello_operators{pool="main",presence="away"}"#, "0");
}

#[test]
fn counts_replace_what_was_shown() {
    let metrics = Metrics::new();
    let count = |state, count, oldest| ContactCount {
        administration: AdministrationId::new("comune").expect("name"),
        office: OfficeId::new("urp").expect("name"),
        queue: QueueId::new("urp").expect("name"),
        channel: Channel::email(),
        state,
        count,
        oldest: Timestamp::from_secs(oldest),
    };
    let now = Timestamp::from_secs(100);
    // Two offices of one queue are one figure, of the oldest.
    metrics.contact_counts(
        &pool(),
        &[count(StateName::Queued, 3, 40), count(StateName::Queued, 2, 30), count(StateName::Active, 1, 1)],
        now,
    );
    shows(&metrics, &format!("sportello_contacts{{{EMAIL},pool=\"main\",queue=\"urp\",state=\"queued\"}}"), "5");
    shows(&metrics, &format!("sportello_contacts_oldest_wait_seconds{{{EMAIL},pool=\"main\",queue=\"urp\"}}"), "70");
    metrics.contact_counts(&pool(), &[count(StateName::Active, 4, 1)], now);
    shows(&metrics, &format!("sportello_contacts{{{EMAIL},pool=\"main\",queue=\"urp\",state=\"queued\"}}"), "0");
    shows(&metrics, &format!("sportello_contacts_oldest_wait_seconds{{{EMAIL},pool=\"main\",queue=\"urp\"}}"), "0");
    shows(&metrics, &format!("sportello_contacts{{{EMAIL},pool=\"main\",queue=\"urp\",state=\"active\"}}"), "4");
}

#[test]
fn unusual_values_do_not_make_series() {
    let metrics = Metrics::new();
    metrics.http_request("/api", "BREW", 418, std::time::Duration::from_millis(1));
    shows(&metrics, r#"sportello_http_request_duration_seconds_count{method="other",route="/api",status="4xx"}"#, "1");
    metrics.quarantine_held(&[("smtp".into(), 2), ("elsewhere".into(), 1)]);
    shows(&metrics, r#"sportello_quarantine_held{source="smtp"}"#, "2");
    shows(&metrics, r#"sportello_quarantine_held{source="inbound"}"#, "1");
    metrics.quarantine_held(&[]);
    shows(&metrics, r#"sportello_quarantine_held{source="smtp"}"#, "0");
}

/// The page of metrics names every family with its kind, labels and help, and no other.
#[test]
fn the_page_of_metrics_is_complete() {
    let page = include_str!("../../../docs/metrics.md");
    let metrics = Metrics::new();
    let row = |family: &Description| {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} | {} |", family.name, family.kind, labels.join(", "), family.help.trim_end_matches('.'))
    };
    let rows: Vec<String> = metrics.descriptions().iter().map(row).collect();
    let written: Vec<&str> = page.lines().filter(|line| line.starts_with("| `sportello_")).collect();
    assert_eq!(written, rows, "docs/metrics.md must have these rows:\n{}", rows.join("\n"));
}
