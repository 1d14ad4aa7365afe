//! One administration sees nothing of another: by each reading method, and in PostgreSQL even without a WHERE.

use sportello::model::channel::{Channel, IdentityLevel};
use sportello::model::delivery::DeliveryState;
use sportello::model::id::{AddressKey, ContactId, ConversationId, InputId, MessageId, NoteId, OperatorId};
use sportello::port::store::{AttemptStart, ContactFilter, FactQuery, FactRow, OptOut, Page, ReadMark, SentPart};
use sqlx::{Connection, Executor, PgConnection, Row};

use super::fixture::*;
use super::place::{At, Place};
use super::{on_both, on_postgres};

on_both!(nothing_is_seen_of_another);
on_postgres!(the_database_itself_hides_it);

async fn fill(place: &Place) {
    let mut leader = Leader::of(place).await;
    let mut known = contact(1);
    known.address = Some(AddressKey(1));
    let note = sportello::model::conversation::Note {
        id: NoteId(1),
        administration: comune(),
        conversation: ConversationId(1),
        contact: ContactId(1),
        author: OperatorId(7),
        at: seconds(2),
        text: "Nota".into(),
    };
    leader
        .commit(|writes| {
            writes.contacts = vec![known];
            writes.conversations = vec![conversation(1)];
            writes.messages = vec![message(1, 1)];
            writes.deliveries = vec![delivery(1, 1, DeliveryState::Attempting, 1)];
            writes.notes = vec![note];
            writes.citizens = vec![address(1, 1, IdentityLevel::Claimed)];
            writes.inputs = vec![input(1, Some(InputId(1)), Some(1))];
        })
        .await;
    assert!(matches!(place.store.begin_attempt(&comune(), MessageId(1), 1).await, Ok(AttemptStart::Begun(_))));
    let part = SentPart { message: MessageId(1), attempt: 1, number: 1 };
    place.store.put_part_id(&comune(), part, 1, "urp/1").await.expect("keeps");
    let (input, channel, address) = (InputId(3), Channel::sms(), AddressKey(1));
    let word = OptOut { input, administration: comune(), channel, address, stopped: true, at: NOON };
    place.store.put_opt_out(&word).await.expect("keeps");
    let mark = ReadMark { administration: comune(), conversation: ConversationId(1), operator: OperatorId(7), until: NOON };
    place.store.put_read_mark(&mark).await.expect("keeps");
    place.run("insert into tombstone values ('comune', 'in_x', 0)").await.expect("buries");
}

async fn nothing_is_seen_of_another(place: Place) {
    fill(&place).await;
    let (store, filter, page) = (&place.store, ContactFilter::default(), Page { limit: 10, offset: 0 });
    let seen = async |administrations: &[_]| {
        let whose = administrations.last().cloned().unwrap_or_else(asl);
        vec![
            ("contact", store.contact(administrations, ContactId(1)).await.expect("reads").is_some()),
            ("contacts", !store.contacts(administrations, &filter, page).await.expect("reads").is_empty()),
            ("input_status", store.input_status(administrations, InputId(1)).await.expect("reads").is_some()),
            ("conversation", store.conversation(&whose, ConversationId(1)).await.expect("reads").is_some()),
            ("message", store.message(&whose, MessageId(1)).await.expect("reads").is_some()),
            ("messages_of_contact", !store.messages_of_contact(&whose, ContactId(1)).await.expect("reads").is_empty()),
            ("parts_named", !store.parts_named(&whose, &["urp/1", "", ""].map(str::to_owned)).await.expect("reads").is_empty()),
            ("begin_attempt", store.begin_attempt(&whose, MessageId(1), 1).await.expect("asks") != AttemptStart::Void),
            ("unread", !store.unread(administrations, OperatorId(8), &[ContactId(1)]).await.expect("reads").is_empty()),
            ("opted_out", store.opted_out(&whose, &Channel::sms(), AddressKey(1)).await.expect("reads").is_some()),
            ("facts", {
                let query = FactQuery {
                    input: InputId(2),
                    administration: whose.clone(),
                    address: Some(AddressKey(1)),
                    channel: Channel::email(),
                    references: vec![MessageId(1)],
                    thread: None,
                };
                store.facts(&pool(), &[query]).await.expect("answers") != [FactRow::default()]
            }),
        ]
    };
    for (method, is_seen) in seen(&[asl(), comune()]).await {
        assert!(is_seen, "{method}: its own");
    }
    for administrations in [vec![asl()], vec![]] {
        for (method, is_seen) in seen(&administrations).await {
            assert!(!is_seen, "{method}: of another, asked for {administrations:?}");
        }
    }
}

/// As the store's own role, with statements that forgot their WHERE. SQLite has no row-level security: the statements' WHERE, tested
/// above, is its only belt.
async fn the_database_itself_hides_it(place: Place) {
    fill(&place).await;
    let At::Postgres { url, .. } = &place.at else { panic!("PostgreSQL only") };
    let mut connection = PgConnection::connect(url).await.expect("connects");
    let scopes = [
        ("select 1", false, false),
        ("set sportello.administrations = ''", false, false),
        ("set sportello.administrations = 'asl'", false, false),
        ("set sportello.administrations = 'asl,comune'", true, true),
        ("reset sportello.administrations; set sportello.pool = 'altro'", false, false),
        ("reset sportello.administrations; set sportello.pool = 'comuni'", true, false),
    ];
    for (scope, has_contacts, has_others) in scopes {
        connection.execute(sqlx::raw_sql(scope)).await.expect(scope);
        let tables = ["contact", "message", "conversation", "note", "citizen_address", "attempt", "attempt_part", "tombstone", "read_mark"];
        for table in tables.into_iter().chain(["opt_out", "opt_out_word"]) {
            let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
            let count: i64 = connection.fetch_one(sql).await.expect(table).get(0);
            let expected = if ["contact", "message"].contains(&table) { has_contacts } else { has_others };
            assert_eq!(count > 0, expected, "{table} after `{scope}`");
        }
    }
    connection.execute(sqlx::raw_sql("reset sportello.pool; set sportello.administrations = 'asl'")).await.expect("scope");
    for sql in ["update contact set queue = 'x'", "delete from message", "update note set text = ''"] {
        let done = connection.execute(sqlx::raw_sql(sql)).await.expect("no error, no row");
        assert_eq!(done.rows_affected(), 0, "{sql}");
    }
    let foreign = "insert into tombstone values ('comune', 'in_y', 0)";
    assert!(connection.execute(sqlx::raw_sql(foreign)).await.is_err(), "nor can a row be written for another");
}
