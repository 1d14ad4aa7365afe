//! The web chat's options from the settings.

use std::collections::BTreeMap;

use url::Url;

use crate::channel::webchat::{AccountOptions, Maxima, WebChatOptions};
use crate::settings::Settings;

/// Accounts and limits. `public_url` is how citizens' browsers reach the listener; `node` is this start.
pub fn options(settings: &Settings, public_url: &Url, node: &str) -> WebChatOptions {
    let chat = &settings.webchat;
    let accounts: BTreeMap<_, _> = chat
        .accounts
        .iter()
        .map(|(id, account)| {
            let options = AccountOptions {
                origins: account.origins.clone(),
                topics: account.topics.clone(),
                privacy_url: account.privacy_url.clone(),
                privacy_text: account.privacy_text.clone(),
                languages: account.languages.clone(),
            };
            (id.clone(), options)
        })
        .collect();
    WebChatOptions {
        accounts,
        public_origin: public_url.origin().ascii_serialization(),
        trusted_proxies: settings.public.trusted_proxies.clone(),
        session_life: chat.session_life,
        ping_every: chat.ping_every,
        sessions_per_minute: chat.sessions_per_minute,
        upload_bytes_per_hour: chat.upload_bytes_per_hour,
        sockets: Maxima { node: chat.sockets_max, account: chat.sockets_per_account_max, address: chat.sockets_per_address_max },
        attachment_bytes_max: chat.attachment_bytes_max,
        attachment_types: chat.attachment_types.clone(),
        event_prefix: settings.installation.event_type_prefix.clone(),
        node: node.to_owned(),
    }
}
