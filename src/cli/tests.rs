//! The command line is consistent, its examples can be typed, and its checks say what they should.

use std::io::Write;
use std::sync::Arc;

use clap::CommandFactory;

use super::*;
use crate::model::channel::Channel;
use crate::model::contact::StateName;
use crate::model::operator::{Role, Scope};
use crate::model::time::Timestamp;
use crate::port::store::ContactCount;
use crate::telemetry::{HealthOptions, Metrics, Readiness, Watchdog, health};

fn parsed(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(words(line))
}

/// Words as a shell would make them of an example: 'quoted', redirections left out.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars().take_while(|c| !matches!(c, '>' | '<')) {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("never empty").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn leaves(command: &clap::Command, found: &mut Vec<clap::Command>) {
    if command.get_subcommands().count() == 0 {
        found.push(command.clone());
    }
    command.get_subcommands().for_each(|command| leaves(command, found));
}

#[test]
fn it_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_examples_that_can_be_typed() {
    let mut commands = vec![Cli::command()];
    leaves(&Cli::command(), &mut commands);
    assert!(commands.len() > 15);
    for command in commands {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<&str> =
            help.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.contains("sportello ")).collect();
        assert!(!examples.is_empty(), "`{}` has no example", command.get_name());
        for example in examples {
            let typed = &example[example.find("sportello ").expect("filtered")..];
            let typed = typed.split("   ").next().expect("one at least");
            if let Err(error) = parsed(typed) {
                panic!("`{typed}` cannot be typed: {error}");
            }
        }
    }
}

#[test]
fn nonsense_is_64_and_help_is_0() {
    let code = |line: &str| format!("{:?}", parse(words(line).into_iter().map(Into::into)).expect_err(line));
    assert_eq!(code("sportello nonsense"), format!("{:?}", ExitCode::from(64)));
    assert_eq!(code("sportello token add x"), format!("{:?}", ExitCode::from(64)));
    assert_eq!(code("sportello serve --set nonsense"), format!("{:?}", ExitCode::from(64)));
    assert_eq!(code("sportello --help"), format!("{:?}", ExitCode::from(0)));
}

#[test]
fn flags_are_settings() {
    let Cli { settings, command: Command::Serve(serve) } =
        parsed("sportello serve --roles all --data /tmp/x --set desk.listen=127.0.0.1:0").expect("good")
    else {
        panic!("not serve")
    };
    let loaded = settings.load(serve.overrides()).expect("in order");
    assert_eq!((loaded.data.folder.to_str(), loaded.desk.listen.port()), (Some("/tmp/x"), 0));
    let listing = parsed("sportello operator list --data /tmp/x").expect("every command finds the data of `serve --data`");
    assert_eq!(listing.settings.load(Vec::new()).expect("in order").data.folder.to_str(), Some("/tmp/x"));
}

#[test]
fn an_operator_is_who_was_described() {
    let line = "sportello operator add Anna --name 'Anna Rossi' --administration comune --office sociale --skill tributi=5,spid --language it,de --role supervisor --scope office:comune/sociale";
    let Command::Operator(operator::OperatorCommand::Add(add)) = parsed(line).expect("good").command else { panic!("not add") };
    let profile = add.profile();
    assert_eq!((add.login.as_str(), add.name.as_str()), ("anna", "Anna Rossi"));
    assert_eq!(profile.skills.iter().map(|(skill, level)| format!("{skill}{level}")).collect::<Vec<_>>(), ["spid1", "tributi5"]);
    assert_eq!(profile.languages.len(), 2);
    let grants = add.grants();
    assert_eq!((grants[0].role, grants[0].content), (Role::Supervisor, false));
    assert!(matches!(&grants[0].scope, Scope::Office(body, office) if body.as_str() == "comune" && office.as_str() == "sociale"));
    let plan = crate::plan::parse(plan::EXAMPLE_PLAN).expect("the example is in order");
    assert_eq!(operator::unknown_names(&plan, &add.pool, &profile), ["the plan has no skill `spid`"]);
}

#[test]
fn what_is_set_is_changed_and_the_rest_stays() {
    let line = "sportello operator add anna --name Anna --administration comune --office urp,sociale --skill tributi=5,spid --queue tari";
    let Command::Operator(operator::OperatorCommand::Add(add)) = parsed(line).expect("good").command else { panic!("not add") };
    let login = crate::port::testing::login(1, "anna", add.grants());
    let set = |line: &str| {
        let Command::Operator(operator::OperatorCommand::Set(set)) = parsed(line).expect(line).command else { panic!("not set") };
        set.change(login.clone(), add.profile())
    };
    let (changed, profile) = set("sportello operator set anna --skill tributi=7 --clear office,queue --desk-slots 9").expect("good");
    assert_eq!((&changed.name, &changed.grants), (&login.name, &add.grants()));
    assert_eq!(profile.skills.values().copied().collect::<Vec<_>>(), [7]);
    assert!(profile.offices.is_empty() && profile.queues.is_empty());
    assert_eq!((profile.administrations.len(), profile.capacity.desk_slots, profile.capacity.live_units), (1, 9, 100));
    let (changed, profile) =
        set("sportello operator set anna --name 'Anna B' --role supervisor --scope administration:comune").expect("good");
    assert_eq!((changed.name.as_str(), changed.grants[0].role, changed.grants.len()), ("Anna B", Role::Supervisor, 1));
    assert_eq!(profile, add.profile());
    assert!(set("sportello operator set anna --office urp --clear office").is_err());
    for nonsense in
        ["sportello operator set anna", "sportello operator set anna --content", "sportello operator set anna --skill tributi=11"]
    {
        assert!(parsed(nonsense).is_err(), "{nonsense}");
    }
}

#[test]
fn passwords_are_long_enough() {
    assert_eq!(operator::read_password("correct horse\nsecond line\n".as_bytes()).expect("good").expose(), "correct horse");
    assert!(operator::read_password("short\n".as_bytes()).is_err());
    assert!(operator::read_password("x".repeat(2_000).as_bytes()).is_err());
}

#[test]
fn check_says_where() {
    let mut settings = tempfile::NamedTempFile::new().expect("a file");
    settings.write_all(b"[desk]\nlisten = 5\n[email.mailbox.nobody]\nhost = \"h\"\nuser = \"u\"\npassword = \"p\"\n").expect("written");
    let mut plan = tempfile::NamedTempFile::new().expect("a file");
    plan.write_all(
        b"[pool.main]\n[administration.comune]\nname = \"C\"\npool = \"mian\"\n[administration.comune.office.urp]\nname = \"U\"\n",
    )
    .expect("written");
    let args = settings::SettingsArgs { config: Some(settings.path().into()), set: Vec::new(), data: None };
    let found = check::problems(&args, &check::CheckArgs { plan: Some(plan.path().into()) });
    let (settings_name, plan_name) = (settings.path().display(), plan.path().display());
    assert_eq!(
        found,
        [
            format!("{settings_name}, line 2: desk.listen: write an IP address and a port, such as 127.0.0.1:8080 or [::]:8080"),
            format!("{plan_name}, line 4, column 8: administration.comune.pool: there is no pool called `mian`: did you mean `main`?"),
        ]
    );
    let good = settings::SettingsArgs { config: None, set: Vec::new(), data: None };
    assert_eq!(check::problems(&good, &check::CheckArgs::default()), Vec::<String>::new());
}

#[test]
fn accounts_of_the_settings_are_the_plans() {
    let (mut settings, mut plan) = (tempfile::NamedTempFile::new().expect("a file"), tempfile::NamedTempFile::new().expect("a file"));
    let mailbox = "host = \"h\"\nuser = \"u\"\npassword = \"p\"\n";
    let mailboxes = ["urp-mail", "telefono", "urp-mial"].map(|account| format!("[email.mailbox.{account}]\n{mailbox}"));
    let others = "[sms.account.urp-mail]\nprovider = \"log\"\n[webchat.accounts.banco]\n[webchat.accounts.urp-chat]\ntopics = [\"tari\", \"luna\"]\n";
    write!(settings, "{}{others}", mailboxes.concat()).expect("written");
    plan.write_all(plan::EXAMPLE_PLAN.as_bytes()).expect("written");
    let args = settings::SettingsArgs { config: Some(settings.path().into()), set: Vec::new(), data: None };
    let found = check::problems(&args, &check::CheckArgs { plan: Some(plan.path().into()) });
    let name = settings.path().display();
    let expected = [
        "line 5: email.mailbox.telefono: the plan has `telefono` on the channel phone, not email: this does nothing",
        "line 9: email.mailbox.urp-mial: the plan has no account `urp-mial`, so this does nothing: did you mean `urp-mail`?",
        "line 13: sms.account.urp-mail: the plan has `urp-mail` on the channel email, not sms: this does nothing",
        "line 15: webchat.accounts.banco: the plan has no account `banco`, so this does nothing: add it to the plan, or take this out",
        "line 17: webchat.accounts.urp-chat.topics: the plan has no topic `luna` there, so it is not offered: add it to the plan or take it out",
    ];
    assert_eq!(found, expected.map(|line| format!("{name}, {line}")));
}

/// What a plan would leave behind: by what it is without, and whose contacts are open where.
#[test]
fn a_plan_leaves_no_open_contact_behind() {
    let count = |administration: &str, queue: &str, state, count| ContactCount {
        administration: administration.parse().expect("a name"),
        office: "ufficio".parse().expect("a name"),
        queue: queue.parse().expect("a name"),
        channel: Channel::email(),
        state,
        count,
        oldest: Timestamp(0),
    };
    let body = |name: &str, pool: &str| {
        format!(
            "[administration.{name}]\nname = \"A\"\npool = \"{pool}\"\n[administration.{name}.office.urp]\nname = \"U\"\n\
             [administration.{name}.queue.{name}-urp]\noffice = \"urp\"\nname = \"U\"\n"
        )
    };
    let plan = |text: String| crate::plan::parse(&text).expect("in order");
    let usual = plan(format!("[pool.main]\n[pool.unione]\n{}{}", body("comune", "main"), body("unione", "unione")));
    let without = plan(format!("[pool.main]\n{}", body("comune", "main")));
    let moved = plan(format!("[pool.main]\n[pool.unione]\n{}{}", body("comune", "main"), body("unione", "main")));
    let open = [count("unione", "unione-urp", StateName::Queued, 2), count("unione", "unione-urp", StateName::Pending, 1)];
    let over = [count("unione", "unione-urp", StateName::Abandoned, 4)];
    let dropped = [count("comune", "tributi", StateName::Active, 1), count("comune", "unione-urp", StateName::Queued, 1)];
    for (plan, pool, counts, expected) in [
        (&usual, "unione", &open[..], &[][..]),
        (&without, "unione", &open, &["pool `unione` has open contacts (3): "]),
        (&without, "unione", &over, &[]),
        (&moved, "unione", &open, &["administration `unione` has open contacts (3): the plan puts it into pool `main`"]),
        (&moved, "main", &open, &[]),
        (&usual, "main", &dropped, &["queue `tributi` has open contacts (1): ", "queue `unione-urp` has open contacts (1): "]),
    ] {
        let behind = plan::left_behind(plan, &pool.parse().expect("a name"), counts);
        assert_eq!(behind.len(), expected.len(), "{behind:?}");
        for (sentence, beginning) in behind.iter().zip(expected) {
            assert!(sentence.starts_with(beginning) && sentence.contains("first, or "), "{sentence}");
        }
    }
}

#[tokio::test]
async fn healthcheck_asks_and_answers() {
    let readiness = Readiness::default();
    let latch = readiness.latch("store");
    let options =
        HealthOptions { metrics: Arc::new(Metrics::new()), readiness, watchdog: Watchdog::new(std::time::Duration::from_secs(60)) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let serving = tokio::spawn(async move { axum::serve(listener, health::routes(options)).await });
    let ask = async |live| {
        let args = healthcheck::HealthcheckArgs { address: Some(address), live, timeout: 5 };
        format!("{:?}", healthcheck::run(&settings::SettingsArgs::default(), &args).await)
    };
    assert_eq!(ask(false).await, format!("{:?}", ExitCode::from(1)));
    assert_eq!(ask(true).await, format!("{:?}", ExitCode::from(0)));
    latch.ready();
    assert_eq!(ask(false).await, format!("{:?}", ExitCode::from(0)));
    serving.abort();
    let _ = serving.await;
    assert_eq!(ask(false).await, format!("{:?}", ExitCode::from(1)));
}
