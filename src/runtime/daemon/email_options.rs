//! The email channel's options from the settings.

use crate::channel::email::gate::GateLimits;
use crate::channel::email::options::{CertificateFiles, Credentials, ImapSecurity, Start, Submission, SubmissionSecurity};
use crate::channel::email::{EmailOptions, MailboxOptions, SmtpOptions, Transport};
use crate::settings::Settings;
use crate::settings::email::{MailTls, MailboxSettings, MailboxStart, RelayKind, RelaySettings};

/// Listener, mailboxes and senders.
pub fn options(settings: &Settings) -> EmailOptions {
    let email = &settings.email;
    let maildir = settings.data.maildir_folder();
    let installation = &settings.installation;
    let mut options = EmailOptions::new(installation.event_type_prefix.clone(), installation.message_domain.clone(), &maildir);
    options.limits = GateLimits { size_max: email.message_bytes_max, ..GateLimits::default() };
    options.smtp = email.smtp.listen.map(|listen| {
        let hostname = match email.smtp.hostname.as_str() {
            "" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            name => name.to_owned(),
        };
        let certificate = (!email.smtp.tls_certificate_file.as_os_str().is_empty())
            .then(|| CertificateFiles { chain: email.smtp.tls_certificate_file.clone(), key: email.smtp.tls_key_file.clone() });
        SmtpOptions {
            certificate,
            size_max: email.message_bytes_max,
            connections_max: email.smtp.connections_max,
            recipients_max: email.smtp.recipients_max,
            idle_timeout: email.smtp.timeout,
            ..SmtpOptions::new(listen, hostname)
        }
    });
    options.mailboxes = email.mailbox.iter().map(|(account, mailbox)| mailbox_options(account, mailbox)).collect();
    options.transport = transport(&email.relay, &maildir);
    options.transports = email.sender.iter().map(|(account, sender)| (account.clone(), transport(sender, &maildir))).collect();
    options
}

fn mailbox_options(account: &crate::model::id::AccountId, mailbox: &MailboxSettings) -> MailboxOptions {
    let password = mailbox.password.expose().to_owned().into();
    MailboxOptions {
        port: mailbox.port,
        security: match mailbox.tls {
            MailTls::Implicit => ImapSecurity::Tls,
            MailTls::Starttls => ImapSecurity::StartTls,
            MailTls::None => ImapSecurity::None,
        },
        folder: mailbox.folder.clone(),
        start: match mailbox.start {
            MailboxStart::New => Start::Now,
            MailboxStart::All => Start::All,
        },
        look_every: mailbox.poll,
        ..MailboxOptions::new(account.clone(), mailbox.host.clone(), mailbox.user.clone(), password)
    }
}

fn transport(relay: &RelaySettings, maildir: &std::path::Path) -> Transport {
    match relay.kind {
        RelayKind::Maildir => Transport::Maildir(maildir.to_owned()),
        RelayKind::Smtp => Transport::Submission(Submission {
            host: relay.host.clone(),
            port: relay.port,
            security: match relay.tls {
                MailTls::Implicit => SubmissionSecurity::Tls,
                MailTls::Starttls => SubmissionSecurity::StartTls,
                MailTls::None => SubmissionSecurity::None,
            },
            trust: None,
            credentials: (!relay.user.is_empty())
                .then(|| Credentials::Password { login: relay.user.clone(), password: relay.password.expose().to_owned().into() }),
            timeout: relay.timeout,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::email::outbound::transport::ATTEMPT_MAX;
    use crate::routing::ATTEMPT_TIMEOUT;
    use crate::settings::Sources;
    use crate::settings::email::RELAY_TIMEOUT_MAX;

    /// An attempt that the router takes for lost must have ended: it orders the next, and the citizen would get two letters.
    #[test]
    fn no_attempt_outlasts_the_routers_patience() {
        let margin = std::time::Duration::from_secs(60);
        assert!(ATTEMPT_MAX + margin <= ATTEMPT_TIMEOUT);
        assert!(RELAY_TIMEOUT_MAX * 5 <= ATTEMPT_MAX, "what is set is what counts");
    }

    #[test]
    fn every_way_in_has_the_same_largest_mail() {
        let overrides = vec![("email.message_bytes_max".to_owned(), "100000".to_owned())];
        let settings = Settings::load(&Sources { overrides, ..Sources::default() }).expect("in order");
        let options = options(&settings);
        assert_eq!((options.limits.size_max, options.smtp.expect("a listener").size_max), (100_000, 100_000));
    }
}
