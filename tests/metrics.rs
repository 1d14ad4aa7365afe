//! The text of `/metrics` passes Prometheus' own linter. Needs promtool.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use sportello::model::channel::Channel;
use sportello::model::contact::{Mode, Outcome, Resolution, StateName};
use sportello::model::event::{About, AssignedReason, Event, EventBody, QueuedReason};
use sportello::model::id::{AccountId, AdministrationId, ContactId, ConversationId, MessageId, OfficeId, OperatorId, PoolId, QueueId};
use sportello::model::operator::PresenceState;
use sportello::model::time::Timestamp;
use sportello::port::store::ContactCount;
use sportello::telemetry::Metrics;
use sportello::telemetry::metrics::{ChatFigures, DeskFigures, EmailFigures, SmtpFigures, SpoolFigures};

/// Everything that can be counted happens once.
fn busy() -> Metrics {
    let metrics = Metrics::new();
    let pool = PoolId::new("main").expect("name");
    let administration = AdministrationId::new("comune").expect("name");
    let queue = QueueId::new("urp").expect("name");
    let office = OfficeId::new("urp").expect("name");
    let about = About {
        contact: ContactId(1),
        conversation: ConversationId(1),
        administration: administration.clone(),
        office: office.clone(),
        queue: queue.clone(),
        channel: Channel::email(),
        mode: Mode::Deferrable,
        version: 1,
    };
    let operator = OperatorId(1);
    for body in [
        EventBody::ContactQueued { due: Timestamp(1), reason: QueuedReason::New },
        EventBody::OfferMade { ordinal: 1, operator, deadline: Timestamp(1) },
        EventBody::OfferAccepted { ordinal: 1, operator },
        EventBody::ContactAssigned { operator, reason: AssignedReason::Routed, untouched_until: None },
        EventBody::MessageSent { message: MessageId(1), operator: None },
        EventBody::OperatorPresence { operator, presence: PresenceState::Ready, connected: true },
        EventBody::PoolLed { epoch: 1 },
        EventBody::ContactClosed { operator: None, outcome: Outcome { topic: None, resolution: Resolution::Resolved } },
    ] {
        metrics.event(&pool, &Event { seq: 1, at: Timestamp(1), about: Some(about.clone()), body });
    }
    let account = AccountId::new("urp-mail").expect("name");
    let count =
        ContactCount { administration, office, queue, channel: Channel::email(), state: StateName::Queued, count: 1, oldest: Timestamp(0) };
    metrics.leads(&pool, true);
    metrics.contact_counts(&pool, &[count], Timestamp::from_secs(5));
    metrics.input(&pool, "inbound", "applied");
    metrics.committed(&pool, 3, Duration::from_millis(2));
    metrics.rebuilt(&pool, "fenced");
    metrics.relay_lag(&pool, "events", 2);
    metrics.relay_passed_over(&pool, "outbound", 1);
    metrics.store_up("sqlite", true);
    metrics.store_error("sqlite", "unavailable");
    metrics.quarantine_held(&[("smtp".into(), 1)]);
    metrics.removed("blobs", 1);
    metrics.broker_up("amqp", false);
    metrics.broker_error("amqp", "publish");
    metrics.email(
        &account,
        &EmailFigures { person: 3, attempts: [1, 0, 0, 0], attempts_ms: 80, mailbox_open: Some(true), ..EmailFigures::default() },
    );
    for name in ["taken", "sent", "stop", "quarantined", "media_missing", "smpp_ended", "parts_timeout", "receipt_ambiguous", "send_ms"] {
        metrics.sms("urp-sms", name, 1);
    }
    metrics.sms_spool(&SpoolFigures { entries: 1, bytes: 200, oldest: Duration::from_secs(3) });
    metrics.webchat(&ChatFigures { sockets: 1, refused: [("binary", 1)].into(), ..ChatFigures::default() });
    metrics.smtp(&SmtpFigures { connections: 2, ended: 1, refused: 0 });
    metrics.desk(&DeskFigures { sockets: 1, ..DeskFigures::default() });
    metrics.http_request("/api/contacts/{id}", "GET", 200, Duration::from_millis(4));
    metrics
}

#[test]
fn promtool_has_nothing_to_say() {
    let metrics = busy();
    let text = metrics.encode();
    for family in metrics.descriptions() {
        assert!(text.contains(&format!("# TYPE {} {}", family.name, family.kind)), "{} is not shown: make it happen above", family.name);
    }
    let spawned =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut promtool = spawned.expect("promtool is needed: apt-get install prometheus, or put it from prometheus.io on the PATH");
    promtool.stdin.take().expect("piped").write_all(text.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// Lets promtool look at a file beside the alarms.
fn promtool_rules(what: &str, file: &str) {
    let output = Command::new("promtool").args([what, "rules", file]).output().expect("promtool is needed: apt-get install prometheus");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_alarms_fire_when_they_must() {
    promtool_rules("test", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/alerts_test.yml"));
}

#[test]
fn the_alarms_can_be_read_and_each_names_its_page() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/alerts.yml");
    promtool_rules("check", file);
    let (rules, page) = (std::fs::read_to_string(file).expect("the rules"), include_str!("../docs/operations.md"));
    let alarms: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alarms.len(), rules.matches("runbook:").count(), "each alarm says where to read on");
    for alarm in alarms {
        assert!(page.contains(&format!("### {alarm}\n")), "docs/operations.md says nothing of {alarm}");
    }
    let metrics = Metrics::new();
    let known: Vec<&str> = metrics.descriptions().iter().map(|family| family.name).collect();
    for word in rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("sportello_")) {
        let family = word.trim_end_matches("_bucket");
        assert!(known.contains(&family), "there is no {word}");
    }
}
