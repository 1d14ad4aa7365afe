//! The SMS channel's options from settings and plan. An account of the plan without a provider is for trying out: its messages go
//! to a log, and whoever has its secret from the data folder may sign for its gateway.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::DaemonError;
use crate::channel::outbound::OutboundDeps;
use crate::channel::sms::courier::{Courier, FILES_WITHIN};
use crate::channel::sms::media::{Credentials, Fetcher};
use crate::channel::sms::sender::Carrier;
use crate::channel::sms::smpp::SmppOptions;
use crate::channel::sms::webhook::Signer;
use crate::channel::sms::{AccountOptions, CarrierOptions, SmsDeps, SmsOptions};
use crate::model::channel::Channel;
use crate::model::id::AccountId;
use crate::plan::Plan;
use crate::settings::sms::{SmsAccountSettings, SmsProvider};
use crate::settings::{Secret, Settings};

/// Where an SMSC listens when its address does not say.
const SMPP_PORT: u16 = 2775;

/// An account for trying out.
#[derive(Debug, Clone)]
pub struct TrialSms {
    /// Its name in the plan.
    pub account: AccountId,
    /// Its number.
    pub number: String,
    /// The file with what its webhooks are signed with.
    pub secret_file: PathBuf,
    secret: String,
}

/// The accounts for trying out, with a secret each: made at the first start, kept in the data folder.
pub fn trials(settings: &Settings, plan: &Plan) -> Result<BTreeMap<AccountId, TrialSms>, DaemonError> {
    let given = |account: &AccountId| settings.sms.account.get(account);
    let is_trial = |account: &AccountId| {
        given(account)
            .is_none_or(|given| given.provider == SmsProvider::Log && given.password.is_empty() && given.webhook_secret.is_empty())
    };
    let accounts = plan.accounts.iter().filter(|(id, account)| account.channel == Channel::sms() && is_trial(id));
    let mut trials = BTreeMap::new();
    for (id, account) in accounts {
        let secret_file = settings.data.folder.join("sms").join(format!("{id}.secret"));
        let secret = kept_secret(&secret_file).map_err(|source| DaemonError::Io { what: secret_file.display().to_string(), source })?;
        let number = account.address.clone().unwrap_or_default();
        trials.insert(id.clone(), TrialSms { account: id.clone(), number, secret_file, secret });
    }
    Ok(trials)
}

/// Accounts, spool and limits. `public_url` is the address under which providers call, with a slash at the end.
pub fn options(settings: &Settings, public_url: &Url, trials: &BTreeMap<AccountId, TrialSms>) -> SmsOptions {
    let log = settings.data.folder.join("sms").join("sent.log");
    let account = |(id, account): (&AccountId, &SmsAccountSettings)| {
        let options =
            AccountOptions { signer: signer(account), carrier: carrier(id, account, public_url, &log), media: credentials(account) };
        (id.clone(), options)
    };
    let mut accounts: BTreeMap<AccountId, AccountOptions> = settings.sms.account.iter().map(account).collect();
    for (id, trial) in trials {
        let signer = Signer::Standard(vec![trial.secret.clone().into()]);
        accounts.insert(id.clone(), AccountOptions { signer, carrier: CarrierOptions::Ready(Carrier::Log(log.clone())), media: None });
    }
    SmsOptions {
        accounts,
        public_url: public_url.clone(),
        spool_folder: settings.data.folder.join("spool"),
        spool_bytes_max: settings.sms.spool_bytes_max,
        media_bytes_max: settings.sms.media_bytes_max,
        media_hosts: settings.sms.media_hosts.clone(),
        country: settings.sms.country_id().expect("checked when the settings were read"),
        event_prefix: settings.installation.event_type_prefix.clone(),
    }
}

/// What hands a text message on that was held; pictures are fetched with the accounts of these settings.
pub fn courier(settings: &Settings, deps: SmsDeps) -> Result<Courier, String> {
    let SmsDeps { publisher, broker, store, blobs, plan, ids } = deps;
    let (sms, prefix) = (&settings.sms, settings.installation.event_type_prefix.clone());
    Ok(Courier {
        deps: OutboundDeps { broker, publisher, store, plan, ids, prefix },
        blobs,
        fetcher: Fetcher::new(sms.media_bytes_max, sms.media_hosts.clone())?,
        counters: Arc::default(),
        country: sms.country_id().expect("checked when the settings were read"),
        credentials: sms.account.iter().filter_map(|(id, account)| Some((id.clone(), credentials(account)?))).collect(),
        files_within: FILES_WITHIN,
    })
}

/// The secret in a file, made now if it is not there: 256 bits in hexadecimal, readable by its owner only. Of several processes that
/// begin at once one makes it.
fn kept_secret(file: &Path) -> std::io::Result<String> {
    if !file.exists() {
        if let Some(folder) = file.parent() {
            super::make_private_folder(folder)?;
        }
        let secret = hex::encode(rand::random::<[u8; 32]>());
        let draft = file.with_extension(format!("{:016x}", rand::random::<u64>()));
        let mut open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        open.write_all(secret.as_bytes())?;
        open.sync_all()?;
        let linked = std::fs::hard_link(&draft, file);
        std::fs::remove_file(&draft)?;
        linked.or_else(|error| if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
    }
    match std::fs::read_to_string(file)?.trim() {
        "" => Err(std::io::Error::other("it is empty: remove it, and another is made")),
        secret => Ok(secret.to_owned()),
    }
}

fn signer(account: &SmsAccountSettings) -> Signer {
    let first = if account.webhook_secret.is_empty() { &account.password } else { &account.webhook_secret };
    let given = [first, &account.webhook_secret_old].into_iter().filter(|secret| !secret.is_empty());
    let secrets = given.map(|secret: &Secret| secret.expose().to_owned().into()).collect::<Vec<_>>();
    match account.provider {
        SmsProvider::Twilio => Signer::Twilio(secrets),
        SmsProvider::Vonage => Signer::Vonage(secrets),
        // an SMSC does not call: no secret, so nobody is believed
        SmsProvider::Smpp => Signer::Standard(Vec::new()),
        SmsProvider::Log | SmsProvider::Generic => Signer::Standard(secrets),
    }
}

fn carrier(id: &AccountId, account: &SmsAccountSettings, public_url: &Url, log: &Path) -> CarrierOptions {
    let secret = || account.password.expose().to_owned().into();
    let ready = match (account.provider, account.base()) {
        (SmsProvider::Smpp, Some(url)) => {
            return CarrierOptions::Smpp(SmppOptions {
                address: format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(SMPP_PORT)),
                user: account.user.clone(),
                password: secret(),
                system_type: account.system_type.clone(),
                window: account.window,
                alphabet: account.alphabet,
            });
        }
        (SmsProvider::Twilio, Some(base)) => Carrier::Twilio {
            base,
            account_sid: account.user.clone(),
            auth_token: secret(),
            callback: public_url.join(&format!("sms/v1/{id}")).ok(),
        },
        (SmsProvider::Vonage, Some(base)) => Carrier::Vonage { base, key: account.user.clone(), secret: secret() },
        (SmsProvider::Generic, Some(url)) => Carrier::Generic { url, secret: secret() },
        _ => Carrier::Log(log.to_owned()),
    };
    CarrierOptions::Ready(ready)
}

/// Twilio's pictures lie behind the account's own password.
fn credentials(account: &SmsAccountSettings) -> Option<Credentials> {
    let base = account.base().filter(|_| account.provider == SmsProvider::Twilio)?;
    let password = account.password.expose().to_owned().into();
    Some(Credentials { origin: base.origin(), user: account.user.clone(), password })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_is_made_once_and_is_nobody_elses() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sms").join("urp-sms.secret");
        let secret = kept_secret(&file).expect("made");
        assert_eq!((secret.len(), kept_secret(&file).expect("read")), (64, secret.clone()));
        assert_eq!(std::fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "").expect("written");
        assert!(kept_secret(&file).is_err(), "an empty file is no secret");
        std::fs::remove_file(&file).expect("removed");
        assert_ne!(kept_secret(&file).expect("made anew"), secret);
        assert_eq!(std::fs::read_dir(file.parent().expect("a folder")).expect("a folder").count(), 1, "no draft stays");
    }
}
