//! The commands that need a database or start something.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};

use super::{Cli, Command, EXIT_FAILURE, EXIT_OK, EXIT_USAGE, erase, healthcheck, operator, plan, quarantine, token};
use crate::desk::accounts::{self, AccountError, NewOperator, NewToken, Passwords};
use crate::model::command::{Actor, Authority, Command as Order, CommandBody, Reply};
use crate::model::id::{CommandId, PoolId};
use crate::model::operator::{Operator, OperatorProfile};
use crate::plan::Plan;
use crate::port::clock;
use crate::port::commands::{CommandEnvelope, CommandError, Commands as _};
use crate::port::retry::{Retried, Retries as _};
use crate::port::store::{Login, Page, Store};
use crate::runtime::daemon::{self, Backends, Daemon};
use crate::runtime::keeping::Keeper;
use crate::runtime::left::LeftCommands;
use crate::settings::Settings;
use crate::settings::log::LogFormat;
use crate::telemetry::Watchdog;
use crate::telemetry::log::{self, LineFormat};

/// Does what the command line says and returns the exit code.
pub async fn run(cli: Cli) -> ExitCode {
    match &cli.command {
        Command::Openapi => return print_json(&openapi()),
        Command::Healthcheck(args) => return healthcheck::run(&cli.settings, args).await,
        _ => {}
    }
    let overrides = match &cli.command {
        Command::Serve(args) => args.overrides(),
        _ => Vec::new(),
    };
    let settings = match cli.settings.load_or_explain(overrides) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let done = match &cli.command {
        Command::Asyncapi => return print_json(&crate::model::contract::asyncapi_document(&settings.installation.event_type_prefix)),
        Command::Serve(_) => serve(settings).await,
        command => administer(settings, command).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

#[expect(clippy::print_stderr, reason = "the command line speaks to whoever typed it")]
fn complain(text: &str) {
    eprintln!("sportello: {text}");
}

#[expect(clippy::print_stdout, reason = "the command's work is to print")]
fn say(text: &str) {
    println!("{text}");
}

fn print_json(document: &serde_json::Value) -> ExitCode {
    say(&serde_json::to_string_pretty(document).expect("a document is plain data"));
    ExitCode::from(EXIT_OK)
}

/// Desk and channel API in one file, each under its name.
fn openapi() -> serde_json::Value {
    serde_json::json!({ "desk": crate::desk::openapi_document(), "channel": crate::channel::api::openapi_document() })
}

// ── serve ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let format = match settings.log.format {
        LogFormat::Auto => LineFormat::Auto,
        LogFormat::Text => LineFormat::Text,
        LogFormat::Json => LineFormat::Json,
    };
    log::init(format, &settings.log.filter)?;
    let data = settings.data.folder.clone();
    let mut ends = Signals::new()?;
    let prepared = tokio::select! {
        prepared = Daemon::prepare(settings) => prepared?,
        () = ends.next() => return Ok(ExitCode::from(EXIT_OK)),
    };
    // from here on it works: what is begun is ended in order, and a signal waits for that
    let daemon = prepared.begin().await?;
    say(&banner(&daemon, &data));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let watchdog = tokio::spawn(feed_watchdog(daemon.watchdog.clone()));
    ends.next().await;
    tracing::info!("asked to stop: finishing what is begun");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tokio::select! {
        () = daemon.stop() => {}
        () = ends.next() => tracing::warn!("asked again: stopping at once"),
    }
    watchdog.abort();
    Ok(ExitCode::from(EXIT_OK))
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Tells systemd that the process is alive, if systemd wants to know, as long as its main loop moves: one that stands still is
/// ended by systemd and started anew.
async fn feed_watchdog(watchdog: Watchdog) {
    loop {
        if watchdog.is_alive() {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

fn banner(daemon: &Daemon, data: &std::path::Path) -> String {
    let addresses = &daemon.addresses;
    let mut lines = vec![format!("Sportello {} - dati in {}", env!("CARGO_PKG_VERSION"), data.display()), String::new()];
    let mut line = |what: &str, value: Option<String>| lines.extend(value.map(|value| format!("  {what:<22} {value}")));
    line("console", addresses.desk.clone());
    line("API documentation", addresses.desk.as_ref().map(|url| format!("{url}/docs")));
    line("channel API", addresses.channel_api.as_ref().map(|url| format!("{url}/channel/v1")));
    line("public address", addresses.public.clone());
    line("SMTP", addresses.smtp.map(|address| address.to_string()));
    line("metrics and health", addresses.metrics.map(|address| format!("http://{address}/metrics, /livez, /readyz")));
    if let Some(samples) = &daemon.samples {
        lines.push("\nSample accounts (shown once; sign in at the console):".into());
        lines.extend(samples.accounts.iter().map(|account| format!("  {:<8} {:<22} {}", account.login, account.password, account.what)));
    } else if addresses.desk.is_some() {
        lines.push("\nWho may sign in: sportello operator list. A new password: sportello operator password LOGIN".into());
    }
    if let Some(smtp) = addresses.smtp {
        lines.push("\nTry a citizen's mail:".into());
        lines.push(format!(
            "  printf 'From: Mario <mario@example.it>\\r\\nTo: urp@comune.example\\r\\nDate: %s\\r\\nMessage-ID: <%s@example.it>\\r\\nSubject: Quanto pago di TARI?\\r\\n\\r\\nBuongiorno, vorrei sapere quanto devo pagare.\\r\\n' \"$(date -R)\" $(date +%s%N) | curl -s smtp://{smtp} --mail-from mario@example.it --mail-rcpt urp@comune.example -T -"
        ));
    }
    if let (Some(url), Some(samples)) = (&addresses.channel_api, &daemon.samples) {
        lines.push("Try a citizen's call, as a telephone system would report it:".into());
        lines.push(format!(
            "  curl -s {url}/channel/v1/contacts -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' -d '{{\"external_id\":\"call-'$(date +%s%N)'\",\"from\":{{\"address\":\"+390471123456\"}},\"subject\":\"Carta di identità\",\"language\":\"it\"}}'",
            samples.token
        ));
    }
    if let (Some(url), Some(trial)) = (&addresses.public, &addresses.trial_sms) {
        lines.push("Try a citizen's text message, signed as its gateway would sign it:".into());
        lines.push(text_message_to_try(url, trial));
    }
    if let (Some(url), true) = (&addresses.public, addresses.has_chat) {
        lines.push("Try a citizen's chat, in another browser window than the console:".into());
        lines.push(format!("  {url}/chat"));
    }
    lines.join("\n")
}

/// A line for a shell: Standard Webhooks by openssl, with another id each time.
fn text_message_to_try(url: &str, trial: &daemon::TrialSms) -> String {
    let daemon::TrialSms { account, number, secret_file, .. } = trial;
    let secret = secret_file.display();
    format!(
        "  t=$(date +%s); i=sms-$(date +%s%N); b='{{\"type\":\"message\",\"id\":\"'$i'\",\"from\":\"+393331234567\",\"to\":\"{number}\",\"text\":\"Buongiorno, per la carta di identità serve la prenotazione?\"}}'; \
         s=$(printf %s \"$i.$t.$b\" | openssl dgst -sha256 -hmac \"$(cat '{secret}')\" -binary | base64); \
         curl -s -w '%{{http_code}}\\n' {url}/sms/v1/{account} -H \"webhook-id: $i\" -H \"webhook-timestamp: $t\" -H \"webhook-signature: v1,$s\" -H 'Content-Type: application/json' -d \"$b\""
    )
}

// ── administration ────────────────────────────────────────────────────────────────────────────────────────────────────

async fn administer(settings: Settings, command: &Command) -> anyhow::Result<ExitCode> {
    let Backends { store, keeping, blobs, .. } = daemon::open_backends(&settings).await?;
    match command {
        Command::Migrate(_) => say("the database has this release's schema"),
        Command::Plan(command) => return plan_command(store, command).await,
        Command::Operator(command) => operator_command(store, command).await?,
        Command::Token(command) => token_command(&*store, command).await?,
        Command::Quarantine(command) => quarantine_command(store, command).await?,
        Command::Erase(args) => return erase_command(&Keeper { keeping, blobs, pause: Duration::ZERO }, args).await,
        _ => bail!("this command needs nothing from here"),
    }
    Ok(ExitCode::from(EXIT_OK))
}

async fn erase_command(keeper: &Keeper, args: &erase::EraseArgs) -> anyhow::Result<ExitCode> {
    let mut conversations = args.conversations.clone();
    if let Some(citizen) = args.citizen {
        conversations = keeper.keeping.conversations_of(&args.administration, citizen).await?;
        if conversations.is_empty() {
            say(&format!("{citizen} has no conversation with {} that holds anything", args.administration));
        }
    }
    let mut code = EXIT_OK;
    for conversation in conversations {
        match erase::told(conversation, &keeper.erase(&args.administration, conversation).await?) {
            Ok(done) => say(&done),
            Err(refusal) => {
                complain(&refusal);
                code = EXIT_FAILURE;
            }
        }
    }
    Ok(ExitCode::from(code))
}

async fn plan_command(store: Arc<dyn Store>, command: &plan::PlanCommand) -> anyhow::Result<ExitCode> {
    match command {
        plan::PlanCommand::Show(args) => {
            let text = match args.plan_version {
                Some(version) => store.plan_version(version).await?,
                None => store.plan().await?.map(|(_, text)| text),
            };
            say(text.ok_or_else(|| anyhow!("there is no such plan"))?.trim_end());
        }
        plan::PlanCommand::Apply(args) => {
            let text = std::fs::read_to_string(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
            let plan = match crate::plan::parse(&text) {
                Ok(plan) => plan,
                Err(problems) => {
                    problems.iter().for_each(|problem| complain(&format!("{}: {problem}", args.file.display())));
                    return Ok(ExitCode::from(EXIT_USAGE));
                }
            };
            let before = pools_in_force(&*store).await?;
            let behind = left_behind(&*store, &plan, &before).await?;
            if !behind.is_empty() {
                behind.iter().for_each(|sentence| complain(sentence));
                return Ok(ExitCode::from(EXIT_FAILURE));
            }
            let version = store.put_plan(&text).await?;
            let commands = LeftCommands { store };
            for pool in &plan.pools {
                match send(&commands, pool, CommandBody::ApplyPlan { version }).await {
                    Ok(()) => say(&format!("plan {version} is in force in pool {pool}")),
                    // stored it is: whoever leads next reads it
                    Err(error) if matches!(error.downcast_ref(), Some(CommandError::LeftForLater)) => {
                        say(&format!("plan {version} is stored; in pool {pool} it is in force from the next start"));
                    }
                    Err(error) => return Err(error),
                }
            }
            for pool in before.difference(&plan.pools) {
                say(&format!(
                    "pool {pool} is in the plan no more: what is published to it is kept in quarantine until the next start, and read by \
                     nobody from then on; with RabbitMQ delete its queue then: sportello.router.{pool}"
                ));
            }
        }
        plan::PlanCommand::Example => {}
    }
    Ok(ExitCode::from(EXIT_OK))
}

/// The pools of the stored plan; none if it is of a release whose plans this one cannot read.
async fn pools_in_force(store: &dyn Store) -> anyhow::Result<BTreeSet<PoolId>> {
    let stored = store.plan().await?.and_then(|(_, text)| crate::plan::parse(&text).ok());
    Ok(stored.map(|plan| plan.pools).unwrap_or_default())
}

/// What a plan would leave behind of the contacts that are open now, in its own pools and in those of the plan before.
async fn left_behind(store: &dyn Store, new: &Plan, before: &BTreeSet<PoolId>) -> anyhow::Result<Vec<String>> {
    let mut behind = Vec::new();
    for pool in new.pools.union(before) {
        behind.extend(plan::left_behind(new, pool, &store.contact_counts(pool).await?));
    }
    Ok(behind)
}

async fn send(commands: &LeftCommands, pool: &PoolId, body: CommandBody) -> anyhow::Result<()> {
    let command =
        Order { id: CommandId(rand::random()), actor: Actor { operator: None, authority: Authority::Any }, expected_version: None, body };
    match commands.send(pool, CommandEnvelope { command, text: None, traceparent: None }).await? {
        Reply::Refused { code } => bail!("refused: {code}"),
        Reply::Applied { .. } | Reply::Duplicate => Ok(()),
    }
}

async fn operator_command(store: Arc<dyn Store>, command: &operator::OperatorCommand) -> anyhow::Result<()> {
    match command {
        operator::OperatorCommand::Add(args) => {
            let profile = args.profile();
            check_names(&*store, &args.pool, &profile).await?;
            let (password, made) = password(args.password_stdin)?;
            let new = NewOperator {
                pool: args.pool.clone(),
                login: args.login.clone(),
                name: args.name.clone(),
                password: password.clone(),
                language: "it".into(),
                profile,
                grants: args.grants(),
            };
            let commands = LeftCommands { store: Arc::clone(&store) };
            let created = accounts::create_operator(&*store, &commands, &Passwords::new()?, new).await;
            if let Err(AccountError::Taken(_)) = created {
                bail!("somebody signs in as `{}`: `sportello operator set` changes what they can do", args.login);
            }
            say(&match or_later(created)? {
                Some(id) => format!("{} is {id}", args.login),
                None => format!("{} is made; {FROM_THE_NEXT_START}", args.login),
            });
            if made {
                say(&format!("password (shown once): {password}"));
            }
        }
        operator::OperatorCommand::List(args) => {
            let operators = store.operators(&args.pool).await?;
            for login in store.logins(&args.pool).await? {
                say(&describe(&login, operators.iter().find(|operator| operator.id == login.operator)));
            }
        }
        operator::OperatorCommand::Password(args) => {
            let login = known(&*store, &args.login).await?;
            let (password, made) = password(args.password_stdin)?;
            accounts::set_password(&*store, &Passwords::new()?, login.operator, &password).await?;
            if made {
                say(&format!("password (shown once): {password}"));
            }
        }
        operator::OperatorCommand::Set(args) => {
            let (login, profile) = known_with_profile(&*store, &args.login).await?;
            let (login, profile) = args.change(login, profile)?;
            check_names(&*store, &login.pool, &profile).await?;
            accounts::check_name("name", &login.name)?;
            put_operator(store, login, profile, "is changed").await?;
        }
        operator::OperatorCommand::Disable(args) => {
            let login = Login { enabled: false, ..known(&*store, &args.login).await? };
            // kept before anything can fail: who is to leave does not sign in any more
            store.put_login(&login).await?;
            let (login, profile) = known_with_profile(&*store, &args.login).await?;
            put_operator(store, login, profile, "is disabled; their contacts went back to their queues").await?;
        }
        operator::OperatorCommand::Enable(args) => {
            let (login, profile) = known_with_profile(&*store, &args.login).await?;
            put_operator(store, Login { enabled: true, ..login }, profile, "may sign in again").await?;
        }
    }
    Ok(())
}

/// What is said of a change that no router has taken up yet.
const FROM_THE_NEXT_START: &str = "no process leads the pool now: the router takes it up at its next start";

/// Refuses names that the plan in force does not know.
async fn check_names(store: &dyn Store, pool: &PoolId, profile: &OperatorProfile) -> anyhow::Result<()> {
    let Some((_, text)) = store.plan().await? else { return Ok(()) };
    let Ok(plan) = crate::plan::parse(&text) else { return Ok(()) };
    let unknown = operator::unknown_names(&plan, pool, profile);
    ensure!(unknown.is_empty(), "{}", unknown.join("; "));
    Ok(())
}

/// Keeps an account and tells the router, as the desk does it.
async fn put_operator(store: Arc<dyn Store>, login: Login, profile: OperatorProfile, done: &str) -> anyhow::Result<()> {
    store.put_login(&login).await?;
    let announced = accounts::announce_operator(&LeftCommands { store }, &login, profile, None).await;
    say(&match or_later(announced)? {
        Some(()) => format!("{} {done}", login.login),
        None => format!("{} {done}; {FROM_THE_NEXT_START}", login.login),
    });
    Ok(())
}

/// None: the account is kept, and the router takes it up later.
fn or_later<T>(done: Result<T, AccountError>) -> anyhow::Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(AccountError::Router(CommandError::LeftForLater)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An account with what the router knows of it.
async fn known_with_profile(store: &dyn Store, login: &str) -> anyhow::Result<(Login, OperatorProfile)> {
    let login = known(store, login).await?;
    let operator = store.operators(&login.pool).await?.into_iter().find(|operator| operator.id == login.operator);
    let operator = operator.ok_or_else(|| {
        anyhow!(
            "the account is kept, but no router has taken `{}` up yet: start one, or wait a second if one runs, and do this again",
            login.login
        )
    })?;
    Ok((login, operator.profile))
}

fn password(from_stdin: bool) -> anyhow::Result<(String, bool)> {
    if from_stdin {
        Ok((operator::read_password(std::io::stdin())?.expose().to_owned(), false))
    } else {
        Ok((accounts::random_token("pw"), true))
    }
}

async fn known(store: &dyn Store, login: &str) -> anyhow::Result<Login> {
    store.login(login).await?.ok_or_else(|| anyhow!("nobody signs in as `{login}`"))
}

fn describe(login: &Login, operator: Option<&Operator>) -> String {
    let skills =
        operator.map(|operator| operator.profile.skills.iter().map(|(skill, level)| format!("{skill}={level}")).collect::<Vec<_>>());
    let presence = operator.map_or("unknown", |operator| operator.presence.state.name());
    let enabled = if login.enabled { "" } else { " (disabled)" };
    format!("{}\t{}\t{}\t{}{enabled}", login.login, login.name, presence, skills.unwrap_or_default().join(","))
}

async fn token_command(store: &dyn Store, command: &token::TokenCommand) -> anyhow::Result<()> {
    match command {
        token::TokenCommand::Add(args) => {
            let operator = match &args.operator {
                Some(login) => Some(known(store, login).await?.operator),
                None => None,
            };
            let now = clock::now();
            let new = NewToken {
                name: args.name.clone(),
                account: args.account.clone(),
                operator,
                expires_at: args.expires.map(|expires| now.plus(expires)),
            };
            say(&accounts::create_token(store, new, now).await?);
        }
        token::TokenCommand::List => {
            for token in store.tokens().await? {
                let whose = token.account.map(|account| account.to_string()).or(token.operator.map(|operator| operator.to_string()));
                let until = token.expires_at.map_or("never ends".to_owned(), |at| format!("until {at}"));
                say(&format!("{}\t{}\tsince {}\t{until}", token.name, whose.unwrap_or_default(), token.created_at));
            }
        }
        token::TokenCommand::End(args) => ensure!(store.end_token(&args.name).await?, "there is no token `{}`", args.name),
    }
    Ok(())
}

async fn quarantine_command(store: Arc<dyn Store>, command: &quarantine::QuarantineCommand) -> anyhow::Result<()> {
    use std::io::Write as _;
    match command {
        quarantine::QuarantineCommand::List(args) => {
            let held = store.quarantined(None, args.all, Page { limit: args.limit, offset: args.offset }).await?;
            for item in &held {
                let retried = if item.state == "retried" { "\tretried" } else { "" };
                say(&format!("{}\t{}\t{}\t{}\t{}{retried}", item.id, item.at, item.source, item.key, item.reason));
            }
            if let Some(more) = args.more(held.len()) {
                complain(&more);
            }
        }
        quarantine::QuarantineCommand::Show(args) => {
            let item = store.quarantined_item(args.item).await?.ok_or_else(|| anyhow!("there is no item {}", args.item))?;
            std::io::stdout().write_all(&item.body)?;
        }
        quarantine::QuarantineCommand::Retry(args) => {
            for item in &args.items {
                retry(&store, *item).await?;
            }
        }
        quarantine::QuarantineCommand::Discard(args) => {
            for item in &args.items {
                ensure!(store.settle_quarantined(*item, "discarded").await?, "there is no item {item}, or it is discarded already");
            }
        }
    }
    Ok(())
}

async fn retry(store: &Arc<dyn Store>, item: i64) -> anyhow::Result<()> {
    let held = store.quarantined_item(item).await?.ok_or_else(|| anyhow!("there is no item {item}"))?;
    let commands = LeftCommands { store: Arc::clone(store) };
    match commands.retry(&held).await {
        Ok(Retried::HandedIn) => say(&format!("item {item} is on its way again")),
        Ok(Retried::HeldAgain { reason }) => bail!("item {item} was tried, and is held again: {reason}"),
        Ok(Retried::Refused { reason }) => bail!("item {item}: {reason}"),
        Err(CommandError::LeftForLater) => say(&format!("item {item} is tried as soon as a process leads the pool: none does now")),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
