//! What is told of a contact only to who has it, for they work on it: what a part of a text message costs, and how much of it they
//! have not read.

use super::Shared;
use super::authorisation::Rights;
use super::problem::Problem;
use super::view::ContactView;
use crate::model::contact::StateName;
use crate::model::id::ContactId;

/// Adds to the caller's own contacts what only they are told.
pub async fn complete(desk: &Shared, rights: &Rights, contacts: &mut [ContactView]) -> Result<(), Problem> {
    let me = rights.caller().operator();
    let is_held = |state| !matches!(state, StateName::Offered | StateName::Closed | StateName::Abandoned);
    let is_mine = |contact: &&mut ContactView| contact.owner == Some(me) && is_held(contact.state);
    let mine: Vec<&mut ContactView> = contacts.iter_mut().filter(is_mine).collect();
    let ids: Vec<ContactId> = mine.iter().map(|contact| contact.id).collect();
    let unread = if ids.is_empty() { Vec::new() } else { desk.store.unread(rights.administrations(), me, &ids).await? };
    for contact in mine {
        contact.sms = desk.options.text_message_terms.get(&contact.account).cloned();
        contact.unread = unread.iter().find(|(id, _)| *id == contact.id).map_or(0, |(_, count)| *count);
    }
    Ok(())
}
