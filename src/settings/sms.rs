//! `[sms]`: whose webhooks are believed, and who carries our text messages.

use std::collections::BTreeMap;
use std::path::PathBuf;

use phonenumber::country;
use serde::{Deserialize, Serialize};
use url::Url;

use super::load::Check;
use super::secret::{self, Secret};
use crate::model::id::AccountId;
use crate::model::price::{Amount, PartPrice, is_currency};
use crate::model::text_message::{ShortAlphabet, TextMessageTerms};

/// Text messages in and out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsSettings {
    /// The most bytes that may wait on this disk to be published.
    pub spool_bytes_max: u64,
    /// The largest picture that is fetched, in bytes.
    pub media_bytes_max: usize,
    /// Hosts of one's own that pictures may be fetched from though they are not on the public Internet.
    pub media_hosts: Vec<String>,
    /// Numbers without country code are of this country, two letters of ISO 3166.
    pub country: String,
    /// Providers, by the plan's account.
    #[serde(default)]
    pub account: BTreeMap<AccountId, SmsAccountSettings>,
}

/// Who carries an account's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsProvider {
    /// Nobody: out to a log in the data folder, in by a standard webhook. For trying out.
    Log,
    /// Twilio, or what speaks like it.
    Twilio,
    /// Vonage's Messages API.
    Vonage,
    /// A gateway that speaks our JSON.
    Generic,
    /// An SMSC, by SMPP 3.4.
    Smpp,
}

/// An account at a provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmsAccountSettings {
    /// Who it is with.
    pub provider: SmsProvider,
    /// Twilio: `AC…`; Vonage: the API key; SMPP: the system id.
    pub user: String,
    /// Twilio: the auth token; Vonage: the API secret; generic: what our requests are signed with.
    pub password: Secret,
    /// The file that holds `password`; empty: none.
    pub password_file: PathBuf,
    /// What the provider signs its webhooks with; empty: `password`.
    pub webhook_secret: Secret,
    /// The file that holds `webhook_secret`; empty: none.
    pub webhook_secret_file: PathBuf,
    /// The one before, believed as well while it is replaced.
    pub webhook_secret_old: Secret,
    /// The file that holds `webhook_secret_old`; empty: none.
    pub webhook_secret_old_file: PathBuf,
    /// Where the provider's interface is; empty: the provider's own address.
    pub url: String,
    /// SMPP: the system type, mostly empty.
    pub system_type: String,
    /// SMPP: orders that may wait for their answers at once.
    pub window: u16,
    /// SMPP: the SMSC's own alphabet, `data_coding` 0.
    pub alphabet: ShortAlphabet,
    /// What the provider asks for one part of a message, as a decimal number; empty: it is not known.
    pub price_per_part: String,
    /// Of which currency, ISO 4217.
    pub currency: String,
}

impl Default for SmsAccountSettings {
    fn default() -> Self {
        Self {
            provider: SmsProvider::Log,
            user: String::new(),
            password: Secret::default(),
            password_file: PathBuf::new(),
            webhook_secret: Secret::default(),
            webhook_secret_file: PathBuf::new(),
            webhook_secret_old: Secret::default(),
            webhook_secret_old_file: PathBuf::new(),
            url: String::new(),
            system_type: String::new(),
            window: 10,
            alphabet: ShortAlphabet::Gsm7,
            price_per_part: String::new(),
            currency: "EUR".to_owned(),
        }
    }
}

impl SmsAccountSettings {
    /// The provider's interface, without path.
    pub fn base(&self) -> Option<Url> {
        let own = match self.provider {
            SmsProvider::Twilio => "https://api.twilio.com",
            SmsProvider::Vonage => "https://api.nexmo.com",
            SmsProvider::Log | SmsProvider::Generic | SmsProvider::Smpp => "",
        };
        let text = if self.url.is_empty() { own } else { &self.url };
        text.parse().ok()
    }

    /// What whoever writes an answer must know; none: it is a message as everywhere, of a price that is not known.
    pub fn terms(&self) -> Option<TextMessageTerms> {
        let amount = self.price_per_part.parse().ok();
        let price = amount.map(|price_per_part| PartPrice { price_per_part, currency: self.currency.clone() });
        (price.is_some() || !self.alphabet.is_usual()).then_some(TextMessageTerms { alphabet: self.alphabet, price })
    }
}

impl SmsSettings {
    /// The country of numbers without country code; none: there is no such country.
    pub fn country_id(&self) -> Option<country::Id> {
        self.country.parse().ok()
    }
}

impl Check for SmsSettings {
    fn resolve(&mut self, problem: &mut dyn FnMut(&str, String)) {
        for (account, settings) in &mut self.account {
            let at = |key: &str| format!("account.{account}.{key}");
            secret::resolve(&at("password"), &mut settings.password, &settings.password_file, problem);
            secret::resolve(&at("webhook_secret"), &mut settings.webhook_secret, &settings.webhook_secret_file, problem);
            secret::resolve(&at("webhook_secret_old"), &mut settings.webhook_secret_old, &settings.webhook_secret_old_file, problem);
        }
    }

    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        if !(1_048_576..=64 * 1024 * 1024 * 1024).contains(&self.spool_bytes_max) {
            problem("spool_bytes_max", "write a number from 1048576 to 68719476736".into());
        }
        if !(1_024..=64 * 1024 * 1024).contains(&self.media_bytes_max) {
            problem("media_bytes_max", "write a number from 1024 to 67108864".into());
        }
        if self.country_id().is_none() {
            problem("country", "write the two capital letters of a country, such as IT".into());
        }
        for (account, settings) in &self.account {
            settings.check(&format!("account.{account}"), problem);
            settings.check_price(&format!("account.{account}"), problem);
        }
    }
}

impl SmsAccountSettings {
    fn check_price(&self, at: &str, problem: &mut dyn FnMut(&str, String)) {
        if !self.price_per_part.is_empty()
            && let Err(rule) = self.price_per_part.parse::<Amount>()
        {
            problem(&format!("{at}.price_per_part"), rule.into());
        }
        if !is_currency(&self.currency) {
            problem(&format!("{at}.currency"), "write the three capital letters of a currency, such as EUR".into());
        }
    }

    fn check_smpp(&self, at: &str, problem: &mut dyn FnMut(&str, String)) {
        if !self.base().is_some_and(|base| base.scheme() == "smpp" && base.has_host()) {
            problem(&format!("{at}.url"), "name the SMSC: smpp://host:2775. SMPP has no encryption: go by a tunnel of your own".into());
        }
        if self.user.len() > 15 || self.password.expose().len() > 8 || self.system_type.len() > 12 {
            problem(&format!("{at}.user"), "SMPP takes 15 characters of user, 8 of password, 12 of system type".into());
        }
        if !(1..=1000).contains(&self.window) {
            problem(&format!("{at}.window"), "write a number from 1 to 1000".into());
        }
    }

    fn check(&self, at: &str, problem: &mut dyn FnMut(&str, String)) {
        let needs_user = matches!(self.provider, SmsProvider::Twilio | SmsProvider::Vonage | SmsProvider::Smpp);
        if needs_user && self.user.trim().is_empty() {
            problem(&format!("{at}.user"), "name the account at the provider: Twilio's AC…, Vonage's API key, SMPP's system id".into());
        }
        if self.provider != SmsProvider::Log && self.password.is_empty() && self.password_file.as_os_str().is_empty() {
            problem(&format!("{at}.password_file"), "the provider's secret is missing: name a file that holds it".into());
        }
        if self.provider == SmsProvider::Vonage && self.webhook_secret.is_empty() && self.webhook_secret_file.as_os_str().is_empty() {
            problem(
                &format!("{at}.webhook_secret_file"),
                "Vonage signs with a signature secret of its own: name a file that holds it".into(),
            );
        }
        if self.provider == SmsProvider::Generic && self.url.is_empty() {
            problem(&format!("{at}.url"), "name the address of the gateway".into());
        }
        if self.provider == SmsProvider::Smpp {
            self.check_smpp(at, problem);
            return;
        }
        if !self.alphabet.is_usual() {
            problem(&format!("{at}.alphabet"), "only an SMSC has an alphabet of its own; other providers choose by the text".into());
        }
        let Some(base) = self.base() else {
            if !self.url.is_empty() {
                problem(&format!("{at}.url"), "this is not an address: write https://host".into());
            }
            return;
        };
        let here =
            base.host_str().is_some_and(|host| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()));
        if base.scheme() != "https" && !here {
            problem(&format!("{at}.url"), "the secret would go over the net unprotected: write https://".into());
        }
    }
}
