//! `sportello operator`: arguments, and what they say as a profile and a grant.

use std::io::Read;
use std::str::FromStr;

use anyhow::{Context, ensure};
use clap::{Subcommand, ValueEnum};

use crate::model::channel::{Channel, Language};
use crate::model::id::{AdministrationId, OfficeId, PoolId, QueueId, SkillId};
use crate::model::operator::{Capacity, Grant, OperatorProfile, Role, Scope};
use crate::plan::Plan;
use crate::settings::Secret;

const ADD_EXAMPLES: &str = "\
Examples:
  sportello operator add anna --name 'Anna Rossi' --administration comune --skill tributi=5 --language it,de
  sportello operator add marta --name 'Marta Plank' --administration comune --office sociale --skill sociale=6
  sportello operator add capo --name 'Carla Po' --administration comune --role supervisor --scope administration:comune
  sportello operator add anna --name 'Anna Rossi' --administration comune --password-stdin < password.txt

Without --password-stdin a password is made and printed once. Who belongs to no restricted office
sees nothing of it, whatever their skills.";

/// `operator …`.
#[derive(Debug, Clone, Subcommand)]
pub enum OperatorCommand {
    /// Add an operator
    Add(Box<AddArgs>),
    /// List the operators of a pool
    List(ListArgs),
    /// Give an operator a new password; ends their sessions
    Password(PasswordArgs),
    /// Disable an account: signs out at once, contacts go back to their queues
    Disable(DisableArgs),
}

/// `operator add`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = ADD_EXAMPLES)]
pub struct AddArgs {
    /// What they sign in with: 1 to 64 letters, digits and . _ @ -
    #[arg(value_name = "LOGIN", value_parser = login)]
    pub login: String,
    /// Their name, as colleagues see it
    #[arg(long)]
    pub name: String,
    /// The pool they are routed in
    #[arg(long, default_value = "main")]
    pub pool: PoolId,
    /// Administrations they work for
    #[arg(long, value_delimiter = ',', required = true)]
    pub administration: Vec<AdministrationId>,
    /// Offices they belong to: the only way into a restricted one
    #[arg(long, value_delimiter = ',')]
    pub office: Vec<OfficeId>,
    /// Skills with their level from 1 to 10: tributi=5
    #[arg(long, value_delimiter = ',', value_name = "SKILL=LEVEL", value_parser = skill)]
    pub skill: Vec<(SkillId, u8)>,
    /// Languages they answer in; without, Italian
    #[arg(long, value_delimiter = ',', value_parser = Language::new)]
    pub language: Vec<Language>,
    /// Channels they work on; without, every channel
    #[arg(long, value_delimiter = ',')]
    pub channel: Vec<Channel>,
    /// Queues they are members of; without, every queue of their administrations
    #[arg(long, value_delimiter = ',')]
    pub queue: Vec<QueueId>,
    /// Units for live contacts: a chat costs 33, a call 100
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub live_units: u16,
    /// Letters on the desk at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=50))]
    pub desk_slots: u8,
    /// What they may do
    #[arg(long, value_enum, default_value_t = RoleName::Operator)]
    pub role: RoleName,
    /// How far that reaches: pool:<pool>, administration:<name> or office:<administration>/<office>; without, the pool
    #[arg(long, value_parser = scope)]
    pub scope: Option<Scope>,
    /// Supervisors and admins: may read what citizens wrote. Operators always may, in their contacts
    #[arg(long)]
    pub content: bool,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// A role as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Answers citizens
    Operator,
    /// Runs the room
    Supervisor,
    /// Changes accounts, plan, quarantine
    Admin,
}

/// `operator list`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  sportello operator list\n  sportello operator list --pool main")]
pub struct ListArgs {
    /// The pool
    #[arg(long, default_value = "main")]
    pub pool: PoolId,
}

/// `operator password`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  sportello operator password anna\n  sportello operator password anna --password-stdin < password.txt")]
pub struct PasswordArgs {
    /// What they sign in with
    #[arg(value_name = "LOGIN", value_parser = login)]
    pub login: String,
    /// Read it from standard input; without, one is made and printed once
    #[arg(long)]
    pub password_stdin: bool,
}

/// `operator disable`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  sportello operator disable anna")]
pub struct DisableArgs {
    /// What they sign in with
    #[arg(value_name = "LOGIN", value_parser = login)]
    pub login: String,
}

impl AddArgs {
    /// What they can do and how much at once.
    pub fn profile(&self) -> OperatorProfile {
        OperatorProfile {
            administrations: self.administration.iter().cloned().collect(),
            offices: self.office.iter().cloned().collect(),
            skills: self.skill.iter().cloned().collect(),
            languages: self.language.iter().copied().collect(),
            channels: self.channel.iter().cloned().collect(),
            queues: self.queue.iter().cloned().collect(),
            capacity: Capacity { live_units: self.live_units, desk_slots: self.desk_slots, ..Capacity::default() },
        }
    }

    /// What they may do, and where.
    pub fn grants(&self) -> Vec<Grant> {
        let role = match self.role {
            RoleName::Operator => Role::Operator,
            RoleName::Supervisor => Role::Supervisor,
            RoleName::Admin => Role::Admin,
        };
        let scope = self.scope.clone().unwrap_or_else(|| Scope::Pool(self.pool.clone()));
        vec![Grant { role, scope, content: self.content || role == Role::Operator }]
    }
}

/// Names in a profile that the plan does not know, a sentence each.
pub fn unknown_names(plan: &Plan, pool: &PoolId, profile: &OperatorProfile) -> Vec<String> {
    let mut unknown = Vec::new();
    if !plan.pools.contains(pool) {
        unknown.push(format!("the plan has no pool `{pool}`"));
    }
    for name in &profile.administrations {
        match plan.administrations.get(name) {
            None => unknown.push(format!("the plan has no administration `{name}`")),
            Some(body) if body.pool != *pool => unknown.push(format!("`{name}` is served by the pool `{}`, not by `{pool}`", body.pool)),
            Some(_) => {}
        }
    }
    let has_office = |office| profile.administrations.iter().any(|body| plan.office(body, office).is_some());
    unknown.extend(
        profile
            .offices
            .iter()
            .filter(|office| !has_office(*office))
            .map(|office| format!("none of their administrations has an office `{office}`")),
    );
    unknown.extend(
        profile.skills.keys().filter(|skill| !plan.skills.contains_key(*skill)).map(|skill| format!("the plan has no skill `{skill}`")),
    );
    unknown.extend(
        profile.queues.iter().filter(|queue| !plan.queues.contains_key(*queue)).map(|queue| format!("the plan has no queue `{queue}`")),
    );
    unknown
}

/// The longest password, in bytes.
const PASSWORD_BYTES_MAX: u64 = 1_024;

/// A password from standard input: its first line, 10 characters at least.
pub fn read_password(input: impl Read) -> anyhow::Result<Secret> {
    let mut text = String::new();
    input.take(PASSWORD_BYTES_MAX + 1).read_to_string(&mut text).context("the password cannot be read from standard input")?;
    ensure!(text.len() as u64 <= PASSWORD_BYTES_MAX, "the password is longer than {PASSWORD_BYTES_MAX} bytes");
    let password = text.lines().next().unwrap_or_default();
    ensure!(password.chars().count() >= 10, "the password is shorter than 10 characters: use a longer one");
    Ok(Secret::from(password.to_owned()))
}

fn login(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
    if (1..=64).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text.to_lowercase())
    } else {
        Err("use 1 to 64 letters, digits and . _ @ -".to_owned())
    }
}

fn skill(text: &str) -> Result<(SkillId, u8), String> {
    let (name, level) = text.split_once('=').unwrap_or((text, "1"));
    let level = level.parse().ok().filter(|level| (1..=10).contains(level)).ok_or("a level goes from 1 to 10: tributi=5")?;
    Ok((SkillId::from_str(name).map_err(|error| error.to_string())?, level))
}

fn scope(text: &str) -> Result<Scope, String> {
    let said = |error: crate::model::id::IdError| error.to_string();
    match text.split_once(':') {
        Some(("pool", name)) => PoolId::new(name).map(Scope::Pool).map_err(said),
        Some(("administration", name)) => AdministrationId::new(name).map(Scope::Administration).map_err(said),
        Some(("office", names)) => {
            let (body, office) = names.split_once('/').ok_or("write office:<administration>/<office>")?;
            Ok(Scope::Office(AdministrationId::new(body).map_err(said)?, OfficeId::new(office).map_err(said)?))
        }
        _ => Err("write pool:<pool>, administration:<name> or office:<administration>/<office>".to_owned()),
    }
}
