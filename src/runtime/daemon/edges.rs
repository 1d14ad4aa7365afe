//! The doors of a process: mail, the public listener with text messages and chat, desk and channel API.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use url::Url;

use crate::channel::api::{self, ChannelApiDeps, ChannelApiOptions};
use crate::channel::email::{self, EmailDeps};
use crate::channel::sms::{self, SmsDeps};
use crate::channel::webchat::{self, WebChatDeps};
use crate::desk::counters::Counters as DeskCounters;
use crate::desk::{self, DeskDeps, DeskOptions};
use crate::port::aside::Asides;
use crate::port::commands::Commands;
use crate::settings::ProcessRole;

use super::super::left::LeftCommands;
use super::super::retry::Retry;
use super::http::{self, Limits};
use super::public::Public;
use super::{Addresses, DaemonError, Parts, PublicFigures, chat_options, email_options, measured, part, sms_options};

impl Parts {
    pub(super) async fn start_email(&self) -> Result<email::EmailHandle, DaemonError> {
        let options = email_options::options(&self.settings);
        let started = email::start(options, self.email_deps(), self.edges.clone(), self.edge_tasks.clone(), &self.attempt_tasks).await;
        started.map_err(|error| part("email")(error.to_string()))
    }

    fn email_deps(&self) -> EmailDeps {
        EmailDeps {
            publisher: Arc::clone(&self.publisher),
            broker: Arc::clone(&self.broker),
            store: Arc::clone(&self.backends.store),
            leases: Arc::clone(&self.backends.leases),
            blobs: Arc::clone(&self.backends.blobs),
            plan: self.plans.subscribe(),
            ids: self.ids.clone(),
            holder: self.node.clone(),
        }
    }

    /// What reads raw mails and text messages anew that somebody takes out of quarantine, whatever roles this process has.
    pub(super) fn retry(&self) -> Result<Retry, DaemonError> {
        let wrong = |error: String| part("quarantine")(error);
        let email = email::inbound::Inbound::new(&email_options::options(&self.settings), &self.email_deps(), Arc::default());
        Ok(Retry {
            store: Arc::clone(&self.backends.store),
            publisher: Arc::clone(&self.publisher),
            plan: self.plans.subscribe(),
            email,
            sms: sms_options::courier(&self.settings, self.sms_deps()).map_err(wrong)?,
        })
    }

    /// What citizens and providers reach: each channel brings its routes.
    pub(super) async fn serve_public(&self, addresses: &mut Addresses) -> Result<PublicFigures, DaemonError> {
        let roles = &self.settings.roles;
        if !roles.has(ProcessRole::Sms) && !roles.has(ProcessRole::Webchat) {
            return Ok((None, None));
        }
        let mut public = Public::bind(&self.settings.public).await?;
        let (mut sms_figures, mut chat_figures) = (None, None);
        if roles.has(ProcessRole::Sms) {
            let handle = self.start_sms(&public.url, addresses)?;
            public.merge(handle.router);
            sms_figures = Some((handle.counters, handle.spool));
        }
        if roles.has(ProcessRole::Webchat) {
            let handle = self.start_webchat(&public.url);
            public.merge(handle.router);
            chat_figures = Some(handle.counters);
            addresses.has_chat = self.plan().accounts.values().any(|account| account.channel.is_session());
        }
        addresses.public = Some(public.url.as_str().trim_end_matches('/').to_owned());
        let (listener, router) = public.into_parts();
        self.serve(listener, router, Limits::of_public(&self.settings));
        Ok((sms_figures, chat_figures))
    }

    /// Chats on web pages; what time does to them runs beside.
    fn start_webchat(&self, public_url: &Url) -> webchat::WebChatHandle {
        let options = chat_options::options(&self.settings, public_url, &self.node);
        let deps = WebChatDeps {
            store: Arc::clone(&self.backends.store),
            chats: Arc::clone(&self.backends.chats),
            leases: Arc::clone(&self.backends.leases),
            blobs: Arc::clone(&self.backends.blobs),
            broker: Arc::clone(&self.broker),
            publisher: Arc::clone(&self.publisher),
            commands: Arc::clone(&self.commands) as Arc<dyn Commands>,
            asides: Arc::clone(&self.asides) as Arc<dyn Asides>,
            feed: self.feed.subscribe(),
            plan: self.plans.subscribe(),
            ids: self.ids.clone(),
        };
        webchat::start(options, deps, self.edges.clone(), self.edge_tasks.clone())
    }

    /// The webhooks of providers; courier and senders run beside.
    fn start_sms(&self, public_url: &Url, addresses: &mut Addresses) -> Result<sms::SmsHandle, DaemonError> {
        let trials = sms_options::trials(&self.settings, &self.plan())?;
        addresses.trial_sms = trials.values().next().cloned();
        let options = sms_options::options(&self.settings, public_url, &trials);
        let started = sms::start(options, self.sms_deps(), self.edges.clone(), &self.edge_tasks, &self.attempt_tasks);
        started.map_err(|error| part("sms")(error.to_string()))
    }

    fn sms_deps(&self) -> SmsDeps {
        SmsDeps {
            publisher: Arc::clone(&self.publisher),
            broker: Arc::clone(&self.broker),
            store: Arc::clone(&self.backends.store),
            blobs: Arc::clone(&self.backends.blobs),
            plan: self.plans.subscribe(),
            ids: self.ids.clone(),
        }
    }

    /// Desk and channel API: on one address, or the channel API on its own.
    pub(super) async fn serve_http(&self, counters: &Arc<DeskCounters>, addresses: &mut Addresses) -> Result<(), DaemonError> {
        let roles = &self.settings.roles;
        let own_address = self.settings.channel_api.listen;
        let api = roles.has(ProcessRole::Api).then(|| self.channel_api());
        if roles.has(ProcessRole::Desk) {
            let listener = bind("the desk's address", self.settings.desk.listen).await?;
            let bound = listener.local_addr().map_err(|source| DaemonError::Io { what: "the desk's address".into(), source })?;
            let url = self.settings.desk.public_url(bound);
            let mut router = self.desk(&url, counters)?;
            if let (Some(api), None) = (&api, own_address) {
                router = router.merge(api.clone());
                addresses.channel_api = Some(url.clone());
            }
            addresses.desk = Some(url);
            self.serve(listener, router, Limits::with_sockets(self.settings.desk.sockets_max as usize));
        }
        if let Some(api) = api
            && (own_address.is_some() || !roles.has(ProcessRole::Desk))
        {
            let listener = bind("the channel API's address", own_address.unwrap_or(self.settings.desk.listen)).await?;
            addresses.channel_api = listener.local_addr().ok().map(|address| format!("http://{address}"));
            self.serve(listener, api, Limits::with_sockets(0));
        }
        Ok(())
    }

    fn channel_api(&self) -> axum::Router {
        api::router(ChannelApiDeps {
            store: Arc::clone(&self.backends.store),
            publisher: Arc::clone(&self.publisher),
            plan: self.plans.subscribe(),
            ids: self.ids.clone(),
            type_prefix: self.settings.installation.event_type_prefix.clone(),
            options: ChannelApiOptions {
                requests_per_second: self.settings.channel_api.requests_per_second,
                burst: self.settings.channel_api.burst,
            },
        })
    }

    fn desk(&self, url: &str, counters: &Arc<DeskCounters>) -> Result<axum::Router, DaemonError> {
        let public_url = url.parse().map_err(|error| part("desk.public_url")(format!("{url}: {error}")))?;
        let settings = &self.settings.desk;
        let options = DeskOptions {
            session_idle: settings.session_idle,
            session_absolute: settings.session_max,
            trusted_proxies: settings.trusted_proxies.clone(),
            queue_frames_max: settings.socket_queue_len_max as usize,
            sockets_max: settings.sockets_max as usize,
            country: Some(settings.country.clone()),
            text_message_terms: self.settings.sms.account.iter().filter_map(|(id, account)| Some((id.clone(), account.terms()?))).collect(),
            ..DeskOptions::new(public_url, self.node.clone())
        };
        let deps = DeskDeps {
            store: Arc::clone(&self.backends.store),
            blobs: Arc::clone(&self.backends.blobs),
            chats: Arc::clone(&self.backends.chats),
            commands: Arc::clone(&self.commands) as Arc<dyn Commands>,
            asides: Arc::clone(&self.asides) as Arc<dyn Asides>,
            retries: Arc::new(LeftCommands { store: Arc::clone(&self.backends.store) }),
            plan: self.plans.subscribe(),
            ids: self.ids.clone(),
            feed: self.feed.subscribe(),
            counters: Arc::clone(counters),
            options,
        };
        desk::router(deps, self.edges.clone(), self.edge_tasks.clone()).map_err(|error| part("desk")(error.to_string()))
    }

    /// Serves what is asked on a listener.
    fn serve(&self, listener: TcpListener, router: axum::Router, limits: Limits) {
        let router = router.layer(from_fn_with_state(Arc::clone(&self.metrics), measured::time_request));
        self.edge_tasks.spawn(http::serve(listener, router, limits, Arc::clone(&self.metrics), self.edges.clone()));
    }
}

/// An address of the settings, taken.
pub(super) async fn bind(what: &str, address: SocketAddr) -> Result<TcpListener, DaemonError> {
    TcpListener::bind(address).await.map_err(|source| DaemonError::Io { what: format!("{what} {address}"), source })
}
