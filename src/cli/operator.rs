//! `sportello operator`: arguments, and what they say as a profile and a grant.

use std::io::Read;
use std::str::FromStr;

use anyhow::{Context, ensure};
use clap::{Subcommand, ValueEnum};

use crate::desk::accounts::{PASSWORD_BYTES_MAX, check_password, new_login};
use crate::model::channel::{Channel, Language};
use crate::model::id::{AdministrationId, OfficeId, PoolId, QueueId, SkillId};
use crate::model::operator::{Capacity, Grant, OperatorProfile, Role, Scope};
use crate::plan::Plan;
use crate::port::store::Login;
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
    /// Add an operator: an account to sign in with, and what they can do
    Add(Box<AddArgs>),
    /// List the operators of a pool
    List(ListArgs),
    /// Give an operator a new password; ends their sessions
    Password(PasswordArgs),
    /// Change what an operator can do, or may do; what is not named stays
    Set(Box<SetArgs>),
    /// Disable an account: signs out at once, contacts go back to their queues
    Disable(DisableArgs),
    /// Enable an account that was disabled; its password is the old one
    Enable(EnableArgs),
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

const SET_EXAMPLES: &str = "\
Examples:
  sportello operator set anna --skill tributi=7,anagrafe=3
  sportello operator set anna --office sociale --language it,de
  sportello operator set anna --clear queue,channel --desk-slots 4
  sportello operator set capo --role supervisor --scope administration:comune --content

A list that is named replaces the one before, as a whole: name every skill that stays. --role replaces
everything that they may do. The change counts at once, for contacts that come from now on.";

/// `operator set`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = SET_EXAMPLES)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub struct SetArgs {
    /// What they sign in with
    #[arg(value_name = "LOGIN", value_parser = login)]
    pub login: String,
    /// Their name, as colleagues see it
    #[arg(long, group = "change")]
    pub name: Option<String>,
    /// Administrations they work for
    #[arg(long, value_delimiter = ',', group = "change")]
    pub administration: Option<Vec<AdministrationId>>,
    /// Offices they belong to: the only way into a restricted one
    #[arg(long, value_delimiter = ',', group = "change")]
    pub office: Option<Vec<OfficeId>>,
    /// Skills with their level from 1 to 10: tributi=5
    #[arg(long, value_delimiter = ',', value_name = "SKILL=LEVEL", value_parser = skill, group = "change")]
    pub skill: Option<Vec<(SkillId, u8)>>,
    /// Languages they answer in
    #[arg(long, value_delimiter = ',', value_parser = Language::new, group = "change")]
    pub language: Option<Vec<Language>>,
    /// Channels they work on
    #[arg(long, value_delimiter = ',', group = "change")]
    pub channel: Option<Vec<Channel>>,
    /// Queues they are members of
    #[arg(long, value_delimiter = ',', group = "change")]
    pub queue: Option<Vec<QueueId>>,
    /// Lists to empty: no office, no skill; Italian only; every channel, every queue
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST", group = "change")]
    pub clear: Vec<ListName>,
    /// Units for live contacts: a chat costs 33, a call 100
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=1000), group = "change")]
    pub live_units: Option<u16>,
    /// Letters on the desk at once
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=50), group = "change")]
    pub desk_slots: Option<u8>,
    /// What they may do
    #[arg(long, value_enum, group = "change")]
    pub role: Option<RoleName>,
    /// How far that reaches: pool:<pool>, administration:<name> or office:<administration>/<office>; without, the pool
    #[arg(long, value_parser = scope, requires = "role")]
    pub scope: Option<Scope>,
    /// Supervisors and admins: may read what citizens wrote
    #[arg(long, requires = "role")]
    pub content: bool,
}

/// A list of a profile that can be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListName {
    /// Offices
    Office,
    /// Skills
    Skill,
    /// Languages
    Language,
    /// Channels
    Channel,
    /// Queues
    Queue,
}

/// `operator enable`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  sportello operator enable anna")]
pub struct EnableArgs {
    /// What they sign in with
    #[arg(value_name = "LOGIN", value_parser = login)]
    pub login: String,
}

impl SetArgs {
    /// The account and the profile with what is named changed.
    pub fn change(&self, mut login: Login, mut profile: OperatorProfile) -> anyhow::Result<(Login, OperatorProfile)> {
        fn set<T: Clone, C: FromIterator<T>>(list: &mut C, wanted: Option<&Vec<T>>) {
            if let Some(wanted) = wanted {
                *list = wanted.iter().cloned().collect();
            }
        }
        for list in &self.clear {
            let named = match list {
                ListName::Office => (profile.offices.clear(), self.office.is_some()).1,
                ListName::Skill => (profile.skills.clear(), self.skill.is_some()).1,
                ListName::Language => (profile.languages.clear(), self.language.is_some()).1,
                ListName::Channel => (profile.channels.clear(), self.channel.is_some()).1,
                ListName::Queue => (profile.queues.clear(), self.queue.is_some()).1,
            };
            ensure!(!named, "a list is either emptied by --clear or named, not both");
        }
        set(&mut profile.administrations, self.administration.as_ref());
        set(&mut profile.offices, self.office.as_ref());
        set(&mut profile.skills, self.skill.as_ref());
        set(&mut profile.languages, self.language.as_ref());
        set(&mut profile.channels, self.channel.as_ref());
        set(&mut profile.queues, self.queue.as_ref());
        profile.capacity.live_units = self.live_units.unwrap_or(profile.capacity.live_units);
        profile.capacity.desk_slots = self.desk_slots.unwrap_or(profile.capacity.desk_slots);
        if let Some(role) = self.role {
            login.grants = vec![grant(role, self.scope.clone(), &login.pool, self.content)];
        }
        login.name = self.name.clone().unwrap_or(login.name);
        Ok((login, profile))
    }
}

/// One right, in the pool unless it says how far.
fn grant(role: RoleName, scope: Option<Scope>, pool: &PoolId, content: bool) -> Grant {
    let role = match role {
        RoleName::Operator => Role::Operator,
        RoleName::Supervisor => Role::Supervisor,
        RoleName::Admin => Role::Admin,
    };
    Grant { role, scope: scope.unwrap_or_else(|| Scope::Pool(pool.clone())), content: content || role == Role::Operator }
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
        vec![grant(self.role, self.scope.clone(), &self.pool, self.content)]
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

/// A password from standard input: its first line.
pub fn read_password(input: impl Read) -> anyhow::Result<Secret> {
    let mut text = String::new();
    input.take(PASSWORD_BYTES_MAX as u64 + 2).read_to_string(&mut text).context("the password cannot be read from standard input")?;
    let password = text.lines().next().unwrap_or_default();
    check_password(password)?;
    Ok(Secret::from(password.to_owned()))
}

fn login(text: &str) -> Result<String, String> {
    new_login(text).map_err(|error| error.to_string())
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
