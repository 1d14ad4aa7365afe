//! What is told of a contact only to who has it, for they work on it: what a part of a text message costs.

use super::Shared;
use super::view::ContactView;
use crate::model::id::OperatorId;

/// Adds to contacts of `me`'s what only they are told.
pub fn complete(desk: &Shared, me: OperatorId, contacts: &mut [ContactView]) {
    for contact in contacts.iter_mut().filter(|contact| contact.owner == Some(me)) {
        contact.sms = desk.options.part_prices.get(&contact.account).cloned();
    }
}
