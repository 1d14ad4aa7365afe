//! Contacts and conversations as far as the caller may read them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desk::Shared;
use crate::desk::authorisation::{Rights, Sight};
use crate::desk::directory::People;
use crate::desk::entry::{Entry, message_entry, note_entry};
use crate::desk::extract::{Asking, Body, Ids};
use crate::desk::own;
use crate::desk::problem::{Problem, ProblemDocument};
use crate::desk::session::SignedIn;
use crate::desk::view::{ContactView, contact_views};
use crate::model::channel::{Channel, IdentityLevel};
use crate::model::contact::{Contact, StateName};
use crate::model::id::{AddressKey, AdministrationId, ChatSessionId, ContactId, ConversationId, QueueId};
use crate::model::operator::Role;
use crate::model::time::Timestamp;
use crate::port::aside::{Aside, AsideBody};
use crate::port::clock::now;
use crate::port::store::{ContactFilter, ContactSummary, ConversationView, Page, Reach, ReadMark};

/// The longest page.
const LIMIT_MAX: u32 = 500;
/// Numbers of one citizen that are looked up for their wish to get no messages.
const ADDRESSES_ASKED_MAX: usize = 8;
/// How far a list may be paged: all that is skipped is read.
const OFFSET_MAX: u32 = 5_000;

/// Which contacts.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ContactQuery {
    /// A state's name, or several with commas; by default all that are not final.
    state: Option<String>,
    /// A queue.
    queue: Option<String>,
    /// The owner, or whom it rings. An operator sees their own only.
    operator: Option<String>,
    /// 1 to 500, by default 100.
    limit: Option<u32>,
    /// Skips so many, at most 5000.
    offset: Option<u32>,
}

/// A list of contacts.
#[derive(Serialize, JsonSchema)]
pub struct ContactList {
    /// The page; contacts that the caller may not know of are left out, so it may be shorter than its limit.
    items: Vec<ContactView>,
}

/// Contacts: an operator's own, a supervisor's scope.
#[utoipa::path(get, path = "/contacts", tag = "reading", params(ContactQuery), responses(
    (status = 200, body = ContactList), (status = 400, body = ProblemDocument), (status = 401, body = ProblemDocument)))]
pub async fn contacts(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Asking(query): Asking<ContactQuery>,
) -> Result<Json<ContactList>, Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    let page = page(query.limit, query.offset)?;
    let mut filter = filter(&query)?;
    let supervises = caller.has_role(Role::Supervisor);
    if !supervises {
        filter.operator = Some(caller.operator());
    }
    // A supervisor who is an operator too sees in lists what is theirs by either role, not what they could pull.
    filter.reach = Some(Reach { offices: rights.supervised_offices(), holder: Some(caller.operator()) });
    let found = desk.store.contacts(rights.administrations(), &filter, page).await?;
    let items = contact_views(&rights, &people, found);
    Ok(Json(ContactList { items }))
}

/// A page of a list, refused beyond the limits.
pub fn page(limit: Option<u32>, offset: Option<u32>) -> Result<Page, Problem> {
    let (limit, offset) = (limit.unwrap_or(100), offset.unwrap_or(0));
    if !(1..=LIMIT_MAX).contains(&limit) || offset > OFFSET_MAX {
        return Err(Problem::invalid(format!("`limit` is 1 to {LIMIT_MAX}, `offset` at most {OFFSET_MAX}")));
    }
    Ok(Page { limit, offset })
}

fn filter(query: &ContactQuery) -> Result<ContactFilter, Problem> {
    let mut filter = ContactFilter::default();
    for name in query.state.as_deref().unwrap_or_default().split(',').filter(|name| !name.is_empty()) {
        let state = StateName::ALL.into_iter().find(|state| state.as_str() == name.trim());
        filter.states.push(state.ok_or_else(|| Problem::invalid("`state` is the name of a contact's state"))?);
    }
    if let Some(queue) = &query.queue {
        filter.queue = Some(QueueId::new(queue).map_err(|_| Problem::invalid("`queue` is the name of a queue"))?);
    }
    if let Some(operator) = &query.operator {
        filter.operator = Some(operator.parse().map_err(|_| Problem::invalid("`operator` is an operator's id"))?);
    }
    Ok(filter)
}

/// One contact.
#[utoipa::path(get, path = "/contacts/{id}", tag = "reading", params(("id" = String, Path)), responses(
    (status = 200, body = ContactView), (status = 401, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn contact(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Ids(id): Ids<ContactId>,
) -> Result<Json<ContactView>, Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    let (summary, sight) = seen_contact(&desk, &rights, id).await?;
    let mut views = [ContactView::new(summary, sight, &people, rights.plan())];
    own::complete(&desk, &rights, &mut views).await?;
    let [view] = views;
    Ok(Json(view))
}

/// How far somebody has read.
#[derive(Deserialize, JsonSchema)]
pub struct ReadBody {
    /// `as_of` of the conversation as it was on the screen.
    pub until: Timestamp,
}

/// Says that one has read a contact's conversation. It counts for all consoles of the caller, and never goes back.
#[utoipa::path(put, path = "/contacts/{id}/read", tag = "reading", request_body = ReadBody, params(("id" = String, Path)), responses(
    (status = 204), (status = 400, body = ProblemDocument), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument),
    (status = 404, body = ProblemDocument)))]
pub async fn mark_read(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Ids(id): Ids<ContactId>,
    Body(body): Body<ReadBody>,
) -> Result<StatusCode, Problem> {
    let (ContactSummary { contact, .. }, sight) = seen_contact(&desk, &desk.rights(&caller).await?, id).await?;
    if !sight.content {
        return Err(Problem::no_right_to_content());
    }
    let (operator, conversation) = (caller.operator(), contact.conversation);
    // nobody has read what is not there yet
    let until = body.until.min(desk.store.last_at(&caller.login.pool).await?);
    desk.store.put_read_mark(&ReadMark { administration: contact.administration, conversation, operator, until }).await?;
    desk.asides.say(Aside { pool: caller.login.pool.clone(), contact: id, conversation, body: AsideBody::Seen { operator } });
    Ok(StatusCode::NO_CONTENT)
}

/// A contact that the caller may know of, with how far they may look; 404 otherwise.
pub async fn seen_contact(desk: &Shared, rights: &Rights, id: ContactId) -> Result<(ContactSummary, Sight), Problem> {
    let summary = desk.store.contact(rights.administrations(), id).await?.ok_or_else(Problem::not_found)?;
    let sight = rights.sight(&summary.contact).ok_or_else(Problem::not_found)?;
    Ok((summary, sight))
}

/// A conversation with all that the caller may read of it.
#[derive(Serialize, JsonSchema)]
pub struct Conversation {
    /// Its id.
    id: ConversationId,
    /// Whose citizen it is.
    administration: AdministrationId,
    /// The subject of its first message.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Who wrote, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    citizen: Option<Citizen>,
    /// Its contacts, oldest first.
    contacts: Vec<ContactView>,
    /// What was said, oldest first.
    entries: Vec<Entry>,
    /// It has everything up to this time: what a reader says that they have read.
    as_of: Timestamp,
}

/// A citizen.
#[derive(Serialize, JsonSchema)]
pub struct Citizen {
    /// The name last written beside an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Their addresses.
    addresses: Vec<Address>,
    /// Their open contacts in other conversations, as far as the caller sees them: two answers in writing should not differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    open_contacts: Vec<ContactView>,
}

/// An address of a citizen.
#[derive(Serialize, JsonSchema)]
pub struct Address {
    /// The channel it is an address of.
    channel: Channel,
    /// The address.
    address: String,
    /// How sure it is who is behind it.
    level: IdentityLevel,
    /// Since when the citizen wants no messages there.
    #[serde(skip_serializing_if = "Option::is_none")]
    opted_out_at: Option<Timestamp>,
}

/// A conversation. What belongs to contacts that the caller may not read is left out.
#[utoipa::path(get, path = "/conversations/{id}", tag = "reading", params(("id" = String, Path)), responses(
    (status = 200, body = Conversation), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument),
    (status = 404, body = ProblemDocument)))]
pub async fn conversation(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Ids(id): Ids<ConversationId>,
) -> Result<Json<Conversation>, Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    // The time first: whatever is read after it is at least that new.
    let as_of = desk.store.last_at(&caller.login.pool).await?;
    for administration in rights.administrations() {
        if let Some(view) = desk.store.conversation(administration, id).await? {
            let seen_up_to = seen_up_to(&desk, &view).await?;
            let mut opt_outs = BTreeMap::new();
            for address in view.addresses.iter().filter(|address| address.channel.as_str() == Channel::SMS).take(ADDRESSES_ASKED_MAX) {
                let since = desk.store.opted_out(administration, &address.channel, address.key).await?;
                opt_outs.extend(since.map(|since| (address.key, since)));
            }
            let beside = Beside { opt_outs, seen_up_to, as_of };
            return shown(view, &rights, &people, beside).map(Json);
        }
    }
    Err(Problem::not_found())
}

/// What is known of a conversation beside its rows.
struct Beside {
    /// Since when the citizen wants no messages at an address.
    opt_outs: BTreeMap<AddressKey, Timestamp>,
    /// The number up to which the citizen has seen the office's messages in a chat.
    seen_up_to: i64,
    /// When it was read.
    as_of: Timestamp,
}

/// Up to which number the citizen has seen what the office wrote, as long as the chat is kept; 0: nothing, or nobody can tell.
async fn seen_up_to(desk: &Shared, view: &ConversationView) -> Result<i64, Problem> {
    let session = view.messages.iter().rev().filter(|message| message.channel.is_session());
    let session = session.filter_map(|message| message.from.as_ref()?.address.parse::<ChatSessionId>().ok()).next();
    let Some(session) = session else { return Ok(0) };
    let chat = desk.chats.chat(&view.conversation.administration, session, now()).await?;
    Ok(chat.map_or(0, |chat| chat.citizen_read))
}

fn shown(view: ConversationView, rights: &Rights, people: &People, beside: Beside) -> Result<Conversation, Problem> {
    let ConversationView { conversation, contacts, messages, notes, addresses, elsewhere } = view;
    let seen: Vec<_> = contacts.into_iter().filter_map(|contact| rights.sight(&contact).map(|sight| (contact, sight))).collect();
    if seen.is_empty() {
        return Err(Problem::not_found());
    }
    let me = rights.caller().operator();
    let answers_for = |(contact, sight): &(Contact, Sight)| sight.supervises || contact.state.owner() == Some(me);
    let can_settle = seen.iter().any(|seen| !seen.0.state.is_final() && answers_for(seen));
    let readable: Vec<ContactId> = seen.iter().filter(|(_, sight)| sight.content).map(|(contact, _)| contact.id).collect();
    if readable.is_empty() {
        return Err(Problem::no_right_to_content());
    }
    let messages = messages.into_iter().filter(|message| readable.contains(&message.contact));
    let notes = notes.into_iter().filter(|note| readable.contains(&note.contact));
    let mut entries: Vec<(Timestamp, Entry)> =
        messages.map(|message| (message.at, message_entry(message, people, can_settle, beside.seen_up_to))).collect();
    entries.extend(notes.map(|note| (note.at, note_entry(note, people))));
    entries.sort_by_key(|(at, _)| *at);
    let name = addresses.iter().max_by_key(|address| address.seen_at).and_then(|address| address.name.clone());
    let citizen = (!addresses.is_empty()).then(|| Citizen {
        name,
        addresses: addresses
            .into_iter()
            .map(|address| Address {
                channel: address.channel,
                address: address.address,
                level: address.level,
                opted_out_at: beside.opt_outs.get(&address.key).copied(),
            })
            .collect(),
        open_contacts: elsewhere
            .into_iter()
            .filter_map(|summary| rights.sight(&summary.contact).map(|sight| ContactView::new(summary, sight, people, rights.plan())))
            .collect(),
    });
    let contacts = seen.into_iter().map(|(contact, sight)| {
        let summary = ContactSummary { contact, subject: conversation.subject.clone(), citizen: None };
        ContactView::new(summary, sight, people, rights.plan())
    });
    Ok(Conversation {
        contacts: contacts.collect(),
        id: conversation.id,
        administration: conversation.administration,
        subject: conversation.subject,
        citizen,
        entries: entries.into_iter().map(|(_, entry)| entry).collect(),
        as_of: beside.as_of,
    })
}
