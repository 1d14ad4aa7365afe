//! What the settings say of the plan's accounts and the plan does not: a misspelt account would receive and send nothing.

use std::fmt;

use super::Settings;
use crate::model::channel::Channel;
use crate::model::id::AccountId;
use crate::plan::Plan;
use crate::plan::nearest::nearest;

/// A key of the settings that does not fit the plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mismatch {
    /// `email.mailbox.urp-mail`.
    pub key: String,
    /// What is wrong and what to do, without a full stop.
    pub message: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl Settings {
    /// Accounts that the plan does not know or knows on another channel, and topics that it does not have.
    pub fn mismatches(&self, plan: &Plan) -> Vec<Mismatch> {
        let (email, sms, chat) = (&self.email, &self.sms, &self.webchat);
        let named = |table: &'static str, channel: &'static str, account: &AccountId| {
            let message = wrong_with(plan, channel, account)?;
            Some(Mismatch { key: format!("{table}.{account}"), message })
        };
        let mut found: Vec<Mismatch> = email.mailbox.keys().filter_map(|id| named("email.mailbox", Channel::EMAIL, id)).collect();
        found.extend(email.sender.keys().filter_map(|id| named("email.sender", Channel::EMAIL, id)));
        found.extend(sms.account.keys().filter_map(|id| named("sms.account", Channel::SMS, id)));
        found.extend(chat.accounts.keys().filter_map(|id| named("webchat.accounts", Channel::WEBCHAT, id)));
        for (account, options) in &chat.accounts {
            let Some(body) = plan.accounts.get(account).and_then(|known| plan.administrations.get(&known.administration)) else { continue };
            let unknown = options.topics.iter().filter(|topic| !body.topics.contains_key(*topic));
            found.extend(unknown.map(|topic| Mismatch {
                key: format!("webchat.accounts.{account}.topics"),
                message: format!("the plan has no topic `{topic}` there, so it is not offered: add it to the plan or take it out"),
            }));
        }
        found
    }
}

fn wrong_with(plan: &Plan, channel: &str, account: &AccountId) -> Option<String> {
    match plan.accounts.get(account) {
        Some(known) if known.channel.as_str() == channel => None,
        Some(known) => Some(format!("the plan has `{account}` on the channel {}, not {channel}: this does nothing", known.channel)),
        None => {
            let hint = match nearest(account.as_str(), plan.accounts.keys().map(AccountId::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it to the plan, or take this out".to_owned(),
            };
            Some(format!("the plan has no account `{account}`, so this does nothing: {hint}"))
        }
    }
}
