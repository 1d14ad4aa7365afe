//! Lengths and characters that no command may have: refused before anybody is asked.

use super::wish::{Answer, Wish};
use crate::desk::problem::Problem;
use crate::model::inbound::TEXT_BYTES_MAX;

/// The most carbon copies of one reply.
const CC_MAX: usize = 20;
/// The most files in one reply.
const ATTACHMENTS_MAX: usize = 20;
/// The longest subject, in characters (RFC 5322 line limit).
pub(super) const SUBJECT_CHARACTERS_MAX: usize = 998;
/// The longest code of a reason, protocol number or address, in characters.
const WORD_CHARACTERS_MAX: usize = 320;
/// The longest notice of a closed queue, in characters.
const NOTICE_CHARACTERS_MAX: usize = 1000;

/// Lengths and characters that no command may have.
pub(super) fn check(wish: &Wish) -> Result<(), Problem> {
    match wish {
        Wish::Away { reason } | Wish::Transfer { reason, .. } => check_code("reason", reason),
        Wish::Note { text, .. } => check_text("text", text),
        Wish::SetCase { case: Some(case), .. } => check_line("number", &case.number, WORD_CHARACTERS_MAX),
        Wish::CloseQueue { notice: Some(notice), .. } if notice.chars().count() > NOTICE_CHARACTERS_MAX => {
            Err(Problem::invalid(format!("`notice` has at most {NOTICE_CHARACTERS_MAX} characters")))
        }
        Wish::Reply { answer, .. } => check_answer(answer),
        _ => Ok(()),
    }
}

fn check_answer(answer: &Answer) -> Result<(), Problem> {
    // a file alone says enough
    if answer.attachments.is_empty() || !answer.text.is_empty() {
        check_text("text", &answer.text)?;
    }
    if let Some(subject) = &answer.subject {
        check_line("subject", subject, SUBJECT_CHARACTERS_MAX)?;
    }
    if answer.cc.len() > CC_MAX {
        return Err(Problem::invalid(format!("`cc` has at most {CC_MAX} entries")));
    }
    if answer.attachments.len() > ATTACHMENTS_MAX {
        return Err(Problem::invalid(format!("`attachments` has at most {ATTACHMENTS_MAX} entries")));
    }
    for party in &answer.cc {
        check_line("cc", &party.address, WORD_CHARACTERS_MAX)?;
        check_line("cc", party.name.as_deref().unwrap_or("-"), WORD_CHARACTERS_MAX)?;
    }
    Ok(())
}

fn check_text(field: &str, text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::invalid(format!("`{field}` is empty")));
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(Problem::invalid(format!("`{field}` has at most {TEXT_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// One line: CR and LF would end a mail header.
fn check_line(field: &str, text: &str, characters_max: usize) -> Result<(), Problem> {
    let fits = !text.trim().is_empty() && text.chars().count() <= characters_max && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(Problem::invalid(format!("`{field}` must be one line of 1 to {characters_max} characters"))) }
}

fn check_code(field: &str, code: &str) -> Result<(), Problem> {
    let fits = (1..=32).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if fits { Ok(()) } else { Err(Problem::invalid(format!("`{field}` must be a code such as `screen_break`"))) }
}

#[cfg(test)]
mod tests {
    use super::super::wish::Answer;
    use super::*;
    use crate::model::id::ContactId;

    #[test]
    fn lines_and_lengths() {
        let reply = |subject: &str, text: &str| Wish::Reply {
            contact: ContactId(1),
            answer: Answer { text: text.into(), subject: Some(subject.into()), cc: vec![], attachments: vec![] },
        };
        assert!(check(&reply("Re: TARI", "Buongiorno")).is_ok());
        assert!(check(&reply("a\r\nBcc: x@y", "Buongiorno")).is_err());
        for (text, files, is_fine) in [("", 0, false), ("  ", 0, false), ("", 1, true), ("  ", 1, false), ("Ecco", 1, true)] {
            let attachments = vec!["a handle".to_owned(); files];
            let answer = Answer { text: text.into(), subject: None, cc: vec![], attachments };
            assert_eq!(check(&Wish::Reply { contact: ContactId(1), answer }).is_ok(), is_fine, "{text:?} and {files} files");
        }
        assert!(check(&reply("Re", &"x".repeat(TEXT_BYTES_MAX + 1))).is_err());
        assert!(check(&Wish::Away { reason: "Lunch!".into() }).is_err());
    }
}
