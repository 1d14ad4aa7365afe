//! The SMS channel's options from the settings.

use url::Url;

use crate::channel::sms::media::Credentials;
use crate::channel::sms::sender::Carrier;
use crate::channel::sms::webhook::Signer;
use crate::channel::sms::{AccountOptions, SmsOptions};
use crate::model::id::{AccountId, IdMaker};
use crate::settings::sms::{SmsAccountSettings, SmsProvider};
use crate::settings::{Secret, Settings};

/// Accounts, spool and limits. `public_url` is the address under which providers call.
pub fn options(settings: &Settings, public_url: &Url, ids: &IdMaker) -> SmsOptions {
    let log = settings.data.folder.join("sms.log");
    let account = |(id, account): (&AccountId, &SmsAccountSettings)| {
        let options = AccountOptions {
            signer: signer(id, account, ids),
            carrier: carrier(id, account, public_url, &log),
            media: credentials(account),
        };
        (id.clone(), options)
    };
    SmsOptions {
        accounts: settings.sms.account.iter().map(account).collect(),
        public_url: public_url.clone(),
        spool_folder: settings.data.folder.join("spool"),
        spool_bytes_max: settings.sms.spool_bytes_max,
        media_bytes_max: settings.sms.media_bytes_max,
        media_hosts: settings.sms.media_hosts.clone(),
        event_prefix: settings.installation.event_type_prefix.clone(),
    }
}

/// What a trial account's webhooks are signed with: made of the installation's secret, so the same after each start.
pub fn trial_secret(account: &AccountId, ids: &IdMaker) -> String {
    format!("{:032x}", ids.make("webhook", &[account.as_str().as_bytes()]))
}

fn signer(id: &AccountId, account: &SmsAccountSettings, ids: &IdMaker) -> Signer {
    let first = if account.webhook_secret.is_empty() { &account.password } else { &account.webhook_secret };
    let given = [first, &account.webhook_secret_old].into_iter().filter(|secret| !secret.is_empty());
    let secrets = given.map(|secret: &Secret| secret.expose().to_owned().into()).collect::<Vec<_>>();
    match account.provider {
        SmsProvider::Twilio => Signer::Twilio(secrets),
        SmsProvider::Vonage => Signer::Vonage(secrets),
        SmsProvider::Log if secrets.is_empty() => Signer::Standard(vec![trial_secret(id, ids).into()]),
        SmsProvider::Log | SmsProvider::Generic => Signer::Standard(secrets),
    }
}

fn carrier(id: &AccountId, account: &SmsAccountSettings, public_url: &Url, log: &std::path::Path) -> Carrier {
    let secret = || account.password.expose().to_owned().into();
    match (account.provider, account.base()) {
        (SmsProvider::Twilio, Some(base)) => Carrier::Twilio {
            base,
            account_sid: account.user.clone(),
            auth_token: secret(),
            callback: public_url.join(&format!("sms/v1/{id}")).ok(),
        },
        (SmsProvider::Vonage, Some(base)) => Carrier::Vonage { base, key: account.user.clone(), secret: secret() },
        (SmsProvider::Generic, Some(url)) => Carrier::Generic { url, secret: secret() },
        _ => Carrier::Log(log.to_owned()),
    }
}

/// Twilio's pictures lie behind the account's own password.
fn credentials(account: &SmsAccountSettings) -> Option<Credentials> {
    let base = account.base().filter(|_| account.provider == SmsProvider::Twilio)?;
    let password = account.password.expose().to_owned().into();
    Some(Credentials { host: base.host_str()?.to_owned(), user: account.user.clone(), password })
}
