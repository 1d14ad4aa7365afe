//! Bad plans with the exact place and sentence; the example plan over letters as citizens write them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::channel::{Channel, Language};
use crate::model::contact::Mode;
use crate::model::id::{ContactId, ConversationId, InputId, MessageId};
use crate::model::input::{InboundFacts, RuleText};
use crate::plan::Policy;

const EXAMPLE: &str = include_str!("../../../config/example/plan.toml");

/// A plan that is in order, to be spoiled.
const GOOD: &str = r#"[pool.main]
[skill.tributi]
[administration.comune]
name = "Comune"
pool = "main"
[administration.comune.office.urp]
name = "URP"
[administration.comune.queue.urp]
office = "urp"
name = "URP"
[administration.comune.account.mail]
channel = "email"
address = "urp@comune.example"
queue = "urp"
"#;

/// Replaces the one line of the good plan that begins with `line`, or adds to its end, and compares every problem.
fn refused(line: &str, with: &str, problems: &[&str]) {
    let text = if line.is_empty() {
        format!("{GOOD}{with}\n")
    } else {
        let lines = GOOD.lines().map(|old| if old.starts_with(line) { with } else { old });
        lines.collect::<Vec<_>>().join("\n")
    };
    let found = parse(&text).expect_err(with);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, problems, "{text}");
}

#[test]
fn a_small_plan_has_the_documented_defaults() {
    let plan = parse(GOOD).expect("good");
    let queue = &plan.queues[&QueueId::new("urp").expect("name")];
    assert_eq!(queue.policy, Policy::BestFit);
    assert_eq!(queue.target, Duration::from_secs(86_400));
    assert_eq!(queue.offer_timeout, Duration::from_secs(20));
    assert_eq!(queue.untouched_for, Duration::from_secs(1_800));
    assert_eq!((queue.wrap_up, queue.cool_off), (Duration::from_secs(120), Duration::from_secs(120)));
    assert_eq!((queue.head_start, queue.returns_max, queue.waiting_max), (Duration::ZERO, 5, 100_000));
    let body = &plan.administrations[&AdministrationId::new("comune").expect("name")];
    assert_eq!(body.languages, [Language::ITALIAN]);
    assert!(!body.offices[&OfficeId::new("urp").expect("name")].restricted);
}

#[test]
fn names_and_references() {
    refused(
        "pool = ",
        "pool = \"mian\"",
        &["line 5, column 8: administration.comune.pool: there is no pool called `mian`: did you mean `main`?"],
    );
    refused(
        "office = ",
        "office = \"anagrafe\"",
        &["line 9, column 10: administration.comune.queue.urp.office: there is no office of comune called `anagrafe`: there are urp"],
    );
    refused(
        "queue = ",
        "queue = \"ufficio\"",
        &["line 14, column 9: administration.comune.account.mail.queue: there is no queue of comune called `ufficio`: there are urp"],
    );
    refused(
        "[pool.main]",
        "[pool.Main]",
        &[
            "line 1, column 7: pool.Main: `Main` is not a name: use [a-z][a-z0-9_-]{0,31}",
            "line 5, column 8: administration.comune.pool: there is no pool called `main`: did you mean `Main`?",
        ],
    );
}

#[test]
fn unknown_keys_and_missing_ones() {
    refused(
        "name = \"Comune\"",
        "nome = \"Comune\"",
        &[
            "line 3, column 17: administration.comune: `name` is missing: write the body's name, as citizens know it",
            "line 4, column 1: administration.comune.nome: there is no key `nome` here: did you mean `name`?",
        ],
    );
    refused(
        "",
        "colour = 3",
        &[
            "line 15, column 1: administration.comune.account.mail.colour: there is no key `colour` here: known are address, channel, display_name, queue",
        ],
    );
    refused(
        "address = ",
        "",
        &[
            "line 11, column 32: administration.comune.account.mail: `address` is missing: write the office's own address or number, which citizens see and answer to",
        ],
    );
}

#[test]
fn values() {
    let queue = "administration.comune.queue.urp";
    for (with, problem) in [
        ("target = 3600", "target: this is a number: write a duration in quotation marks, such as \"30s\", \"20m\", \"2h\" or \"1d\""),
        ("target = \"0s\"", "target: 0s is out of bounds: write a duration from 1s to 365d"),
        ("target = \"2 weeks\"", "target: `weeks` is not a unit of time: use ms, s, m, h or d"),
        ("returns_max = 0", "returns_max: 0 is out of bounds: write a whole number from 1 to 1000"),
        ("waiting_max = -1", "waiting_max: -1 is out of bounds: write a whole number from 1 to 1000000"),
        ("match_language = \"yes\"", "match_language: this is a text: write true or false"),
        ("require = { skill = \"tributo\" }", "require.skill: there is no skill called `tributo`: did you mean `tributi`?"),
        ("require = { skill = \"tributi\", level = 11 }", "require.level: 11 is out of bounds: write a whole number from 0 to 10"),
        (
            "require = { field = \"language\", value = \"deu\" }",
            "require.value: `deu` is not a language: write its two letters in ISO 639-1, such as it, de, fr, sl",
        ),
        ("require = { any = [] }", "require.any: this list is empty: name at least one requirement"),
    ] {
        let text = GOOD
            .replace("name = \"URP\"\n[administration.comune.account", &format!("name = \"URP\"\n{with}\n[administration.comune.account"));
        let found = parse(&text).expect_err(with);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, 11, "{with}");
        assert_eq!(format!("{}: {}", found[0].path, found[0].message), format!("{queue}.{problem}"));
    }
    refused(
        "address = ",
        "address = \"urp\"",
        &[
            "line 13, column 11: administration.comune.account.mail.address: this is not an email address: write it bare, such as urp@comune.example",
        ],
    );
    refused(
        "pool = ",
        "pool = \"main\"\ndomains = [\"@comune.example\"]",
        &[
            "line 6, column 12: administration.comune.domains[1]: `@comune.example` is not a mail domain: write it without @, such as comune.example",
        ],
    );
}

#[test]
fn what_is_kept_for_a_time_is_kept_long_enough() {
    for days in ["34", "36501", "0"] {
        let problem = format!(
            "line 6, column 18: administration.comune.retention_days: {days} is out of bounds: write a whole number from 35 to 36500"
        );
        refused("pool = ", &format!("pool = \"main\"\nretention_days = {days}"), &[problem.as_str()]);
    }
}

#[test]
fn rules_that_cannot_be_meant() {
    for (rule, column, problem) in [
        ("when = { }\ntier = 0", 8, "tier: tier 0 is kept for supervisors: write 1 (before all others) to 9; without a tier it is 5"),
        ("when = { }\ntier = 12", 8, "tier: 12 is not a tier: write 1 (before all others) to 9; without a tier it is 5"),
        ("tier = 4\nwhen = { chanel = \"email\" }", 10, "when.chanel: there is no key `chanel` here: did you mean `channel`?"),
        ("tier = 4\nwhen = { channel = \"sms\" }", 20, "when.channel: no account of comune is on the channel `sms`, so this never holds"),
        ("tier = 4\nwhen = { account = \"pec\" }", 20, "when.account: there is no account of comune called `pec`: there are mail"),
        ("tier = 4\nwhen = { language = [] }", 21, "when.language: this list is empty and could never hold: name at least one of values"),
        ("tier = 4\nwhen = { not = { } }", 16, "when.not: the opposite of everything never holds: say what it must not be"),
        ("tier = 4\nwhen = { text = { matches = \"(a\" } }", 29, "when.text.matches: this is not a regular expression: unclosed group"),
        (
            "tier = 4\nwhen = { text = { matches = \"a*\" } }",
            29,
            "when.text.matches: this expression matches the empty text, so it always holds: leave the condition out or say what must be there",
        ),
        (
            "tier = 4\nwhen = { text = { matches = \"(\\\\p{L}{1000}){1000}\" } }",
            29,
            "when.text.matches: this expression is too large: use fewer repetitions or fewer words",
        ),
        (
            "tier = 4\nwhen = { text = { contains = \"a\", words = \"b\" } }",
            17,
            "when.text: write one test: is, words (whole words), contains (anywhere) or matches (a regular expression)",
        ),
        ("tier = 4\nwhen = { language = \"de\", all = [{ language = \"it\" }] }", 8, "when: this never holds: `it` and `de` at once"),
    ] {
        let found = parse(&format!("{GOOD}[[administration.comune.rule]]\n{rule}\n")).expect_err(rule);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, [format!("line 17, column {column}: administration.comune.rule[1].{problem}")], "{rule}");
    }
}

#[test]
fn a_rule_behind_one_for_everything_never_applies() {
    refused(
        "",
        "[[administration.comune.rule]]\nwhen = {}\ntier = 4\n[[administration.comune.rule]]\nwhen = { language = \"de\" }\ntier = 3",
        &[
            "line 18, column 1: administration.comune.rule[2]: rule 1 holds for every contact, so this one never applies: move it up or remove one of the two",
        ],
    );
    refused(
        "",
        "[[administration.comune.rule]]\nwhen = {}",
        &["line 15, column 1: administration.comune.rule[1]: nothing follows from this rule: give it a queue, a require or a tier"],
    );
}

#[test]
fn names_are_unique_over_administrations() {
    let second = GOOD.replace("comune", "provincia").replace("[pool.main]\n[skill.tributi]\n", "").replace("urp@provincia", "urp@comune");
    let found = parse(&format!("{GOOD}{second}")).expect_err("twice");
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "line 20, column 33: administration.provincia.queue.urp: comune has a queue `urp` already: names of queues are unique over all administrations",
            "line 23, column 35: administration.provincia.account.mail: comune has an account `mail` already: names of accounts are unique over all administrations",
        ]
    );
    let found = parse(&format!(
        "{GOOD}{}",
        second.replace("queue.urp", "queue.urp2").replace("queue = \"urp\"", "queue = \"urp2\"").replace("account.mail", "account.mail2")
    ))
    .expect_err("same address");
    assert_eq!(found[0].message, "account `mail` has the same address: what arrives there can have one account only");
}

#[test]
fn broken_toml_and_too_much_of_it() {
    let found = parse("[pool.main]\nname = \n").expect_err("broken");
    assert_eq!(found[0].line, 2);
    assert!(found[0].message.starts_with("this is not TOML: "), "{}", found[0]);
    assert_eq!(parse(&" ".repeat(PLAN_BYTES_MAX + 1)).expect_err("long").len(), 1);
    let deep = format!("{GOOD}[[administration.comune.rule]]\ntier = 4\nwhen = {}{}\n", "{ not = ".repeat(300), "}".repeat(300));
    assert!(parse(&deep).is_err());
    let many = (0..500).map(|i| format!("unknown{i} = 1\n")).collect::<String>();
    let found = parse(&format!("{many}{GOOD}")).expect_err("many");
    assert_eq!(found.len(), 201);
    assert_eq!(found[200].message, "and 300 more problems: put these right first");
}

fn facts(account: &str, channel: &str, text: RuleText, language: Option<&str>) -> InboundFacts {
    let channel = Channel::new(channel).expect("name");
    InboundFacts {
        input: InputId(1),
        message: MessageId(1),
        new_contact: ContactId(1),
        new_conversation: ConversationId(1),
        administration: AdministrationId::new("comune").expect("name"),
        account: AccountId::new(account).expect("name"),
        mode: if channel.is_live() { Mode::Live } else { Mode::Deferrable },
        channel,
        filed_at: crate::model::time::Timestamp(0),
        address: None,
        citizen: None,
        citizen_level: None,
        identity: crate::model::channel::IdentityLevel::Claimed,
        language: language.map(|language| Language::new(language).expect("code")),
        reference: None,
        thread: Vec::new(),
        recent: None,
        last_helper: None,
        last_helper_office: None,
        automatic: None,
        bounced: None,
        bounced_stored: None,
        has_text: true,
        answerable: false,
        classification: None,
        text: Some(Box::new(text)),
    }
}

#[test]
fn the_example_sends_letters_where_they_belong() {
    let plan = parse(EXAMPLE).unwrap_or_else(|problems| panic!("{problems:#?}"));
    for (account, subject, text, queue, tier) in [
        ("urp-mail", "Informazioni orari", "Buongiorno, quando siete aperti?", "urp", 5),
        ("urp-mail", "IMU 2026", "Quanto devo pagare?", "tributi", 5),
        ("urp-mail", "Domanda", "Ho ricevuto una cartella\nesattoriale", "tributi", 5),
        // A word inside another is not that word.
        ("urp-mail", "Volontari", "Cerco il notariato e chi vuole rimuovere le siepi", "urp", 5),
        ("urp-mail", "Müllgebühren 2026", "Guten Tag, wann muss ich zahlen?", "tributi", 5),
        ("urp-mail", "MÜLLGEBÜHR", "", "tributi", 5),
        ("urp-mail", "Rinnovo carta d'identità", "", "anagrafe", 5),
        ("urp-mail", "Identitätskarte verlängern", "", "anagrafe", 5),
        ("urp-mail", "Wohnsitz ändern", "", "anagrafe", 5),
        ("urp-mail", "Aiuto", "Ho bisogno di un assistente sociale per mia madre, e della TARI", "sociale", 3),
        ("urp-mail", "Hilfe", "Ich erlebe Gewalt zu Hause.", "sociale", 3),
        ("urp-mail", "Sollecito: buca in via Roma", "", "urp", 4),
        ("tributi-mail", "Domanda", "Vorrei sapere", "tributi", 5),
        ("tributi-mail", "Cambio di residenza", "", "anagrafe", 5),
    ] {
        let text = RuleText { subject: subject.into(), text: text.into(), from: "anna@mail.example".into(), ..RuleText::default() };
        let made = plan.classify(&facts(account, "email", text, None)).expect("known account");
        assert_eq!((made.queue.as_str(), made.tier), (queue, tier), "{subject}");
    }
    for (menu, queue, requires) in [("sociale", "sociale", false), ("imu", "banco", true), ("orari", "banco", false)] {
        let text = RuleText { attributes: BTreeMap::from([("menu".into(), menu.into())]), ..RuleText::default() };
        let made = plan.classify(&facts("telefono", "phone", text, Some("de"))).expect("known account");
        assert_eq!((made.queue.as_str(), !made.requirement.skills().is_empty()), (queue, requires), "{menu}");
    }
}

#[test]
fn the_example_hides_social_services() {
    let plan = parse(EXAMPLE).expect("good");
    let comune = AdministrationId::new("comune").expect("name");
    assert!(plan.is_restricted(&comune, &OfficeId::new("sociale").expect("name")));
    assert!(!plan.is_restricted(&comune, &OfficeId::new("urp").expect("name")));
    assert_eq!(plan.queues[&QueueId::new("tributi").expect("name")].policy, Policy::MostSkilled { tolerance: 1 });
}

/// Who is a member of a restricted office would be let into another body's of the same name.
#[test]
fn a_restricted_office_shares_its_name_with_none_of_its_pool() {
    let body = |name: &str, pool: &str, restricted: bool| {
        format!(
            "[administration.{name}]\nname = \"{name}\"\npool = \"{pool}\"\n[administration.{name}.office.sociale]\nname = \"Sociale\"\nrestricted = {restricted}\n"
        )
    };
    for (first, second, pool, good) in [
        (true, true, "main", false),
        (true, false, "main", false),
        (false, true, "main", false),
        (false, false, "main", true),
        (true, true, "valle", true),
    ] {
        let text = format!("[pool.main]\n[pool.valle]\n{}{}", body("comune", "main", first), body("unione", pool, second));
        let says = parse(&text).err().map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>());
        let about_the_name =
            |says: &Vec<String>| says.iter().any(|text| text.contains("unione.office.sociale: comune has an office `sociale` too"));
        assert_eq!(!says.as_ref().is_some_and(about_the_name), good, "{first} {second} {pool}: {says:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    /// The example with a piece cut out, doubled or replaced: nearly a plan.
    #[test]
    fn no_damaged_plan_makes_it_panic(from in 0usize..6_000, length in 0usize..400, with in "[\\[\\]{}=\"a-z0-9. \\n]{0,12}") {
        let characters: Vec<char> = EXAMPLE.chars().collect();
        let from = from.min(characters.len());
        let to = (from + length).min(characters.len());
        let damaged: String = characters[..from].iter().copied().chain(with.chars()).chain(characters[to..].iter().copied()).collect();
        if let Err(problems) = parse(&damaged) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| problem.line >= 1 && problem.column >= 1));
        }
    }
}
