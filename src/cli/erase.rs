//! `sportello erase`: arguments, and what is said of what became of it.

use crate::model::id::{AdministrationId, CitizenId, ConversationId};
use crate::port::keeping::{Erased, Erasure};

const EXAMPLES: &str = "\
Examples:
  sportello erase --administration comune --conversation cv_0123456789abcdef0123456789abcdef
  sportello erase --administration comune --citizen ci_0123456789abcdef0123456789abcdef

Messages, notes, files and the raw mail go, with the subject, and with the citizen's addresses if no
other conversation of theirs needs them. What stays are ids, states and times, for the figures; a
message of it that is delivered again is not taken in again. It cannot be undone, but from a backup.

Only what is finished can be erased: close its contacts first, and let its answers arrive or fail.
With --citizen all their conversations are erased that can be; the others are named, and the exit
code is 1. The ids are in the address of the console's pages and in the desk's API. May be given while
Sportello runs, and again after it was cut off.";

/// `erase`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["conversations", "citizen"]))]
pub struct EraseArgs {
    /// Whose citizen it is
    #[arg(long, value_name = "NAME")]
    pub administration: AdministrationId,
    /// A conversation; may be given several times
    #[arg(long = "conversation", value_name = "ID", num_args = 1)]
    pub conversations: Vec<ConversationId>,
    /// All conversations of this citizen
    #[arg(long, value_name = "ID")]
    pub citizen: Option<CitizenId>,
}

/// What to tell whoever asked. `Err`: nothing was erased; what, why, and what to do.
pub fn told(conversation: ConversationId, erasure: &Erasure) -> Result<String, String> {
    match erasure {
        Erasure::Done(Erased { messages: 0, notes: 0, .. }) => Ok(format!("{conversation} holds no text any more")),
        Erasure::Done(Erased { messages, notes, blobs }) => {
            Ok(format!("{conversation} is erased: {messages} messages, {notes} notes, {} files and raw mails", blobs.len()))
        }
        Erasure::Unknown => Err(format!("{conversation}: the administration has no such conversation; look at its name and at the id")),
        Erasure::Open(contact, state) => Err(format!(
            "{conversation} is not erased: its contact {contact} is {state}; close it at the desk (an abandoned one ends by itself after an hour), then erase again"
        )),
        Erasure::Sending(message) => Err(format!(
            "{conversation} is not erased: its message {message} is still being sent; erase again when it has arrived or failed"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::contact::StateName;
    use crate::model::id::{ContactId, MessageId};

    #[test]
    fn says_what_where_and_what_to_do() {
        let told = |erasure| told(ConversationId(1), &erasure);
        for erasure in [Erasure::Unknown, Erasure::Open(ContactId(2), StateName::Active), Erasure::Sending(MessageId(3))] {
            let refusal = told(erasure).expect_err("refused");
            assert!(refusal.starts_with("cv_00000000000000000000000000000001"), "{refusal}");
        }
        assert!(
            told(Erasure::Open(ContactId(2), StateName::Active))
                .is_err_and(|text| text.contains("ct_00000000000000000000000000000002 is active"))
        );
        assert!(told(Erasure::Done(Erased::default())).is_ok_and(|text| text.ends_with("holds no text any more")));
    }
}
